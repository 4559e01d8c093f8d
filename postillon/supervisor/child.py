"""One child process as the supervisor sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

from .lifeline import Spec, encode


class Child:
    """A started interpreter that waits for its `Spec`. It loads its modules meanwhile, so starting several costs little more."""

    def __init__(self, command: Sequence[str], slot: int, generation: int, instance: int, pass_fds: Collection[int]) -> None:
        self.slot = slot
        self.generation = generation
        self.instance = instance
        self.ready = False
        self.started = time.monotonic()
        self.heard = self.started
        self.lock_held_s = 0.0
        self.killed_for = ""
        self._received = b""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen([sys.executable, *command], stdin=theirs.fileno(), pass_fds=pass_fds)
        self.line = ours
        self.line.setblocking(False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, spec: Spec) -> None:
        """Hand over the spec. A child that died meanwhile is no error: its death is seen elsewhere."""
        self.line.setblocking(True)
        self.line.settimeout(5)
        with contextlib.suppress(OSError):
            self.line.sendall(encode(spec))
        self.line.setblocking(False)

    def hear(self) -> list[dict[str, Any]]:
        """What it has told since. Keeps `ready`, `heard` and `lock_held_s` up to date."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while piece := self.line.recv(1 << 16):
                self._received += piece
        *lines, self._received = self._received.split(b"\n")
        told: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for message in told:
            self.heard = time.monotonic()
            self.ready = self.ready or bool(message.get("ready"))
            self.lock_held_s = message.get("alive", self.lock_held_s)
        return told

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self, reason: str) -> None:
        self.killed_for = reason
        self.signal(signal.SIGKILL)

    def gone(self) -> int | None:
        """Its exit status, negative for a signal; None while it lives."""
        return self.process.poll()

    def close(self) -> None:
        self.line.close()
