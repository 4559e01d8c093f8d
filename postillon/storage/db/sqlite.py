"""The embedded database: one SQLite file in WAL mode, shared by the workers of a machine.

Works that wait are grouped into one transaction, so that one sync carries many messages. Short works
run on the event loop itself and only the COMMIT, which waits for the disk, is a thread's: SQLite lets go of Python's lock at
every statement, and a thread that has to win it back from a busy loop each time costs more than the statements. Works that
are declared heavy run in the thread whole.

Between workers a kernel lock (flock, on a file that each opened itself) decides who is next, because SQLite's own busy handler
is unfair. Readers never wait. Nothing else may open the database files: closing such a handle would drop SQLite's locks.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apsw

from ...log import Log, flush
from ...model.errors import DiskFull, Refusal, Unavailable
from ...model.ids import AccountId, ModSeq
from ...seams import Row, Work
from .wait import BUMP, Job, Publish, finish

T = TypeVar("T")

OLDEST_SAFE = (3, 51, 3)
"""Earlier versions can corrupt a WAL database that several connections write and checkpoint at once."""

MAX_WORKS = 64
MAX_BATCH_S = 0.005
QUICK_S = 0.005
"""A read that took less found its pages in memory."""
CHECKPOINT_OCTETS = 16 << 20
RESTART_OCTETS = 48 << 20

log = Log("database")


class SqliteTx:
    """`seams.Tx` on one connection. Lives for one work."""

    __slots__ = ("_connection", "_modseqs", "accounts", "topics")
    dialect = "sqlite"

    def __init__(self, connection: apsw.Connection, accounts: Sequence[AccountId]) -> None:
        self._connection = connection
        self.accounts = accounts
        self._modseqs: dict[AccountId, ModSeq] = {}
        self.topics: set[int] = set()

    def one(self, sql: str, *values: Any) -> Row | None:
        rows = self._connection.execute(sql, values).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, *values: Any) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, *values: Any) -> int:
        self._connection.execute(sql, values).fetchall()
        return self._connection.changes()

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def parts(self, table: str, column: str, ranges: Sequence[tuple[int, int, int]]) -> list[bytes | None]:
        # Incremental reading: a statement would read the whole value, however little of it is wanted.
        found: list[bytes | None] = []
        blob: apsw.Blob | None = None
        try:
            for key, start, stop in ranges:
                try:
                    if blob is None:
                        blob = self._connection.blob_open("main", table, column, key, False)
                    else:
                        blob.reopen(key)
                except apsw.SQLError:  # no such row, or NULL
                    found.append(None)
                    if blob is not None:
                        blob.close(True)
                        blob = None
                    continue
                blob.seek(min(start, blob.length()))
                found.append(blob.read(stop - start))
        finally:
            if blob is not None:
                blob.close(True)
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


def connect(path: str, *, synchronous: str = "FULL", readonly: bool = False) -> apsw.Connection:
    """A connection with our settings. Raises RuntimeError for an unsafe SQLite, Unavailable if the file cannot be opened."""
    version = tuple(map(int, apsw.sqlite_lib_version().split(".")))
    if version < OLDEST_SAFE:
        raise RuntimeError(f"SQLite {apsw.sqlite_lib_version()} can corrupt shared WAL databases; 3.51.3 or later is needed")
    try:
        connection = apsw.Connection(path)
        _set_up(connection, synchronous)
    except apsw.Error as error:
        raise Unavailable("The mail store cannot be opened", detail=f"{path}: {error}") from error
    if readonly:
        connection.pragma("query_only", True)
    return connection


def _set_up(connection: apsw.Connection, synchronous: str) -> None:
    connection.set_busy_timeout(5000)
    if not connection.pragma("page_count"):  # these count only before the first table; asked for later they still write
        connection.pragma("page_size", 4096)
        connection.pragma("auto_vacuum", 2)  # incremental
        connection.pragma("journal_mode", "wal")
        connection.pragma("application_id", 0x506F7374)
    connection.pragma("synchronous", synchronous)
    connection.pragma("foreign_keys", True)
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -16384)
    connection.pragma("wal_autocheckpoint", 0)


class SqliteDatabase:
    """`seams.Database` over one file. Open it with `open`; `publish` hears of what moved after each commit."""

    def __init__(
        self, path: str, publish: Publish, *, readers: int = 2, synchronous: str = "FULL", checkpoints: bool = True
    ) -> None:
        self._path = path
        self._publish = publish
        self._synchronous = synchronous
        self._checkpoints = checkpoints
        self._waiting: deque[Job] = deque()
        self._is_busy = False
        """A transaction is under way, on the loop or in the thread; never two."""
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._connections: list[apsw.Connection] = []
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="db-read")
        self._thread = threading.Thread(target=self._obey, name="db-write", daemon=True)
        self._checkpointer = threading.Thread(target=self._checkpoint_loop, name="db-checkpoint", daemon=True)
        self._peeker: apsw.Connection | None = None
        self._writer: apsw.Connection | None = None
        self._lock_fd = -1
        self._is_quick = False
        """The last short read took next to no time."""
        self._closed = False
        self._ended = threading.Event()
        self.writing_since: float = 0
        """Monotonic time since when we hold the lock; 0 while we do not. For whoever watches the worker."""

    def open(self) -> SqliteDatabase:
        """Open the file (made if it is not there). Raises Unavailable."""
        self._lock_fd = os.open(self._path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._peeker = self._connect()
        self._writer = self._connect()
        os.chmod(self._path, 0o600)
        self._thread.start()
        if self._checkpoints:
            self._checkpointer.start()
        return self

    def _connect(self, readonly: bool = False) -> apsw.Connection:
        try:
            fd = os.open(self._path + ".lock", os.O_RDWR | os.O_CLOEXEC)  # of its own: our writer may hold the other one
        except OSError as error:
            raise Unavailable("The mail store is busy; try again", detail=str(error)) from error
        fcntl.flock(fd, fcntl.LOCK_EX)  # journal_mode and friends may write
        try:
            connection = connect(self._path, synchronous=self._synchronous, readonly=readonly)
        finally:
            os.close(fd)
        self._connections.append(connection)
        return connection

    # --- the seam --------------------------------------------------------------------------------------------------

    async def write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        if self._closed:
            raise Unavailable("The mail store is closing")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(Job(work, accounts, future, loop, heavy))
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._next_turn, loop)  # not at once: who else runs in this turn of the loop may join
        return await future

    async def read(self, work: Work[T], *, short: bool = False) -> T:
        # A thread costs more than hundreds of rows that are in memory: SQLite lets go of the GIL at each of them. On a disk
        # they take much longer, so the loop takes one only after a short read that was quick.
        if not short or not self._is_quick:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work, short)
        started = time.monotonic()
        try:
            return await self.peek(work)
        finally:
            self._is_quick = time.monotonic() - started < QUICK_S

    def _read(self, work: Work[T], short: bool) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(readonly=True)
        started = time.monotonic()
        try:
            return _snapshot(connection, work)
        finally:
            if short:
                self._is_quick = time.monotonic() - started < QUICK_S

    async def peek(self, work: Work[T]) -> T:
        if self._peeker is None or self._writer is None:
            raise Unavailable("The mail store is closing")
        # Each commit empties the page cache of every other connection: the writer's own is warm, when it is free.
        return _snapshot(self._peeker if self._is_busy else self._writer, work)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        while self._is_busy:  # noqa: ASYNC110 - once at the end; an Event would cost at each commit
            await asyncio.sleep(0.002)
        self._orders.put(None)
        self._ended.set()
        for thread in (self._thread, self._checkpointer):
            if thread.is_alive():
                await asyncio.to_thread(thread.join, 10)
        self._readers.shutdown(wait=True)
        self._peeker = self._writer = None
        for connection in self._connections:
            connection.close()
        os.close(self._lock_fd)

    # --- transactions: on the loop ---------------------------------------------------------------------------------

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a transaction with what waits, or rest."""
        if not self._waiting:
            self._is_busy = False
        elif self._waiting[0].heavy:
            job = self._waiting.popleft()
            self._orders.put(lambda: self._whole(loop, [job]))
        elif self._lock(wait=False):
            self._batch(loop)
        else:
            self._orders.put(lambda: self._wait_for_lock(loop))

    def _batch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the works that wait, on the loop, and leave the COMMIT to the thread."""
        assert self._writer is not None
        self.writing_since = time.monotonic()
        deadline = self.writing_since + MAX_BATCH_S
        jobs = [self._waiting.popleft()]
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            self._failed(jobs, error)
            self._unlock()
            loop.call_soon(self._done, loop, jobs)
            return
        stands = _run(self._writer, jobs[0])
        while stands and self._waiting and not self._waiting[0].heavy:
            if len(jobs) >= MAX_WORKS or time.monotonic() > deadline:
                break
            jobs.append(self._waiting.popleft())
            stands = _run(self._writer, jobs[-1])
        if stands:
            self._orders.put(lambda: self._commit(loop, jobs))
        else:
            # One work failed, which is rare, and nothing of this batch stands: now each runs by itself. (Savepoints would
            # spare that, and cost two statements for each work that does not fail.)
            self._orders.put(lambda: self._whole(loop, jobs, is_locked=True))

    def _done(self, loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
        try:
            finish(jobs, self._publish)
        finally:
            self._next_turn(loop)

    # --- transactions: in the thread -------------------------------------------------------------------------------

    def _obey(self) -> None:
        while (order := self._orders.get()) is not None:
            order()

    def _wait_for_lock(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lock(wait=True)
        if not _call(loop, self._batch, loop):
            self._unlock()

    def _commit(self, loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
        assert self._writer is not None
        try:
            self._writer.execute("COMMIT")
        except apsw.Error as error:
            self._failed(jobs, error)
        self._unlock()
        _call(loop, self._done, loop, jobs)

    def _whole(self, loop: asyncio.AbstractEventLoop, jobs: list[Job], is_locked: bool = False) -> None:
        """Each of *jobs* in a transaction of its own."""
        assert self._writer is not None
        if not is_locked:
            self._lock(wait=True)
            self.writing_since = time.monotonic()
        for job in jobs:
            job.error, job.topics = None, ()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                if _run(self._writer, job):
                    self._writer.execute("COMMIT")
            except apsw.Error as error:
                self._failed([job], error)
        self._unlock()
        _call(loop, self._done, loop, jobs)

    def _lock(self, *, wait: bool) -> bool:
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(self) -> None:
        self.writing_since = 0
        fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def _failed(self, jobs: list[Job], error: apsw.Error) -> None:
        """BEGIN or COMMIT failed. Where it is unclear whether the commit stands, nobody may be answered: we end."""
        if isinstance(error, apsw.IOError):
            log.error("commit outcome unclear; this worker ends so that a new one sees what is on the disk", reason=str(error))
            flush()
            os._exit(70)
        assert self._writer is not None
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        for job in jobs:
            job.error = job.error or _translated(error)
            job.topics = ()

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def _checkpoint_loop(self) -> None:
        """The one owner of checkpoints: PASSIVE when the log has grown, RESTART under the lock when it is large."""
        connection = self._connect()
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # a connection that never read checkpoints nothing
        seen = 0
        while not self._ended.wait(0.25):
            try:
                size = os.stat(self._path + "-wal").st_size
            except FileNotFoundError:
                continue
            try:
                if size > self._longest_log():
                    self._restart_log(connection)
                elif size - seen > CHECKPOINT_OCTETS or size < seen:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                    seen = size
            except (apsw.Error, OSError) as error:
                log.debug("checkpoint put off", reason=str(error))

    def _longest_log(self) -> int:
        """Octets from which the log begins anew: an eighth of what is free, where the disk is nearly full."""
        found = os.statvfs(os.path.dirname(self._path) or ".")
        return min(RESTART_OCTETS, max(1 << 20, found.f_bavail * found.f_frsize // 8))

    def _restart_log(self, connection: apsw.Connection) -> None:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        fd = os.open(self._path + ".lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            os.close(fd)


def _snapshot(connection: apsw.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(SqliteTx(connection, ()))
    except apsw.Error as error:
        raise _translated(error) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _run(connection: apsw.Connection, job: Job) -> bool:
    """Run one work in the transaction that is open. False: it failed and the whole transaction is rolled back."""
    tx = SqliteTx(connection, job.accounts)
    try:
        job.result = job.work(tx)
        job.topics = tuple(tx.topics)
        return True
    except Exception as error:
        job.error = _translated(error) if isinstance(error, apsw.Error) else error
        if not isinstance(error, apsw.Error | Refusal):
            job.error.add_note("raised inside a database work")
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False


def _translated(error: apsw.Error) -> Refusal:
    if isinstance(error, apsw.FullError):
        return DiskFull("Not enough disk space; try again later", detail=str(error))
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Unavailable("The mail store is busy; try again", detail=str(error))
    return Unavailable("The mail store has a problem; try again later", detail=f"{type(error).__name__}: {error}")


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> bool:
    """Run on the loop. False: it has ended; what was committed stands, nobody is left to hear of it."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return False
    return True
