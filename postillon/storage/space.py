"""Room on the disk: mail is refused before there is none, and a reserve lets deletions through when there is none all the same.

The reserve is a file of preallocated octets. Whatever frees space or ends work under way (flags, EXPUNGE, the janitor, the
queue) needs a few octets itself; when the disk is full it gives the reserve back to the file system and tries again. As the
reserve is smaller than the room that new mail must leave free, new mail cannot use it up.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from ..log import Log
from ..model.errors import DiskFull
from ..seams import Tx

LEAST_FREE = 256 << 20
"""Octets that new mail must leave free; a twentieth of the disk where that is less."""
RESERVE = 64 << 20
"""Octets of the reserve; a fiftieth of the disk where that is less."""
ASK_AGAIN_S = 1.0
"""How long an answer of the file system is good for; what we write meanwhile is counted."""
TEXT = "Not enough disk space; try again later"

log = Log("space")


class Space:
    """The file system that *directory* lies on. One for each process; the reserve is shared. Only `release` and `keep` write."""

    def __init__(self, directory: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._reserve = os.path.join(directory, "reserve")
        self._clock = clock
        self._asked_at = float("-inf")
        self._free = self._total = self._spare = self._owed = 0
        self.on_pressed: Callable[[], None] = lambda: None
        """Called, on the event loop, when something was refused for want of space: there is work for the janitor."""

    @property
    def is_stale(self) -> bool:
        """Whether `look` should be called before the next `check`."""
        return self._clock() - self._asked_at >= ASK_AGAIN_S

    def look(self, database: tuple[int, int] | None = None) -> None:
        """Ask the file system. *database*: what `octets_of` told; None: as before."""
        found = os.statvfs(self._directory)
        if database is not None:
            self._spare, self._owed = database
        self._free = found.f_bavail * found.f_frsize - self._owed
        self._total = found.f_blocks * found.f_frsize
        self._asked_at = self._clock()

    @property
    def least_free(self) -> int:
        return min(LEAST_FREE, self._total // 20)

    @property
    def is_low(self) -> bool:
        """Whether large messages are refused, or nearly so."""
        return self._free < self.least_free * 2

    def check(self, size: int = 0, *, is_inline: bool = True) -> None:
        """May *size* octets more be taken? *is_inline*: into the database's file. Raises DiskFull."""
        if self.is_stale:
            self.look()
        # The log of the database needs room even where its file has some: spare octets help down to a half of the least.
        usable = self._free + min(self._spare, self.least_free // 2) if is_inline else self._free
        needed = 2 * size if is_inline else size
        if usable - needed < self.least_free:
            self.on_pressed()
            raise DiskFull(TEXT, detail=f"{self._free} octets free in {self._directory}, {needed} needed")

    def took(self, size: int) -> None:
        """*size* octets were written."""
        self._free -= size

    # --- the reserve -----------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Make the reserve if it is not there and there is room for it beside what mail must leave free. Blocks."""
        self.look()
        size = min(RESERVE, self._total // 50)
        if not size or self._kept() >= size or self._free - size < self.least_free:
            return
        fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            log.debug("no reserve", reason=str(error))
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def release(self) -> bool:
        """Give the reserve to the file system; durable, so that the octets can be had at once. False: there is none. Blocks."""
        kept = self._kept()
        if not kept:
            return False
        with contextlib.suppress(OSError):
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.ftruncate(fd, 0)
                os.fsync(fd)
            finally:
                os.close(fd)
        log.warning("the disk is full; the reserve was given up so that mail can be deleted", size=kept, where=self._directory)
        self.look()
        return True

    def begin(self) -> None:
        """At the start, before a database is opened: opening needs some octets, too."""
        self.look()
        if self._free < self.least_free // 2:
            self.release()
        else:
            self.keep()

    def _kept(self) -> int:
        try:
            return os.stat(self._reserve).st_size
        except OSError:
            return 0


def octets_of(tx: Tx) -> tuple[int, int]:
    """(octets that the database's file could take without growing, octets by which it grows at the next checkpoint).

    (PostgreSQL's files are on a disk of their own.)
    """
    if tx.dialect != "sqlite":
        return 0, 0
    size, pages, spare = (_number(tx, name) for name in ("page_size", "page_count", "freelist_count"))
    file = tx.one("PRAGMA database_list")
    try:
        present = os.stat(file[2]).st_size if file else 0
    except OSError:  # it has no name: a database in memory
        return spare * size, 0
    return spare * size, max(0, pages * size - present)


def _number(tx: Tx, pragma: str) -> int:
    row = tx.one(f"PRAGMA {pragma}")
    return int(row[0]) if row else 0


def shrink(tx: Tx, pages: int) -> int:
    """Give up to *pages* free pages of the database's file back to the file system; how many went."""
    if tx.dialect != "sqlite":
        return 0
    before = _number(tx, "freelist_count")
    if before:
        tx.all(f"PRAGMA incremental_vacuum({pages:d})")
    return before - _number(tx, "freelist_count")
