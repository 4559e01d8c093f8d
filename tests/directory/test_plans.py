"""No statement of the directory reads a whole table: SQLite tells how it would run each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from postillon.directory.limiter import Limiter
from postillon.directory.local import DirectorySettings, LocalDirectory
from postillon.model.address import Address
from postillon.model.ids import AccountId, ModSeq
from postillon.seams import Database, Row, T, Tx, Work
from postillon.storage.ids import IdSource

from .conftest import SECRET, STRANGER, Town


@dataclass
class Noting:
    """A database that notes the text of every statement."""

    inner: Database
    statements: set[str] = field(default_factory=set)

    async def write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        return await self.inner.write(lambda tx: work(NotingTx(tx, self.statements)), accounts, heavy=heavy)

    async def read(self, work: Work[T], *, short: bool = False) -> T:
        return await self.inner.read(lambda tx: work(NotingTx(tx, self.statements)))

    async def peek(self, work: Work[T]) -> T:
        return await self.inner.peek(lambda tx: work(NotingTx(tx, self.statements)))

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class NotingTx:
    inner: Tx
    statements: set[str]

    @property
    def dialect(self) -> str:
        return self.inner.dialect

    def one(self, sql: str, *values: Any) -> Row | None:
        self.statements.add(sql)
        return self.inner.one(sql, *values)

    def all(self, sql: str, *values: Any) -> list[Row]:
        self.statements.add(sql)
        return self.inner.all(sql, *values)

    def run(self, sql: str, *values: Any) -> int:
        self.statements.add(sql)
        return self.inner.run(sql, *values)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self.statements.add(sql)
        self.inner.many(sql, rows)

    def parts(self, table: str, column: str, ranges: Sequence[tuple[int, int, int]]) -> list[bytes | None]:
        return self.inner.parts(table, column, ranges)

    def modseq(self, account: AccountId, used: int = 0) -> ModSeq:
        return self.inner.modseq(account, used)

    def wake(self, topic: int) -> None:
        self.inner.wake(topic)


async def test_every_statement_goes_by_an_index(town: Town) -> None:
    mail, side = Noting(town.database), Noting(town.side)
    limiter = Limiter(side, town.clock)
    directory = LocalDirectory(
        database=mail,
        limiter=limiter,
        pool=town.pool,
        clock=town.clock,
        ids=IdSource(),
        secret=SECRET,
        settings=DirectorySettings(failure_delay_s=0),
    )
    await directory.create_domain("example.test")
    await directory.create_domain("example.org", alias_of="example.test")
    account = await directory.create_account("alice@example.test", "secret")
    await directory.authenticate("alice@example.test", "secret", STRANGER)
    await directory.failed("alice@example.test", STRANGER)
    await directory.set_password("alice@example.test", "secret")
    await directory.create_alias("sales@example.test", ["alice@example.test"])
    await directory.set_targets("sales@example.test", ["alice@example.test"])
    await directory.set_catch_all("example.test", "alice@example.test")
    for address in ("alice@example.test", "sales+x@example.org", "postmaster@example.org", "typo@example.test"):
        await directory.find(Address.parse(address))
    await directory.postmaster()
    await directory.account(account.id)
    await directory.set_quota("alice@example.test", 1)
    await directory.suspend("alice@example.test")
    await directory.accounts()
    await directory.aliases()
    await directory.remove_alias("sales@example.test")
    await directory.remove_account("alice@example.test")
    await directory.remove_domain("example.org")
    await limiter.prune()
    for noting in (mail, side):
        assert noting.statements
        for sql in noting.statements:
            await explain(noting.inner, sql)


async def explain(database: Database, sql: str) -> None:
    def work(tx: Tx) -> list[Row]:
        return tx.all("EXPLAIN QUERY PLAN " + sql, *[1] * sql.count("?")) if tx.dialect == "sqlite" else []

    for *_, step in await database.read(work):
        assert "SCAN" not in str(step) or "json_each" in str(step), f"{sql}: {step}"
