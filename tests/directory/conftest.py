"""A directory on each kind of database, with the mail database and the side database beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from postillon.directory.limiter import Limiter, LimiterSettings
from postillon.directory.local import DirectorySettings, LocalDirectory
from postillon.directory.pool import PasswordPool
from postillon.model.account import Credential
from postillon.model.address import Address
from postillon.model.envelope import Client, Tls
from postillon.seams import Database, Found
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.ids import IdSource
from postillon.storage.store import accounts
from tests.storage.conftest import FixedClock, Wakes, postgres

STRANGER = Client("192.0.2.7", tls=Tls("TLSv1.3", "TLS_AES_128_GCM_SHA256"), session="test")
SECRET = b"the installation's own secret..."


class CountingPool(PasswordPool):
    """Notes what it was asked to do."""

    def __init__(self) -> None:
        super().__init__(threads=2)
        self.done: list[str] = []

    async def verify(self, text: str, password: str) -> bool:
        self.done.append("argon2" if text.startswith("$argon2id$") else "imported")
        return await super().verify(text, password)

    async def waste(self) -> None:
        self.done.append("argon2")
        await super().waste()


@dataclass
class Town:
    """A directory, and what a test wants to look at."""

    directory: LocalDirectory
    limiter: Limiter
    pool: CountingPool
    database: Database
    side: Database
    clock: FixedClock
    wakes: Wakes

    def worker(self, *, settings: DirectorySettings | None = None, limits: LimiterSettings | None = None) -> LocalDirectory:
        """Another worker's directory over the same data."""
        return LocalDirectory(
            database=self.database,
            limiter=Limiter(self.side, self.clock, limits),
            pool=self.pool,
            clock=self.clock,
            ids=IdSource(1),
            secret=SECRET,
            settings=settings or DirectorySettings(failure_delay_s=0),
        )

    async def find(self, address: str) -> Found:
        return await self.directory.find(Address.parse(address))

    async def credential(self, name: str) -> Credential:
        found = await self.database.read(lambda tx: accounts.login(tx, name))
        assert found is not None
        return found[1]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
async def town(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Town]:
    wakes, clock = Wakes(), FixedClock()
    database: Database
    side: Database
    if request.param == "sqlite":
        database = SqliteDatabase(str(tmp_path / "mail.db"), wakes).open()
        side = SqliteDatabase(str(tmp_path / "side.db"), wakes, synchronous="NORMAL").open()
    else:
        database = postgres(request, wakes)
        side = postgres(request, wakes)
    await migrate(database, clock.now())
    await migrate(side, clock.now(), side_schema)
    pool, limiter = CountingPool(), Limiter(side, clock)
    directory = LocalDirectory(
        database=database,
        limiter=limiter,
        pool=pool,
        clock=clock,
        ids=IdSource(),
        secret=SECRET,
        settings=DirectorySettings(failure_delay_s=0),
    )
    yield Town(directory, limiter, pool, database, side, clock, wakes)
    pool.close()
    await database.close()
    await side.close()
