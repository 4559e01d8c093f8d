"""Healthy sessions beside an attack: one of each protocol on every worker, asking all the time whether all is well."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from .server import Server
from .wire import Imap, Pop3, Smtp, Wire

W = TypeVar("W", bound=Wire)

TEXT = b"From: a@far.test\r\nTo: canary@example.test\r\nSubject: canary\r\n\r\nStill singing.\r\n"
CANARY = "canary@example.test"
PAUSE_S = 0.02
MEBIBYTE = 1 << 20


class Canary:
    """`with Canary(server) as canary: attack()`; at the end every answer was right, and none took longer than *longest_s*.

    Other attackers and tests may share the processors, so the bound is for what hangs, not for what is slow.
    """

    def __init__(self, server: Server, *, longest_s: float = 3.0) -> None:
        self._server = server
        self._longest_s = longest_s
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failed: list[str] = []
        self.slowest = 0.0
        self.answers = 0

    def __enter__(self) -> Canary:
        for worker in self._server.workers:
            imap = on_worker(worker, self._server, lambda: Imap(self._server, login=CANARY))
            smtp = on_worker(worker, self._server, lambda: Smtp(self._server))
            pop3 = on_worker(worker, self._server, lambda: Pop3(self._server, "pop3"))
            self._threads.append(threading.Thread(target=self._sing, args=(imap, smtp, pop3), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
        if error is None:
            self.check()

    def check(self) -> None:
        assert not self._failed, self._failed[0]
        assert self.answers >= len(self._threads), "it never sang"
        assert self.slowest < self._longest_s, f"an answer took {self.slowest:.2f} s"

    def _sing(self, imap: Imap, smtp: Smtp, pop3: Pop3) -> None:
        try:
            with imap, smtp, pop3:
                imap.ask("EXAMINE Archive")
                turn = 0
                is_over = False
                while not is_over:
                    is_over = self._over.wait(PAUSE_S)
                    self._once(imap, smtp, pop3, turn)  # once more after the end: they live on
                    turn += 1
        except Exception as error:
            self._failed.append(f"{type(error).__name__}: {error}")

    def _once(self, imap: Imap, smtp: Smtp, pop3: Pop3, turn: int) -> None:
        began = time.monotonic()
        done, told = imap.ask("NOOP")
        assert done.startswith(b"OK") and not told, (done, told)
        done, told = imap.ask("UID FETCH 1 (BODY.PEEK[])")
        assert done.startswith(b"OK") and TEXT in told[0], (done, told)
        self._send_a_bit(smtp, turn)
        answer = pop3.ask("CAPA")
        assert answer.startswith(b"+OK"), answer
        while pop3.line() != b".\r\n":
            pass
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers += 1

    @staticmethod
    def _send_a_bit(smtp: Smtp, turn: int) -> None:
        """A command of a transaction at each turn; every twentieth turn it ends with a message."""
        if turn % 20 == 0:
            assert smtp.ask("MAIL FROM:<a@far.test>")[0] == 250
        code, text = smtp.ask(f"RCPT TO:<{CANARY}>")
        assert code == 250, (code, text)
        if turn % 20 == 19:
            assert smtp.ask("DATA")[0] == 354
            smtp.send(b"Subject: another\r\n\r\nTweet.\r\n.\r\n")
            code, text = smtp.reply()
            assert code == 250, (code, text)


BESIDE = 16 << 20
"""Octets that the workers may need meanwhile for what is not the attack: the indexer reads what came before."""


@contextmanager
def bounded(server: Server, *, memory: int, seconds: float) -> Iterator[None]:
    """All workers together grow by less than *memory* octets, measured while the attack still stands; others sing on."""
    began = time.monotonic()
    with Canary(server):
        before = server.rss()
        yield
        grown = server.rss() - before
    assert grown < memory + BESIDE, f"{grown / MEBIBYTE:.1f} MiB more"
    assert time.monotonic() - began < seconds


def worker_of(server: Server, sock: socket.socket) -> int:
    """Which worker has the other end of *sock*."""
    port = f":{sock.getsockname()[1]:04X}"
    inode = ""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[2].endswith(port) and words[1].endswith(f":{sock.getpeername()[1]:04X}"):
            inode = words[9]
    for pid in server.workers:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if inode and os.readlink(entry) == f"socket:[{inode}]":
                    return pid
            except OSError:
                continue
    raise AssertionError("no worker has that connection")


def on_worker(worker: int, server: Server, make: Callable[[], W]) -> W:
    """A connection that *worker* serves: the kernel spreads them, so we take what comes until it is the right one."""
    for _ in range(200):
        wire = make()
        if worker_of(server, wire.sock) == worker:
            return wire
        wire.close()
    raise AssertionError("all connections go to other workers")
