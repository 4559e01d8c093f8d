"""A message's octets while they arrive: in memory up to the inline limit, then in a file; hashed as they pass."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os

from ..model.errors import DiskFull, TooLarge, Unavailable
from ..model.ids import BlobId
from ..model.plan import Body
from .space import TEXT, Space

INLINE_LIMIT = 64 * 1024
"""Bodies up to this size lie in the database, so that one sync makes the whole acceptance durable."""


class Spool:
    """Write chunks, then `finish` or `discard`. Not durable: the commit makes it so."""

    __slots__ = ("_blob", "_chunks", "_fd", "_hash", "_is_finished", "_limit", "_path", "_space", "size")

    def __init__(self, directory: str, blob: BlobId, limit: int, space: Space | None = None) -> None:
        self._path = os.path.join(directory, f"{blob:x}")
        self._blob = blob
        self._limit = limit
        self._space = space or Space(directory)
        self._chunks: list[bytes] = []
        self._hash = hashlib.sha256()
        self._fd = -1
        self._is_finished = False
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge past the limit, DiskFull when there is no room, Unavailable when the file cannot be written."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(f"Message exceeds the limit of {self._limit} octets")
        self._hash.update(chunk)
        self._chunks.append(chunk)
        if self._fd >= 0 or self.size > INLINE_LIMIT:
            self._spill()

    def _spill(self) -> None:
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            rest = memoryview(b"".join(self._chunks))
            self._space.check(len(rest), is_inline=False)
            self._space.took(len(rest))
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(TEXT, detail=self._path) from error
            raise Unavailable("The message cannot be kept now; try again later", detail=f"{self._path}: {error}") from error
        self._chunks = []

    async def finish(self) -> Body:
        """The complete body. A spool file is synced here, in a thread, before anything names it."""
        digest = self._hash.digest()
        if self._fd < 0:
            self._space.took(2 * self.size)  # in the database's log, then in its file
            return Body(self._blob, self.size, digest, data=b"".join(self._chunks))
        self._is_finished = True
        await asyncio.to_thread(os.fsync, self._fd)
        os.close(self._fd)
        self._fd = -1
        return Body(self._blob, self.size, digest, path=self._path)

    def discard(self) -> None:
        """Forget it. Harmless when called twice, and after a commit has taken the file over."""
        self._chunks = []
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        elif not self._is_finished:
            return
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            return


def body_of(blob: BlobId, data: bytes) -> Body:
    """A body that we made ourselves and hold in memory. Raises TooLarge above the inline limit."""
    if len(data) > INLINE_LIMIT:
        raise TooLarge("Message is too large to be held in memory")
    return Body(blob, len(data), hashlib.sha256(data).digest(), data=data)
