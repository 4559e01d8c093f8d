"""Reports in the language of who reads them, and those that nobody reads because the sender is likely to be forged."""

from __future__ import annotations

import email
import email.policy
import string
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from postillon.flow.authenticate import Authenticator
from postillon.flow.bounce import Reporter
from postillon.flow.judgement import Judge
from postillon.flow.receive import Receiver
from postillon.flow.report_phrases import LANGUAGES, Phrases, phrases
from postillon.flow.report_words import delay_words, explanation, subject_words, success_words
from postillon.message.dsn import Reported
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Notify, Recipient
from postillon.model.ids import AccountId
from postillon.model.queue import Outcome, OutcomeKind
from postillon.model.record import Stage
from postillon.storage.ids import IdSource

from ..kinds import TableResolver
from .conftest import SETTINGS, STRANGER, Office
from .test_bounce import FAILED, leased, reporter

BUSY = Outcome(OutcomeKind.DEFERRED, "4.2.1", "busy", "mx.there.test [192.0.2.1]", 450)
TEXT = b"From: x@strict.test\r\nTo: out@example.test\r\nSubject: hi\r\n\r\nHello.\r\n"


# --- words ---------------------------------------------------------------------------------------------------------


def _texts(known: Phrases) -> Iterator[tuple[str, str]]:
    for one in fields(Phrases):
        value = getattr(known, one.name)
        if isinstance(value, str):
            yield one.name, value
        elif isinstance(value, dict):
            for key, text in value.items():
                for number, part in enumerate(text if isinstance(text, tuple) else (text,)):
                    yield f"{one.name}.{key}.{number}", part


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_a_language_says_all_that_english_says_and_knows_the_same_places(language: str):
    english, other = dict(_texts(LANGUAGES["en"])), dict(_texts(LANGUAGES[language]))
    assert set(english) == set(other)
    for name, text in english.items():
        assert _places(other[name]) <= _places(text) | {"domain"}, name
        assert name.startswith("cases") or _places(other[name]) == _places(text), name


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(("asked", "found"), [("fr", "fr"), ("fr-CA", "fr"), ("FR", "fr"), ("de", "en"), ("", "en")])
def test_an_unknown_language_is_english(asked: str, found: str):
    assert phrases(asked) is LANGUAGES[found]


async def test_failure_delay_and_success_in_french(office: Office):
    entries = await leased(office)
    words = explanation([(entries[0], FAILED)], "mail.example.test", "fr")
    assert words.startswith("Votre message à bob@there.test n'a pas été remis : cette adresse n'existe pas. Veuillez vérifier")
    assert "mx.there.test [192.0.2.1] a dit : 550 nobody of that name (5.1.1)" in words
    assert "Il a accepté votre message le vendredi 15 janvier 2027 à 08:00 (UTC)." in words
    words = delay_words([(entries[0], BUSY)], "mail.example.test", office.clock.now() + 86400, "fr")
    assert "nous essayons jusqu'au samedi 16 janvier 2027 à 08:00 (UTC)" in words
    delivered = Reported(entries[0].recipient, Outcome(OutcomeKind.DELIVERED, "2.1.5", "Filed"))
    assert success_words([delivered], "us.test", 0, "fr").startswith("Votre message à bob@there.test a été remis.\n")
    assert subject_words("failed", "", "fr") == "Non remis : votre message"


@pytest.mark.parametrize(
    ("remote", "first"),
    [
        ("", "Your message to bob@there.test was taken out of the queue by the administrator of our mail server."),
        ("mx.there.test [192.0.2.1]", "Your message to bob@there.test was refused by their server."),
    ],
)
async def test_nobody_is_said_to_have_refused_what_we_removed(office: Office, remote: str, first: str):
    entries = await leased(office)
    outcome = Outcome(OutcomeKind.FAILED, "5.0.0", "Sent by mistake", remote)
    words = explanation([(entries[0], outcome)], "mail.example.test", "en")
    assert words.startswith(first) and "Sent by mistake (5.0.0)" in words


# --- to whom -------------------------------------------------------------------------------------------------------


async def test_the_report_is_in_the_language_of_the_account_that_gets_it(office: Office):
    async def language_of(account: AccountId) -> str:
        return "fr" if account == office.alice else ""

    entries = await leased(office)
    made = reporter(office)
    made._language_of = language_of
    plan = await made.failure([(entries[0], FAILED)])
    assert plan is not None and plan.body.data is not None
    message: Any = email.message_from_bytes(plan.body.data, policy=email.policy.default)
    assert message["Subject"] == "Non remis : Grüße"
    assert next(message.iter_parts()).get_content().startswith("Votre message à bob@there.test n'a pas été remis")
    assert plan.body.data.isascii()
    elsewhere = reporter(office, alice=["alice@elsewhere.test"])
    elsewhere._language_of = language_of
    plan = await elsewhere.failure([(entries[0], FAILED)])
    assert plan is not None and plan.body.data is not None and b"\r\nSubject: =?utf-8?q?Not_del" in plan.body.data


def guarded(office: Office) -> Office:
    """An MX that looks at SPF, with an alias to elsewhere, and a deliverer that makes reports."""
    table: dict[str, Any] = {"strict.test": {"txt": ["v=spf1 ip4:192.0.2.99 -all"], "mx": [(10, "mx.strict.test")]}}
    made = Reporter(
        store=office.store, directory=office.directory, clock=office.clock, ids=IdSource(9), hostname="mail.example.test"
    )
    office.deliverer._reporter = made
    authenticator = Authenticator(resolver=TableResolver(table), hostname="mail.example.test")
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver(table),
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        judge=Judge(authenticator=authenticator, hostname="mail.example.test"),
    )
    return replace(office, receiver=receiver)


async def noted(office: Office, blob: int) -> list[tuple[Stage, Any]]:
    now = int(time.time())
    found = await office.store.find_records(f"{blob:x}", now - 86400, now)
    return [(record.stage, record.facts) for traced in found for record in traced.records]


async def test_a_forged_sender_hears_nothing_and_the_records_say_why(office: Office):
    office = guarded(office)
    await office.directory.create_alias("out@example.test", ["carol@elsewhere.test"])
    receipt = await office.receive("x@strict.test", ["out@example.test"], TEXT)
    ((entry, _),) = await office.queued()
    assert entry.envelope.withheld == "spf"
    made = office.deliverer._reporter
    assert made is not None
    assert await made.failure([(entry, FAILED)]) is None
    withheld = [facts for stage, facts in await noted(office, receipt.blob) if stage is Stage.WITHHELD]
    assert [facts["why"] for facts in withheld] == [
        "that it failed: the sender is likely to be forged, its domain does not send from there (SPF)"
    ]


async def test_success_is_not_confirmed_to_a_forged_sender_either(office: Office):
    office = guarded(office)
    envelope = Envelope(Address.parse("x@strict.test"))
    recipient = Recipient(Address.parse("bob@example.test"), frozenset({Notify.SUCCESS}))
    for address, reports in (("192.0.2.7", 0), ("192.0.2.99", 1)):
        spool = office.store.spool(10**6)
        spool.write(TEXT)
        client = replace(STRANGER, address=address)
        accepted = await office.receiver.recipient(client, envelope, recipient)
        from postillon.message.incoming import Incoming

        incoming = Incoming(
            client, replace(envelope, recipients=(recipient,)), (accepted,), await spool.finish(), office.clock.now()
        )
        await office.receiver.message(incoming)
        assert len([view for view in await office.store.queue_views() if view.recipient == "x@strict.test"]) == reports


async def test_an_honest_sender_hears_of_it(office: Office):
    office = guarded(office)
    await office.directory.create_alias("out@example.test", ["carol@elsewhere.test"])
    await office.receive("x@honest.test", ["out@example.test"], TEXT)
    ((entry, _),) = await office.queued()
    assert entry.envelope.withheld == ""
    made = office.deliverer._reporter
    assert made is not None and await made.failure([(entry, FAILED)]) is not None
