"""What strangers go through at RCPT: refused when listed, greylisted when suspicious, never postmaster and never the trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from postillon.directory.known import Known
from postillon.filters.blocklists import SENDER, Blocklists, Zone
from postillon.flow.gate import Gate, GateSettings
from postillon.flow.records import refused
from postillon.model.address import Address
from postillon.model.choice import Listed
from postillon.model.envelope import Client, Envelope, Recipient
from postillon.model.errors import Greylisted, NotPermitted
from postillon.model.ids import AccountId
from postillon.model.record import Stage
from postillon.seams import Database
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.knowledge import EVERYBODY, Knowledge
from postillon.storage.knowledge.contacts import Met
from tests.kinds import FixedClock, TableResolver

BOB = Recipient(Address.parse("bob@example.test"))
SUSPECT = Client("192.0.2.66", hello="pc")
HONEST: dict[str, Any] = {
    "192.0.2.7": {"ptr": ["mail.sender.example"]},
    "mail.sender.example": {"a": ["192.0.2.7"]},
    "sender.example": {"txt": ["v=spf1 a:mail.sender.example -all"]},
    "2.0.0.127.bl.test": {"a": ["127.0.0.2"]},
    "66.2.0.192.bl.test": {"a": ["127.0.0.2"]},
    "test.dom.test": {"a": ["127.0.0.2"]},
    "spam.example.dom.test": {"a": ["127.0.0.2"]},
}
SERVER = Client("192.0.2.7", hello="mail.sender.example")


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Database]:
    database = SqliteDatabase(str(tmp_path / "side.db"), lambda topics: None, synchronous="NORMAL").open()
    await migrate(database, 1, side_schema)
    yield database
    await database.close()


def gate(
    side: Database,
    *zones: Zone,
    clock: FixedClock | None = None,
    resolver: TableResolver | None = None,
    knowledge: Knowledge | None = None,
    **wanted: Any,
) -> Gate:
    resolver = resolver or TableResolver(HONEST)
    clock = clock or FixedClock()
    return Gate(
        resolver=resolver,
        known=Known(side, clock),
        blocklists=Blocklists(resolver=resolver, zones=zones),
        clock=clock,
        settings=GateSettings(hostname="mx.example.test", **wanted),
        knowledge=knowledge,
    )


ALICE, CAROL = AccountId(7), AccountId(8)


@pytest.fixture
async def knowledge(tmp_path: Path) -> AsyncIterator[Knowledge]:
    database = SqliteDatabase(str(tmp_path / "mail.db"), lambda topics: None).open()
    await migrate(database, 1)
    yield Knowledge(database, FixedClock())
    await database.close()


def envelope(sender: str = "alice@sender.example") -> Envelope:
    return Envelope(Address.parse(sender) if sender else None)


async def test_an_honest_server_is_let_in_at_once(side: Database) -> None:
    await gate(side).admit(SERVER, envelope(), BOB)


async def test_a_suspect_is_let_in_when_it_comes_back_and_its_network_from_then_on(side: Database) -> None:
    clock = FixedClock()
    door = gate(side, clock=clock)
    with pytest.raises(Greylisted) as caught:
        await door.admit(SUSPECT, envelope(), BOB)
    assert (caught.value.code, caught.value.status) == (450, "4.7.1")
    assert "60 seconds" in caught.value.text and "reverse name" in caught.value.text
    clock.at += 30
    with pytest.raises(Greylisted, match="30 seconds"):
        await door.admit(SUSPECT, envelope(), BOB)
    clock.at += 30
    await door.admit(SUSPECT, envelope(), BOB)
    await door.admit(SUSPECT, envelope("other@sender.example"), Recipient(Address.parse("carol@example.test")))
    await gate(side, clock=clock).admit(Client("192.0.2.67", hello="pc2"), envelope(), BOB)


def test_a_greylisting_has_a_stage_of_its_own_in_the_records() -> None:
    assert refused(SUSPECT, Greylisted("Later"), 1, "RCPT").stage is Stage.GREYLISTED
    assert refused(SUSPECT, NotPermitted("Never"), 1, "RCPT").stage is Stage.REFUSED


async def test_without_greylisting_a_suspect_is_let_in(side: Database) -> None:
    await gate(side, greylist=False).admit(SUSPECT, envelope(), BOB)


async def test_who_is_listed_is_refused_with_the_list_s_name(side: Database) -> None:
    with pytest.raises(NotPermitted) as caught:
        await gate(side, Zone("bl.test", 8.0)).admit(SUSPECT, envelope(), BOB)
    assert (caught.value.code, caught.value.status) == (550, "5.7.1")
    assert "bl.test" in caught.value.text and "postmaster" in caught.value.text


async def test_a_sender_s_domain_is_looked_up_too(side: Database) -> None:
    door = gate(side, Zone("dom.test", 8.0, checks=(SENDER,)))
    await door.admit(SERVER, envelope(), BOB)
    with pytest.raises(NotPermitted, match=r"spam\.example"):
        await door.admit(SERVER, envelope("x@spam.example"), BOB)


async def test_a_soft_listing_makes_suspicious_only(side: Database) -> None:
    table = HONEST | {"7.2.0.192.bl.test": {"a": ["127.0.0.2"]}}
    with pytest.raises(Greylisted, match="blocklist"):
        await gate(side, Zone("bl.test", 2.0), resolver=TableResolver(table)).admit(SERVER, envelope(), BOB)


async def test_an_allowlist_spares_the_wait(side: Database) -> None:
    await gate(side, Zone("bl.test", -1.0)).admit(SUSPECT, envelope(), BOB)


@pytest.mark.parametrize("client", [Client("127.0.0.1"), Client("::1"), Client("unix"), Client("10.1.2.3")])
async def test_the_trusted_and_local_programs_are_not_asked(side: Database, client: Client) -> None:
    resolver = TableResolver({})
    door = gate(side, Zone("bl.test", 8.0), resolver=resolver, trusted=("127.0.0.1", "::1", "10.0.0.0/8"))
    await door.admit(client, envelope(), BOB)
    assert resolver.asked == []


async def test_everybody_may_write_to_postmaster(side: Database) -> None:
    door = gate(side, Zone("bl.test", 99.0))
    await door.admit(SUSPECT, envelope(), Recipient(Address.parse("Postmaster@example.test")))


async def test_more_recipients_of_a_connection_ask_no_list_again(side: Database) -> None:
    resolver = TableResolver(HONEST)
    door = gate(side, Zone("bl.test", 1.0), resolver=resolver, greylist=False)
    await door.admit(SUSPECT, envelope(), BOB)
    asked = len(resolver.asked)
    for n in range(20):
        await door.admit(SUSPECT, envelope(), Recipient(Address.parse(f"user{n}@example.test")))
    assert len(resolver.asked) == asked


async def test_whom_the_recipient_has_written_to_need_not_come_back(side: Database, knowledge: Knowledge) -> None:
    await knowledge.note([Met(ALICE, "alice@sender.example", wrote=1)], {})
    door = gate(side, knowledge=knowledge)
    await door.admit(SUSPECT, envelope(), BOB, (ALICE,))
    with pytest.raises(Greylisted):
        await door.admit(SUSPECT, envelope(), BOB, (CAROL,))
    with pytest.raises(Greylisted):
        await door.admit(SUSPECT, envelope("else@sender.example"), BOB, (ALICE,))


async def test_having_been_written_to_does_not_undo_a_blocklist(side: Database, knowledge: Knowledge) -> None:
    await knowledge.note([Met(ALICE, "alice@sender.example", wrote=1)], {})
    with pytest.raises(NotPermitted):
        await gate(side, Zone("bl.test", 9.0), knowledge=knowledge).admit(SUSPECT, envelope(), BOB, (ALICE,))


@pytest.mark.parametrize("entry", ["192.0.2.66/32", "192.0.2.0/24"])
async def test_an_allowed_network_is_not_held_up_by_a_blocklist(side: Database, knowledge: Knowledge, entry: str) -> None:
    await knowledge.set_listed(EVERYBODY, entry, Listed.ALLOW)
    await gate(side, Zone("bl.test", 9.0), knowledge=knowledge).admit(SUSPECT, envelope(), BOB, (ALICE,))


async def test_an_allowed_domain_passes_a_blocklist_only_if_spf_shows_that_it_is_it(side: Database, knowledge: Knowledge) -> None:
    await knowledge.set_listed(ALICE, "sender.example", Listed.ALLOW)
    table = HONEST | {"7.2.0.192.bl.test": {"a": ["127.0.0.2"]}}
    door = gate(side, Zone("bl.test", 9.0), resolver=TableResolver(table), knowledge=knowledge)
    await door.admit(SERVER, envelope(), BOB, (ALICE,))
    for client, accounts in ((SERVER, (CAROL,)), (SUSPECT, (ALICE,))):
        with pytest.raises(NotPermitted):
            await door.admit(client, envelope(), BOB, accounts)


async def test_an_account_s_own_word_comes_before_everybody_s(side: Database, knowledge: Knowledge) -> None:
    await knowledge.set_listed(EVERYBODY, "192.0.2.0/24", Listed.ALLOW)
    await knowledge.set_listed(ALICE, "192.0.2.0/24", Listed.DENY)
    door = gate(side, Zone("bl.test", 9.0), knowledge=knowledge)
    await door.admit(SUSPECT, envelope(), BOB, (CAROL,))
    with pytest.raises(NotPermitted):
        await door.admit(SUSPECT, envelope(), BOB, (ALICE,))
