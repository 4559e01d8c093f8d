"""Which workers of this machine live: each holds a lock on a file of its own, which the kernel lets go of when it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os


class Lives:
    """Whether a worker, by its owner number (`storage.store.owner_of`), lives. *directory*: `run` of the data directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._held = -1

    def enter(self, slot: int, owner: int) -> None:
        """This process is *owner* until it ends. Removes what is left of those that had *slot* before."""
        for name in os.listdir(self._directory):
            if name.startswith(f"alive.{slot}."):
                os.unlink(os.path.join(self._directory, name))
        self._held = os.open(self._path(owner), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __call__(self, owner: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self._path(owner), os.O_WRONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(descriptor)
        return False

    def _path(self, owner: int) -> str:
        return os.path.join(self._directory, f"alive.{owner >> 32}.{owner & 0xFFFFFFFF}")
