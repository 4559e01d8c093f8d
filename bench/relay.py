"""S2: mail that is accepted, queued and handed on to another server, 4 KiB, 20 messages per connection on the way in."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.peers.postfix import Postfix
from tests.peers.processes import free_port

from .cpu import cpu_seconds
from .servers import Postillon
from .smtp_load import Load, run

ROUNDS = 3
ALIAS = "relay@bench.test"
TARGET = "somebody@sink.test"


class Sink:
    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._count = directory / "count"
        self._count.write_text("0")
        command = [sys.executable, "-m", "bench.sink", str(self.port), str(self._count)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def taken(self) -> int:
        return int(self._count.read_text() or 0)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def _servers(directory: Path, sink: Sink, workers: int) -> Iterator[dict[str, tuple[int, str, int]]]:
    """name → (port, recipient, pid) of each side."""
    postfix = Postfix(directory / "postfix", free_port(), settings={"relayhost": f"[127.0.0.1]:{sink.port}"}, processes=200)
    postfix.start()
    route = ("--route", f"sink.test=127.0.0.1:{sink.port}")
    ours = Postillon(directory / "postillon", ["admin@bench.test"], workers=workers, arguments=route)
    ours.start()
    command = [sys.executable, "-m", "postillon", "alias", "add", ALIAS, TARGET, "--data", str(directory / "postillon" / "data")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    try:
        yield {"Postfix": (postfix.port, TARGET, postfix.master_pid), "Postillon": (ours.smtp, ALIAS, ours.ready["pid"])}
    finally:
        ours.stop()
        postfix.stop()


def relay(scale: float, workers: int) -> list[tuple[str, float, float]]:
    """(server, relayed per second, CPU ms a message), medians of ROUNDS, Postfix first."""
    directory = Path(tempfile.mkdtemp(prefix="postillon-bench-", dir="/tmp"))
    sink = Sink(directory)
    count = int(3000 * scale)
    figures: dict[str, list[tuple[float, float]]] = {}
    try:
        with _servers(directory, sink, workers) as servers:
            for _ in range(ROUNDS):
                for name, (port, recipient, pid) in servers.items():
                    figures.setdefault(name, []).append(_relay(sink, port, recipient, pid, count))
    finally:
        sink.stop()
    return [(name, *(statistics.median(column) for column in zip(*rounds, strict=True))) for name, rounds in figures.items()]


def _relay(sink: Sink, port: int, recipient: str, pid: int, count: int) -> tuple[float, float]:
    before, cpu = sink.taken(), cpu_seconds(pid)
    started = time.perf_counter()
    asyncio.run(run(Load("127.0.0.1", port, [recipient], count, 20, 20, 4096)))
    while sink.taken() < before + count:
        if time.perf_counter() > started + 90:
            raise TimeoutError(f"{sink.taken() - before} of {count} arrived")
        time.sleep(0.01)
    return count / (time.perf_counter() - started), (cpu_seconds(pid) - cpu) / count * 1000
