"""Bodies as files, one each, in two levels of folders named from the blob's id. No user's string is ever a path."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence

from ...model.errors import Corrupted, DiskFull, Unavailable
from ...model.ids import BlobId

AT_HAND = 256 << 10
"""Octets up to which a read is tried on the event loop."""


class FileBlobs:
    """`seams.BlobStore` in a directory on the same file system as the spool."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def _path(self, blob: BlobId) -> str:
        name = f"{blob:016x}"
        # The high digits are time: folders fill one after the other and old ones stay as they are.
        return os.path.join(self._directory, name[:5], name[5:7], name)

    async def put(self, blob: BlobId, path: str) -> None:
        await asyncio.to_thread(self._put, path, self._path(blob))

    def _put(self, source: str, target: str) -> None:
        try:
            parent = os.path.dirname(target)
            if not os.path.isdir(parent):
                os.makedirs(parent, mode=0o700, exist_ok=True)
                _sync_directory(os.path.dirname(parent))
                _sync_directory(self._directory)
            os.rename(source, target)
            _sync_directory(parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("Not enough disk space; try again later", detail=target) from error
            raise Unavailable("The message could not be stored", detail=f"{target}: {error}") from error

    async def read(self, blob: BlobId, start: int, stop: int) -> bytes:
        path = self._path(blob)
        found = _at_hand(path, start, stop) if stop - start <= AT_HAND else None
        return await asyncio.to_thread(self._read, path, start, stop) if found is None else found

    def _read(self, path: str, start: int, stop: int) -> bytes:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise Corrupted("The message's text is missing", detail=f"{path}: {error}") from error
        try:
            found = os.pread(fd, stop - start, start)
        finally:
            os.close(fd)
        if len(found) != stop - start:
            raise Corrupted("The message's text is damaged", detail=f"{path}: {start} to {stop} gave {len(found)} octets")
        return found

    async def delete(self, blobs: Sequence[BlobId]) -> None:
        await asyncio.to_thread(self._delete, list(map(self._path, blobs)))

    @staticmethod
    def _delete(paths: list[str]) -> None:
        for path in paths:
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue


def _at_hand(path: str, start: int, stop: int) -> bytes | None:
    """The octets, if the kernel has them in memory: then reading them takes less time than asking a thread to."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None  # the thread will tell
    buffer = bytearray(stop - start)
    try:
        return bytes(buffer) if os.preadv(fd, [buffer], start, os.RWF_NOWAIT) == len(buffer) else None
    except OSError:  # it would have to wait for the disk, or the file system cannot tell
        return None
    finally:
        os.close(fd)


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
