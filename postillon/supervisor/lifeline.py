"""The socket between the supervisor and one child: the child's standard input, used in both directions, one JSON object a line.

Down: first the `Spec`, later nothing (its end means that the supervisor is gone). Up: `{"ready": true}` once,
`{"alive": seconds for which the writer has held the write lock}` each second. Secrets travel here, never on a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ..config import Config, Size

HEARTBEAT_S = 1.0
MAX_SPEC = 16 << 20


@dataclass(frozen=True, slots=True)
class Wishes:
    """What must exist before the developer mode serves; only the preparing child gets it."""

    domains: tuple[str, ...]
    accounts: tuple[tuple[str, str], ...]
    """(address, password)."""
    default_accounts: bool
    """Make alice and bob at the first domain, with generated passwords."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a child must know. *listeners* are (service, file descriptor)."""

    config: Config
    supervisor: int
    """Its process id."""
    slot: int
    workers: int
    """How many slots there are."""
    generation: int
    """How many workers there were in this slot before."""
    instance: int
    """Unlike that of any other process of the server, now or before. Leases, locks and ids are made with it."""
    listeners: tuple[tuple[str, int], ...] = ()
    admin: int = -1
    sendmail: int = -1
    wishes: Wishes | None = None


def encode(spec: Spec) -> bytes:
    return msgspec.json.encode(spec, enc_hook=int) + b"\n"


def decode(line: bytes) -> Spec:
    return msgspec.json.decode(line, type=Spec, dec_hook=lambda kind, value: Size.parse(value) if kind is Size else value)


class Lifeline:
    """The child's end. Blocking until the spec is read, then the loop's."""

    def __init__(self, fd: int = 0) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))

    def spec(self) -> Spec:
        """Wait for it. Ends the process quietly when the supervisor goes away first."""
        received = bytearray()
        while not received.endswith(b"\n"):
            piece = self._socket.recv(1 << 16)
            if not piece or len(received) > MAX_SPEC:
                os._exit(0)
            received += piece
        return decode(bytes(received))

    def tell(self, **fields: Any) -> None:
        """Send one object up. A supervisor that is gone is no error here: the end of the line tells."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(fields).encode() + b"\n")

    async def beat(self, lock_held_s: Callable[[], float]) -> None:
        """Tell each second that the loop lives, and for how long the database's write lock has been held. Never returns."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self._ended)
        while True:
            self.tell(alive=round(lock_held_s(), 1))
            await asyncio.sleep(HEARTBEAT_S)

    def _ended(self) -> None:
        if not self._socket.recv(1 << 16):
            os.kill(os.getpid(), signal.SIGKILL)  # nobody would replace us or keep our ports; leases are void at the next start
