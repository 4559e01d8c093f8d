"""The server under attack: a `Postillon` whose memory, processes and bugs can be looked at, and that may be short of files."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tests.peers.postillon import Postillon
from tests.peers.processes import wait_until

IMPLICIT_TLS = ("submissions", "imaps", "pop3s")


class Server(Postillon):
    """*accounts*: address and password; *file_limit*: RLIMIT_NOFILE; *log*: not beside the data."""

    def __init__(
        self,
        data: Path,
        *options: str,
        accounts: Mapping[str, str],
        workers: int = 2,
        file_limit: int | None = None,
        log: Path | None = None,
    ) -> None:
        pairs = [word for item in accounts.items() for word in ("--account", ":".join(item))]
        super().__init__(data, "--workers", str(workers), *options, *pairs)
        if log is not None:
            self.log = log
        if file_limit:
            self.prefix = ("prlimit", f"--nofile={file_limit}:{file_limit}")
        self.ready_s = 0.0
        """How long the last start took."""
        self.ready_alone_s = 0.0
        """How long it would have taken if others had not used the processors meanwhile."""
        self._log_read = 0
        self._bugs: list[str] = []

    def start(self, *more: str) -> Server:
        began = time.monotonic()
        super().start(*more)
        self.ready_s = time.monotonic() - began
        self.ready_alone_s = self.ready_s - waited(self.process.pid) - max(map(waited, self.workers), default=0)
        return self

    def __enter__(self) -> Server:
        return self.start()

    def kill(self, *, supervisor_only: bool = False) -> None:
        """SIGKILL to the supervisor and all workers at once; orphans that wait for somebody to bury them count as gone.

        *supervisor_only*: the workers must end by themselves.
        """
        pids = [self.process.pid, *self.workers]
        for pid in pids[:1] if supervisor_only else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(20)
        wait_until(lambda: not any(map(is_alive, pids)), 20, "the killed to be gone")
        if self.process.stdout is not None:
            self.process.stdout.close()

    def end(self) -> None:
        """Faults are over: nothing has to be said goodbye to."""
        if self.process.poll() is None:
            self.kill()
        super().end()

    def kill_worker(self, pid: int) -> None:
        """SIGKILL to one worker; the supervisor replaces it."""
        assert pid in self.workers, "not a worker of this server"
        os.kill(pid, signal.SIGKILL)

    def rss(self) -> int:
        """Octets of memory of all workers together, pages that they share counted for each."""
        return sum(map(rss, self.workers))

    def anonymous(self) -> int:
        """Octets of memory that belong to the workers alone: without files that are mapped, which the kernel may drop."""
        return sum(map(anonymous, self.workers))

    def bugs(self) -> list[str]:
        """Lines of the log that tell of an exception nobody expected."""
        return [line for line in self.log_text.splitlines() if "trace=" in line or "Traceback" in line]

    def connect(self, service: str, *, source: str | None = None, timeout_s: float = 20) -> socket.socket:
        """A connected socket, inside TLS where the service begins with it. *source*: our address."""
        local = (source, 0) if source else None
        sock = socket.create_connection((self.host, self.port(service)), timeout=timeout_s, source_address=local)
        if service not in IMPLICIT_TLS:
            return sock
        return self.tls().wrap_socket(sock, server_hostname="localhost")


def waited(pid: int) -> float:
    """Seconds for which the threads of a process were ready to run and no processor was free; 0 where Linux does not tell."""
    try:
        stats = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        return 0.0
    return sum(int(words[1]) for words in stats) / 1e9


def is_alive(pid: int) -> bool:
    """Whether the process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] not in ("Z", "X")
    except OSError:
        return False


def anonymous(pid: int) -> int:
    """Octets of a process' anonymous memory; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))


def rss(pid: int) -> int:
    """Resident memory of a process in octets; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
