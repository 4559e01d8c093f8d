"""Scene `queue`: does what waits for a dead destination slow the mail to a living one?

The queue is filled while no server runs; then one starts, and we take the time from its ready line to the last message at a
sink that takes everything. No peer: the measure is an empty queue.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from postillon.app.data import Layout, opened
from postillon.app.prepare import make_schema
from postillon.config import Config, Development
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, Plan

from .servers import Postillon

LIVING = 2000
MOST_LIVING = 10_000
WAITING = 100_000
PER_MESSAGE = 1000
ROUNDS = 3
TEXT = b"From: sender@bench.test\r\nSubject: bench\r\n\r\n" + b"The quick brown fox jumps over the lazy dog.\r\n" * 80


def queue(scale: float, row: Callable[..., None]) -> None:
    """2,000 messages to a living destination: alone, beside 100,000 that wait for their time, and 100,000 that are due."""
    row("queue", "ready after s", "to the living, messages/s", "share of the empty queue's", "CPU ms/message", "memory MiB")
    row(*["---"] * 6)
    waiting = int(WAITING * scale)
    scenes = {
        "empty": (0, 0),
        f"{waiting} to a dead destination wait": (waiting, 3600),
        f"{waiting} to a dead destination are due": (waiting, 0),
    }
    rates: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in scenes}
    # `--scale 9.9` is the whole: 990,000 of a million wait for the dead one. One round of it takes minutes.
    for _ in range(ROUNDS if scale <= 1 else 1):
        for name, (dead, ahead) in scenes.items():
            rates[name].append(asyncio.run(_measure(min(int(LIVING * scale), MOST_LIVING), dead, ahead)))
    best = {name: max(found, key=lambda figures: figures[1]) for name, found in rates.items()}
    # The best of the rounds: what else the machine does only ever slows down.
    for name, (ready, rate, cpu, memory) in best.items():
        row(name, f"{ready:.1f}", f"{rate:.0f}", f"{rate / best['empty'][1]:.2f}", f"{cpu:.2f}", memory >> 20)


async def _measure(living: int, dead: int, ahead: int) -> tuple[float, float, float, int]:
    """Seconds until ready, messages a second, CPU milliseconds a message, octets of memory at the end."""
    directory = Path(tempfile.mkdtemp(prefix="postillon-bench-queue-", dir="/tmp"))
    sink = Sink(living)
    server = await asyncio.get_running_loop().create_server(lambda: _Session(sink), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    routes = ("--route", f"living.test=127.0.0.1:{port}", "--route", "dead.test=127.0.0.1:1")
    postillon = Postillon(directory, ["user@bench.test"], arguments=routes)
    await _fill(directory / "data", living, dead, ahead)
    began = time.perf_counter()
    await asyncio.to_thread(postillon.start)
    ready, cpu = time.perf_counter(), postillon.cpu()
    try:
        async with asyncio.timeout(300):
            await sink.full.wait()
        took = time.perf_counter() - ready
        return ready - began, living / took, (postillon.cpu() - cpu) / living * 1000, postillon.memory()
    finally:
        await asyncio.to_thread(postillon.stop)
        server.close()


async def _fill(data: Path, living: int, dead: int, ahead: int) -> None:
    config = Config("bench.test", str(data), development=Development())
    layout = Layout(data)
    layout.make(must_be_private=False)
    await make_schema(layout)
    async with opened(config, instance=1) as house:
        now = int(time.time())
        # The dead come first, and the living after them.
        for at in range(0, dead, PER_MESSAGE):
            names = [f"u{n}@dead.test" for n in range(at, min(at + PER_MESSAGE, dead))]
            await house.store.commit(await _plan(house, names, now, now + ahead))
        for at in range(living):
            await house.store.commit(await _plan(house, [f"u{at}@living.test"], now, now))


async def _plan(house: object, names: list[str], now: int, due: int) -> Plan:
    store = house.store  # type: ignore[attr-defined]
    spool = store.spool(len(TEXT))
    spool.write(TEXT)
    envelope = Envelope(None, tuple(Recipient(Address.parse(name)) for name in names))
    destinations = tuple(recipient.address.domain for recipient in envelope.recipients)
    item = Enqueue(QueueId(store.new_ids(1)[0]), envelope, destinations, b"", None, due, now + 5 * 86400)
    return Plan(await spool.finish(), None, now, items=(item,))


@dataclass
class Sink:
    wanted: int
    taken: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> None:
        self.taken += 1
        if self.taken == self.wanted:
            self.full.set()


@dataclass
class _Session(asyncio.Protocol):
    """Takes all mail; PIPELINING, nothing else."""

    sink: Sink
    buffer: bytes = b""
    in_data: bool = False
    transport: asyncio.Transport = field(init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = []
        while True:
            end, mark = (b"\r\n.\r\n", 5) if self.in_data else (b"\r\n", 2)
            at = self.buffer.find(end)
            if at < 0:
                break
            line, self.buffer = self.buffer[:at], self.buffer[at + mark :]
            if self.in_data:
                self.in_data = False
                self.sink.take()
                answers.append(b"250 taken\r\n")
            elif line.startswith(b"EHLO"):
                answers.append(b"250-sink\r\n250 PIPELINING\r\n")
            elif line == b"DATA":
                self.in_data = True
                answers.append(b"354 go\r\n")
            else:
                answers.append(b"250 ok\r\n")
        self.transport.write(b"".join(answers))
