"""Finds the files of bodies that no row names: what was moved into place by a worker that died before its commit, and what stayed
in the spool of messages that were refused, or whose worker died, while the server went on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from itertools import islice

from ...log import Log
from ...model.ids import BlobId
from ...seams import Clock
from ..ids import second_of
from ..store import Store
from .files import FileBlobs

log = Log("janitor")

EVERY_S = 86400
GRACE_S = 7 * 86400
"""So long a file may lie without a row. No commit takes so long; but a database may have been restored from a backup that is
older than its files, and who finds that out wants them back."""
AT_ONCE = 500
SPOOL_EVERY_S = 3600
SPOOL_GRACE_S = 6 * 3600
"""So long a file in the spool may lie untouched. Whoever still writes, or judges what is complete, has run out of time before."""


class Sweep:
    """Once a day, in steps: `step` is one for the `Janitor`."""

    def __init__(self, store: Store, blobs: FileBlobs, directory: str, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._directory = directory
        self._clock = clock
        self._next = 0
        self._found: Iterator[BlobId] | None = None

    async def step(self) -> int:
        """Look at some hundred files; how many that were, 0 when the day's work is done."""
        now = self._clock.now()
        if self._found is None:
            if now < self._next:
                return 0
            self._found, self._next = _files(self._directory), now + EVERY_S
        found = self._found
        seen = await asyncio.to_thread(lambda: list(islice(found, AT_ONCE)))
        if not seen:
            self._found = None
            return 0
        old = [blob for blob in seen if second_of(blob) < now - GRACE_S]
        lost = set(old) - await self._store.known_blobs(old)
        if lost:
            log.info("bodies without a message removed", count=len(lost))
            await self._blobs.delete(sorted(lost))
        return len(seen)


class SpoolSweep:
    """Once an hour: `step` is one for the `Janitor`."""

    def __init__(self, directory: str, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._next = 0

    async def step(self) -> int:
        """How many files went."""
        now = self._clock.now()
        if now < self._next:
            return 0
        self._next = now + SPOOL_EVERY_S
        gone = await asyncio.to_thread(_remove_older, self._directory, now - SPOOL_GRACE_S)
        if gone:
            log.info("bodies that were never accepted removed", count=gone)
        return gone


def _remove_older(directory: str, before: int) -> int:
    gone = 0
    with os.scandir(directory) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):  # other workers look, too, and its owner may be done with it
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    os.unlink(entry.path)
                    gone += 1
    return gone


def _files(directory: str) -> Iterator[BlobId]:
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                yield BlobId(int(name, 16))
            except ValueError:
                log.warning("a file that is not ours lies among the bodies", path=os.path.join(folder, name))
