"""A store on each kind of database: SQLite always, PostgreSQL in the runs that include the `real` tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postillon.model.ids import AccountId
from postillon.seams import Database, Tx
from postillon.storage.blobs.files import FileBlobs
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.ids import IdSource
from postillon.storage.store import Store, mailboxes, owner_of
from tests.conftest import new_database


@dataclass
class FixedClock:
    at: int = 1_800_000_000

    def now(self) -> int:
        return self.at


@dataclass
class Wakes:
    """What was published, in order."""

    topics: list[int] = field(default_factory=list)

    def __call__(self, topics: Iterable[int]) -> None:
        self.topics += topics


@dataclass
class Office:
    """A store with two accounts, and what a test wants to look at."""

    store: Store
    database: Database
    clock: FixedClock
    wakes: Wakes
    alice: AccountId
    bob: AccountId

    def again(self, *, slot: int = 0, generation: int = 2, workers: int = 1) -> Store:
        """Another worker's store over the same data."""
        store = self.store
        return Store(
            self.database,
            store._blobs,
            self.clock,
            IdSource(slot + 100),
            store._spool_dir,
            owner=owner_of(slot, generation),
            slot=slot,
            workers=workers,
        )


async def add_account(store: Store, name: str, quota: int = 10**9) -> AccountId:
    """An account's rows, without the directory."""
    (account, *boxes) = store.new_ids(7)

    def work(tx: Tx) -> None:
        tx.run("INSERT INTO account (account_id, name, created) VALUES (?, ?, 0)", account, name.encode())
        tx.run("INSERT INTO account_state (account_id, modseq, quota, uidvalidity_next) VALUES (?, 1, ?, 1)", account, quota)
        mailboxes.make_defaults(tx, AccountId(account), tuple(boxes), 1_800_000_000)

    await store.database.write(work, (AccountId(account),))
    return AccountId(account)


def postgres(request: pytest.FixtureRequest, wakes: Wakes) -> Database:
    """A new database on the run's PostgreSQL server."""
    from postillon.storage.db.postgres import PostgresDatabase

    return PostgresDatabase(new_database(request.getfixturevalue("postgres_server")), wakes)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
async def office(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    wakes, clock = Wakes(), FixedClock()
    database: Database
    if request.param == "sqlite":
        database = SqliteDatabase(str(tmp_path / "mail.db"), wakes).open()
    else:
        database = postgres(request, wakes)
    await migrate(database, clock.now())
    for name in ("spool", "blobs"):
        (tmp_path / name).mkdir()
    store = Store(database, FileBlobs(str(tmp_path / "blobs")), clock, IdSource(), str(tmp_path / "spool"), owner=owner_of(0, 1))
    office = Office(
        store,
        database,
        clock,
        wakes,
        await add_account(store, "alice@example.test"),
        await add_account(store, "bob@example.test"),
    )
    await asyncio.sleep(0)
    wakes.topics.clear()
    yield office
    await database.close()
