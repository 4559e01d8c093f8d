"""Filters over a real database of what is known; messages as text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from postillon.filters.examined import Examined
from postillon.filters.known import sender_keys
from postillon.filters.stored import examined_again
from postillon.mailauth.arc import Arc
from postillon.mailauth.dkim import Dkim
from postillon.mailauth.evaluate import Authors, Verdict
from postillon.mailauth.iprev import Iprev
from postillon.mailauth.result import Result
from postillon.mailauth.spf import Spf
from postillon.model.envelope import Client
from postillon.model.ids import AccountId
from postillon.model.verdict import Finding, Opinion
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.knowledge import Knowledge
from tests.kinds import FixedClock

ALICE, BOB = AccountId(1), AccountId(2)


def message(author: str = "Joe <joe@sender.test>", text: str = "Hello.", more: str = "", kind: str = "plain") -> bytes:
    return (
        f"From: {author}\r\nTo: alice@example.test\r\nSubject: hi\r\n{more}"
        f"MIME-Version: 1.0\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


def verdict(*, dkim: str = "", spf: str = "") -> Verdict:
    """What mail authentication found: signed by, sent by; nothing else."""
    return Verdict(
        spf=Spf(Result.PASS if spf else Result.FAIL, spf or "x.test"),
        dkim=(Dkim(Result.PASS, dkim),) if dkim else (),
        dmarc=(),
        arc=Arc(Result.NONE),
        iprev=Iprev(Result.NONE),
        authors=Authors(1),
    )


def examined(octets: bytes, *accounts: AccountId, found: Verdict | None = None, client: str = "192.0.2.7") -> Examined:
    """*octets* on their way in, to alice@example.test, which leads to *accounts*."""
    one = examined_again(octets, accounts=accounts or (ALICE,), recipient="alice@example.test")
    made = Examined(replace(one.incoming, client=Client(client)), one.header, one.content)
    made.authentication_ended(found)
    return made


def codes(opinion: Opinion, account: AccountId | None = None) -> list[str]:
    """The codes of an opinion's findings, or of those that are an account's own."""
    return [one.code for one in findings(opinion, account)]


def findings(opinion: Opinion, account: AccountId | None = None) -> tuple[Finding, ...]:
    return opinion.findings if account is None else dict(opinion.personal).get(account, ())


@dataclass
class Office:
    knowledge: Knowledge
    database: SqliteDatabase
    clock: FixedClock


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = FixedClock(1_800_000_000)
    database = SqliteDatabase(str(tmp_path / "mail.db"), lambda topics: None).open()
    await migrate(database, clock.now())
    await database.write(
        lambda tx: tx.run("INSERT INTO domain (domain_id, name, alias_of, created) VALUES (1, ?, 0, 0)", b"example.test")
    )
    yield Office(Knowledge(database, clock), database, clock)
    await database.close()


__all__ = ["ALICE", "BOB", "Office", "codes", "examined", "findings", "message", "sender_keys", "verdict"]
