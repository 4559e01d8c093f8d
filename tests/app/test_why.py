"""`postillon why`: verdicts and their evidence, from what was written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postillon.admin.tools import Tools
from postillon.admin.why import why
from postillon.flow.authenticate import Authenticator
from postillon.flow.judgement import Judge
from postillon.flow.receive import Receiver
from postillon.flow.records import refused
from postillon.model.address import Address
from postillon.model.errors import Greylisted, Refusal
from postillon.model.verdict import Opinion, finding
from tests.flow.conftest import SETTINGS, STRANGER, Office, office, table
from tests.flow.test_judgement import Says
from tests.kinds import TableResolver

__all__ = ["office", "table"]

TABLE: dict[str, Any] = {
    "sender.test": {"txt": ["v=spf1 ip4:192.0.2.7 -all"], "mx": [(10, "mx.sender.test")]},
    "_dmarc.sender.test": {"txt": ["v=DMARC1; p=reject"]},
}
TEXT = b"From: Joe <joe@sender.test>\r\nMessage-ID: <one@sender.test>\r\nSubject: hi\r\n\r\nHello.\r\n"


def judged(office: Office, *opinions: Opinion) -> Office:
    resolver = TableResolver(TABLE)
    authenticator = Authenticator(resolver=resolver, hostname="mail.example.test")
    filters = [Says(opinion, f"says {at}") for at, opinion in enumerate(opinions)]
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=resolver,
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        judge=Judge(authenticator=authenticator, hostname="mail.example.test", filters=filters),
    )
    return replace(office, receiver=receiver)


async def asked(office: Office, **words: Any) -> list[dict[str, Any]]:
    tools = replace(_EMPTY, directory=office.directory, store=office.store, clock=office.clock)
    return await why(tools, **words)  # type: ignore[no-any-return]


_EMPTY = Tools(*[None] * len(Tools.__dataclass_fields__))  # type: ignore[arg-type]

SHOUTED = finding("skeleton.shouted", 6.5, subject="X")
CONTACT = finding("fraud.contact", -2.0, address="joe@sender.test")


async def test_a_junked_message_is_explained_with_weights_and_what_dns_said_then(office: Office):
    mine = Opinion((SHOUTED,), personal=((office.alice, (CONTACT,)),))
    await judged(office, mine).receive("joe@sender.test", ["alice@example.test", "bob@example.test"], TEXT)
    (one,) = await asked(office, name="one@sender.test")
    assert one["verdict"].startswith("filed as junk, score 6.5 (tagged from 3, junk from 6, refused from 15)")
    assert [(each["score"], each["account"], each["words"]) for each in one["evidence"]] == [
        (6.5, "", "The subject is shouted in capitals"),
        (-2.0, "alice@example.test", "You write to joe@sender.test"),
    ]
    assert one["verdicts"] == ["alice@example.test: delivered, score 4.5"]
    assert "SPF pass" in one["authentication"] and "DMARC pass sender.test" in one["authentication"]
    assert "TXT _dmarc.sender.test: v=DMARC1; p=reject" in one["dns"]
    assert (one["sender"], one["recipients"]) == ("joe@sender.test", ["alice@example.test", "bob@example.test"])


async def test_it_is_found_by_sender_and_recipient_and_told_in_french(office: Office):
    office = judged(office, Opinion((SHOUTED,)))
    await office.receive("joe@sender.test", ["bob@example.test"], TEXT)
    await office.receive("joe@sender.test", ["alice@example.test"], TEXT)
    (one,) = await asked(office, sender="joe@sender.test", recipient="Bob@example.test", language="fr")
    assert one["recipients"] == ["bob@example.test"] and one["evidence"][0]["words"] == "L’objet est écrit en majuscules"
    assert len(await asked(office, sender="joe@sender.test")) == 2
    assert await asked(office, sender="nobody@sender.test") == []
    for wrong in ({}, {"name": "x", "language": "xx"}):
        with pytest.raises(Refusal):
            await asked(office, **wrong)


async def test_a_refused_message_is_explained_by_its_message_id(office: Office):
    with pytest.raises(Refusal):
        await judged(office, Opinion((replace(SHOUTED, score=20),))).receive("joe@sender.test", ["bob@example.test"], TEXT)
    (one,) = await asked(office, name="one@sender.test")
    assert one["verdict"].startswith("not wanted, score 20.0") and one["evidence"][0]["code"] == "skeleton.shouted"


async def test_who_was_greylisted_is_told_so(office: Office):
    sender, recipient = Address.parse("joe@sender.test"), Address.parse("bob@example.test")
    office.store.note(refused(STRANGER, Greylisted("Come back later"), office.clock.now(), "RCPT", sender, [recipient]))
    (one,) = await asked(office, sender="joe@sender.test", recipient="bob@example.test")
    assert one["verdict"] == "put off (greylisted) at RCPT: 450 4.7.1 Come back later"


async def test_remote_words_reach_the_terminal_as_text(office: Office):
    evil = finding("own.thing", 7, text="\x1b[2J\r\nboo")
    await judged(office, Opinion((evil,))).receive("joe@sender.test", ["bob@example.test"], TEXT)
    (one,) = await asked(office, name="one@sender.test")
    assert one["evidence"][0]["words"] == "\\x1b[2J\\x0d\\x0aboo"
