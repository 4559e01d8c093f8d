"""The search index: documents of a database of their own, which may be lost at any time (`seams.SearchIndex`).

SQLite narrows a search by trigrams (FTS5) and looks at the kept text of what is left; other databases look at the text of
all. Every answer is exact for those messages that are in the index: `known` tells which.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from ...log import Log
from ...model.errors import DiskFull, Unavailable
from ...model.ids import AccountId, EmailId, MailboxId
from ...seams import Database, Row, Tx, Work
from ..db.dialect import ids
from ..db.migrate import migrate
from ..db.sqlite import SqliteDatabase
from . import schema
from .documents import Document

T = TypeVar("T")

Breathe = Callable[[], Awaitable[Any]]

OWNER_SHIFT = 40
"""Document ids: the owner's number, then this many bits that count."""
VERIFY = 2000
"""Documents whose text is looked at in one statement."""
MAX_TRIGRAMS = 16
DAMAGED = ("CorruptError", "NotADBError", "not a database", "malformed", "no such table")
"""Words of errors after which nothing in the file is believed."""

log = Log("search")


class TextIndex:
    """`seams.SearchIndex` over a database. `open` makes the schema that is missing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, now: int) -> TextIndex:
        await migrate(self._database, now, schema)
        await self._database.write(_full_text)
        return self

    # --- what is in it ---------------------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Another one than before: what was in the index need not be there any more."""
        return 0

    async def marks(self, account: AccountId) -> dict[int, int]:
        """By mailbox: every message with a uid up to this one has been added."""

        def work(tx: Tx) -> dict[int, int]:
            return {row[0]: row[1] for row in tx.all("SELECT mailbox_id, uid FROM mark WHERE account_id = ?", account)}

        return await self._read(work)

    async def known(self, emails: Sequence[int]) -> dict[int, int]:
        """By email: the document of those of *emails* that have one, 0 where not all of their text is kept."""

        def work(tx: Tx) -> dict[int, int]:
            sql, value = ids(tx, emails)
            rows = tx.all(f"SELECT email_id, document_id * whole FROM document WHERE email_id IN {sql}", value)
            return {row[0]: row[1] for row in rows}

        return await self._read(work)

    async def sample(self, after: int, limit: int) -> list[tuple[int, int]]:
        """(document id, email id) past *after*, for whoever looks what is there without a message."""

        def work(tx: Tx) -> list[Row]:
            sql = "SELECT document_id, email_id FROM document WHERE document_id > ? ORDER BY document_id LIMIT ?"
            return tx.all(sql, after, limit)

        return [(row[0], row[1]) for row in await self._read(work)]

    # --- changing --------------------------------------------------------------------------------------------------

    async def add(self, account: AccountId, documents: Sequence[Document], mailbox: MailboxId, uid: int) -> None:
        """Add *documents*, which may be there already; then the mailbox is indexed up to *uid*."""
        await self._write(lambda tx: _add(tx, account, documents, mailbox, uid))

    async def remove(self, emails: Sequence[int]) -> None:
        """Forget *emails*; those that are not there are no error."""
        if emails:
            await self._write(lambda tx: _remove(tx, emails))

    # --- finding ---------------------------------------------------------------------------------------------------

    async def in_field(self, field: bytes, needle: str, among: set[int], breathe: Breathe) -> set[int]:
        """Those of the documents *among* that have *needle* (folded) in a header field called *field* (lower case)."""
        if "\n" in needle:
            return set()
        octets = needle.encode("utf-8", "replace")
        line = re.compile(rb"\n%b: [^\n]*?%b" % (re.escape(field), re.escape(octets)))

        def has(tx: Tx, documents: Sequence[int]) -> list[int]:
            sql, values = _these(tx, documents)
            rows = tx.all(f"SELECT document_id, text FROM head WHERE document_id {sql}", *values)
            search = line.search
            return [row[0] for row in rows if search(row[1])]

        return await self._find("head", needle, among, has, breathe)

    async def in_head(self, needle: str, among: set[int], breathe: Breathe) -> set[int]:
        """Those that have *needle* anywhere in the header."""
        return await self._find("head", needle, among, _holds("head", needle), breathe)

    async def in_body(self, needle: str, among: set[int], breathe: Breathe) -> set[int]:
        """Those that have *needle* in the text."""
        return await self._find("body", needle, among, _holds("body", needle), breathe)

    async def _find(
        self, table: str, needle: str, among: set[int], has: Callable[[Tx, Sequence[int]], list[int]], breathe: Breathe
    ) -> set[int]:
        if not among:
            return set()
        documents = await self._read(lambda tx: _candidates(tx, table, needle, among))
        found: set[int] = set()
        for at in range(0, len(documents), VERIFY):
            part = documents[at : at + VERIFY]
            found.update(await self._read(lambda tx, part=part: has(tx, part)))  # type: ignore[misc]
            await breathe()
        return found & among

    # --- the database ----------------------------------------------------------------------------------------------

    async def _read(self, work: Work[T]) -> T:
        return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        return await self._database.write(work, heavy=True)

    async def close(self) -> None:
        await self._database.close()


class FileIndex(TextIndex):
    """In a SQLite file. When that is gone or damaged, a new one is begun, by whichever worker sees it first."""

    def __init__(self, path: str, now: Callable[[], int], *, checkpoints: bool = True) -> None:
        self._path = path
        self._now = now
        self._checkpoints = checkpoints
        self._inode = 0
        self._opening = asyncio.Lock()
        self._is_open = False

    @property
    def generation(self) -> int:
        return self._inode

    async def open(self, now: int = 0) -> FileIndex:
        async with self._opening:
            await self._begin()
        return self

    async def _begin(self) -> None:
        """Open the file that lies there; a damaged one is replaced. Other workers may be about to do the same."""
        try:
            fd = os.open(self._path + ".begin", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Unavailable("The search index cannot be opened", detail=str(error)) from error
        try:
            await asyncio.to_thread(fcntl.flock, fd, fcntl.LOCK_EX)
            try:
                await self._reopen()
            except Unavailable as error:
                if not self._discard(error):
                    raise
                await self._reopen()
        finally:
            os.close(fd)

    async def _reopen(self) -> None:
        database = SqliteDatabase(self._path, lambda topics: None, readers=1, synchronous="NORMAL", checkpoints=self._checkpoints)
        try:
            database.open()
            await migrate(database, self._now(), schema)
            await database.write(_full_text)
        except BaseException:
            await database.close()
            raise
        if self._is_open:
            await self._database.close()
        self._database, self._is_open = database, True
        self._inode = os.stat(self._path).st_ino

    async def _current(self) -> None:
        """See that the file we have open is the one that lies there."""
        try:
            is_current = self._is_open and os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            is_current = False
        if not is_current:
            async with self._opening:
                with contextlib.suppress(FileNotFoundError):
                    if self._is_open and os.stat(self._path).st_ino == self._inode:
                        return
                if self._is_open:
                    log.warning("search index is not there; it is made again", path=self._path)
                await self._begin()

    async def _read(self, work: Work[T]) -> T:
        await self._current()
        try:
            return await self._database.read(work)
        except Unavailable as error:
            self._discard(error)
            raise

    async def _write(self, work: Work[T]) -> T:
        await self._current()
        try:
            return await self._database.write(work, heavy=True)
        except DiskFull:
            raise
        except Unavailable as error:
            self._discard(error)
            raise

    def _discard(self, error: Unavailable) -> bool:
        """A damaged file goes, and the next who asks begins a new one. False: the error was another one."""
        if not any(word in error.detail for word in DAMAGED):
            return False
        log.warning("search index is damaged; it is made again", reason=error.detail)
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path + ending)
        return True

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            await self._database.close()


# --- works -------------------------------------------------------------------------------------------------------------


def _full_text(tx: Tx) -> None:
    if tx.dialect == "sqlite":
        for statement in schema.FULL_TEXT:
            tx.run(statement)


def _candidates(tx: Tx, table: str, needle: str, among: set[int]) -> list[int]:
    """Those of the documents *among* that may have *needle*, in order."""
    if tx.dialect != "sqlite" or len(needle) < 3:
        return sorted(among)
    rows = tx.all(
        f"SELECT rowid FROM {table}_words WHERE {table}_words MATCH CAST(? AS TEXT) AND rowid BETWEEN ? AND ?",
        _trigrams(needle).encode("utf-8", "replace"),
        min(among),
        max(among),
    )
    return sorted(among.intersection([row[0] for row in rows]))


def _these(tx: Tx, documents: Sequence[int]) -> tuple[str, tuple[Any, ...]]:
    """(sql, values) for `document_id {sql}`; where they lie close together a range with them in it, which is read faster."""
    if documents[-1] - documents[0] < 2 * len(documents):
        return "BETWEEN ? AND ?", (documents[0], documents[-1])
    sql, value = ids(tx, documents)
    return f"IN {sql}", (value,)


def _trigrams(needle: str) -> str:
    """All of them that tell something, or some of very many."""
    every = list(dict.fromkeys(needle[at : at + 3] for at in range(len(needle) - 2)))
    chosen = every if len(every) <= MAX_TRIGRAMS else every[:: len(every) // MAX_TRIGRAMS + 1]
    return " AND ".join('"' + one.replace('"', '""') + '"' for one in chosen)


def _holds(table: str, needle: str) -> Callable[[Tx, Sequence[int]], list[int]]:
    octets = needle.encode("utf-8", "replace")

    def work(tx: Tx, documents: Sequence[int]) -> list[int]:
        sql, values = _these(tx, documents)
        test = "instr(text, ?) > 0" if tx.dialect == "sqlite" else "position(?::bytea in text) > 0"
        rows = tx.all(f"SELECT document_id FROM {table} WHERE document_id {sql} AND {test}", *values, octets)
        return [row[0] for row in rows]

    return work


def _owner(tx: Tx, account: AccountId, count: int) -> int:
    """Take *count* document ids for the account: the first of them."""
    row = tx.one("UPDATE owner SET next = next + ? WHERE account_id = ? RETURNING number, next", count, account)
    if row is None:
        last = tx.one("SELECT max(number) FROM owner")
        number = (last[0] if last and last[0] is not None else 0) + 1
        tx.run("INSERT INTO owner (account_id, number, next) VALUES (?, ?, ?)", account, number, count + 1)
        row = (number, count + 1)
    return int(row[0] << OWNER_SHIFT) + int(row[1]) - count


def _add(tx: Tx, account: AccountId, documents: Sequence[Document], mailbox: MailboxId, uid: int) -> None:
    sql, value = ids(tx, [one.email for one in documents])
    known = {row[0] for row in tx.all(f"SELECT email_id FROM document WHERE email_id IN {sql}", value)}
    new = list({one.email: one for one in documents if one.email not in known}.values())
    if new:
        first = _owner(tx, account, len(new))
        numbered = list(enumerate(new, first))
        tx.many(
            "INSERT INTO document (document_id, email_id, whole) VALUES (?, ?, ?)",
            [(number, EmailId(one.email), int(one.whole)) for number, one in numbered],
        )
        whole = [(number, one) for number, one in numbered if one.whole]
        for table, texts in (
            ("head", [(number, one.head) for number, one in whole]),
            ("body", [(number, one.body) for number, one in whole]),
        ):
            tx.many(f"INSERT INTO {table} (document_id, text) VALUES (?, ?)", texts)
            if tx.dialect == "sqlite":
                # The tokenizer stops at a NUL.
                words = [(number, text.replace(b"\0", b"\1")) for number, text in texts]
                tx.many(f"INSERT INTO {table}_words (rowid, text) VALUES (?, CAST(? AS TEXT))", words)
    tx.run(
        "INSERT INTO mark (account_id, mailbox_id, uid) VALUES (?, ?, ?)"
        " ON CONFLICT (account_id, mailbox_id) DO UPDATE SET uid = excluded.uid",
        account,
        mailbox,
        uid,
    )


def _remove(tx: Tx, emails: Sequence[int]) -> None:
    sql, value = ids(tx, emails)
    rows = tx.all(f"DELETE FROM document WHERE email_id IN {sql} RETURNING document_id", value)
    sql, value = ids(tx, [row[0] for row in rows])
    for table in ("head", "body"):
        tx.run(f"DELETE FROM {table} WHERE document_id IN {sql}", value)
        if tx.dialect == "sqlite":
            tx.run(f"DELETE FROM {table}_words WHERE rowid IN {sql}", value)
