"""Which workers of this machine live, and what they are at: each holds a lock on a file of its own, which the kernel lets go of
when it dies, and writes into it what `postillon status` tells."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Working:
    """A worker that lives."""

    pid: int
    connections: dict[str, int]
    """Sessions by service, a second ago."""


class Lives:
    """Whether a worker, by its owner number (`storage.store.owner_of`), lives. *directory*: `run` of the data directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._held = -1
        self._noted = b""

    def enter(self, slot: int, owner: int) -> None:
        """This process is *owner* until it ends. Removes what is left of those that had *slot* before."""
        for name in os.listdir(self._directory):
            if name.startswith(f"alive.{slot}."):
                os.unlink(os.path.join(self._directory, name))
        self._held = os.open(self._path(owner), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def note(self, connections: Mapping[str, int]) -> None:
        """Let the other workers know how many sessions this one has by service. Costs nothing as long as that stays the same."""
        note = json.dumps({"pid": os.getpid(), "connections": connections}).encode()
        if note != self._noted and self._held >= 0:
            self._noted = note
            os.ftruncate(self._held, os.pwrite(self._held, note, 0))

    def working(self) -> list[Working]:
        """The workers that live and have noted something."""
        names = [name for name in sorted(os.listdir(self._directory)) if name.startswith("alive.")]
        return [Working(note["pid"], note["connections"]) for name in names if (note := self._read(name))]

    def _read(self, name: str) -> dict[str, Any] | None:
        """None: it is dead, or was just writing."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            slot, instance = map(int, name.split(".")[1:])
            with open(os.path.join(self._directory, name), "rb") as file:
                note: dict[str, Any] = json.loads(file.read())
            return note if self((slot << 32) + instance) else None
        return None

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
