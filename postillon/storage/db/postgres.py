"""PostgreSQL behind the same seam: psycopg in a few threads, one transaction a work.

The accounts that a work declares are locked first, in order of their ids, so that two works never wait for each other in a
ring; deadlocks and serialization failures that happen all the same are tried again.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg

from ...log import Log
from ...model.errors import Unavailable
from ...model.ids import AccountId, ModSeq
from ...seams import Row, Work
from .dialect import postgres_text
from .wait import BUMP, Job, Publish, finish

T = TypeVar("T")
TRIES = 6

log = Log("database")


class PostgresTx:
    """`seams.Tx` on one connection. Lives for one work."""

    __slots__ = ("_cursor", "_modseqs", "accounts", "topics")
    dialect = "postgres"

    def __init__(self, cursor: psycopg.Cursor[Row], accounts: Sequence[AccountId]) -> None:
        self._cursor = cursor
        self.accounts = accounts
        self._modseqs: dict[AccountId, ModSeq] = {}
        self.topics: set[int] = set()

    def one(self, sql: str, *values: Any) -> Row | None:
        return self._cursor.execute(postgres_text(sql), values).fetchone()

    def all(self, sql: str, *values: Any) -> list[Row]:
        return self._cursor.execute(postgres_text(sql), values).fetchall()

    def run(self, sql: str, *values: Any) -> int:
        return self._cursor.execute(postgres_text(sql), values).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._cursor.executemany(postgres_text(sql), rows)

    def parts(self, table: str, column: str, ranges: Sequence[tuple[int, int, int]]) -> list[bytes | None]:
        sql = f"SELECT substr({column}, %s, %s) FROM {table} WHERE {table}_id = %s"  # noqa: S608 - names of ours
        found: list[bytes | None] = []
        for key, start, stop in ranges:
            row = self._cursor.execute(sql, (start + 1, stop - start, key)).fetchone()
            found.append(None if row is None or row[0] is None else bytes(row[0]))
        return found

    def modseq(self, account: AccountId, used: int = 0) -> ModSeq:
        found = self._modseqs.get(account)
        if found is None or used:
            if account not in self.accounts:
                raise RuntimeError(f"work changes account {account} without declaring it")
            row = self.one(BUMP, int(found is None), used, account)
            if row is None:
                raise Unavailable("No such account", detail=f"account {account} has no state row")
            found = self._modseqs[account] = ModSeq(row[0])
            self.topics.add(account)
        return found

    def wake(self, topic: int) -> None:
        self.topics.add(topic)


class PostgresDatabase:
    """`seams.Database` over a connection string (libpq's words)."""

    def __init__(self, conninfo: str, publish: Publish, *, writers: int = 4, readers: int = 4) -> None:
        self._conninfo = conninfo
        self._publish = publish
        self._local = threading.local()
        self._connections: list[psycopg.Connection[Row]] = []
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="db-write")
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="db-read")

    async def write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = Job(work, sorted(set(accounts)), future, loop)
        self._writers.submit(self._write, job)
        return await future

    async def read(self, work: Work[T], *, short: bool = False) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def peek(self, work: Work[T]) -> T:
        return await self.read(work)

    async def close(self) -> None:
        await asyncio.to_thread(self._writers.shutdown, wait=True)
        await asyncio.to_thread(self._readers.shutdown, wait=True)
        for connection in self._connections:
            connection.close()

    # --- in the threads --------------------------------------------------------------------------------------------

    def _connection(self) -> psycopg.Connection[Row]:
        connection: psycopg.Connection[Row] | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def _write(self, job: Job) -> None:
        try:
            self._try(job)
        except Exception as error:
            job.error = _translated(error)
        job.loop.call_soon_threadsafe(finish, [job], self._publish)

    def _try(self, job: Job) -> None:
        for attempt in range(TRIES):
            try:
                self._once(job)
                return
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                if attempt == TRIES - 1:
                    raise
                time.sleep(random.random() * 0.02 * (attempt + 1))

    def _once(self, job: Job) -> None:
        connection = self._connection()
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            if job.accounts:
                cursor.execute(
                    "SELECT 1 FROM account_state WHERE account_id = ANY(%s) ORDER BY account_id FOR UPDATE",
                    (list(job.accounts),),
                )
            tx = PostgresTx(cursor, job.accounts)
            job.result = job.work(tx)
        job.topics = tuple(tx.topics)

    def _read(self, work: Work[T]) -> T:
        try:
            connection = self._connection()
            with connection.transaction(), connection.cursor(binary=True) as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return work(PostgresTx(cursor, ()))
        except psycopg.Error as error:
            raise _translated(error) from error


def _translated(error: Exception) -> Exception:
    if isinstance(error, psycopg.Error):
        return Unavailable("The mail store has a problem; try again later", detail=f"{type(error).__name__}: {error}")
    return error
