"""A small SMTP load generator: plain sockets in a few threads-free loops, PIPELINING as any modern sender uses it.

Each message has a Message-ID of its own, so no server can take one for another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Load:
    host: str
    port: int
    recipients: list[str]
    messages: int
    connections: int
    per_connection: int
    """Messages sent on a connection before it is closed and a new one opened."""
    size: int


def message(number: int, recipient: str, size: int) -> bytes:
    """About *size* octets, ready for DATA (no line begins with a dot), without the final dot."""
    head = (
        f"From: Sender <sender@load.test>\r\nTo: <{recipient}>\r\nSubject: message {number}\r\n"
        f"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}.{time.time_ns()}@load.test>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    ).encode()
    line = b"The quick brown fox jumps over the lazy dog and comes back again.\r\n"
    return head + line * max(1, (size - len(head)) // len(line))


class _Answers(asyncio.Protocol):
    """Counts complete replies; anything but 2xx and 3xx is an error that ends the run."""

    def __init__(self) -> None:
        self.rest = b""
        self.replies = 0
        self.waiter: asyncio.Future[None] | None = None
        self.wanted = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        for line in lines:
            if line[:1] not in (b"2", b"3"):
                self._fail(RuntimeError(f"refused: {line.decode(errors='replace')}"))
                return
            if line[3:4] != b"-":
                self.replies += 1
        if self.waiter is not None and self.replies >= self.wanted and not self.waiter.done():
            self.waiter.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("closed by the server"))

    def _fail(self, error: Exception) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(error)

    async def replied(self, count: int) -> None:
        """Until *count* more replies have come."""
        self.wanted += count
        if self.replies < self.wanted:
            self.waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(60):
                await self.waiter


async def _client(load: Load, numbers: Iterator[int]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        taken = list(islice(numbers, load.per_connection))
        if not taken:
            return
        _, answers = await loop.create_connection(_Answers, load.host, load.port)
        assert answers.transport is not None
        send = answers.transport.write
        await answers.replied(1)
        send(b"EHLO load.test\r\n")
        await answers.replied(1)
        for number in taken:
            recipient = load.recipients[number % len(load.recipients)]
            send(f"MAIL FROM:<sender@load.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
            await answers.replied(3)
            send(message(number, recipient, load.size) + b".\r\n")
            await answers.replied(1)
        send(b"QUIT\r\n")
        await answers.replied(1)
        answers.transport.close()


async def run(load: Load) -> float:
    """Send all; seconds until the last 250. Raises RuntimeError when a message is refused."""
    numbers = iter(range(load.messages))
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(load.connections):
            group.create_task(_client(load, numbers))
    return time.perf_counter() - started
