"""S1, the connection alone: sessions a second that say EHLO and QUIT, 20 at a time."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence

from .servers import Server

AT_ONCE = 20
ROUNDS = 3


class _Greeter(asyncio.Protocol):
    """One session: the greeting, EHLO, QUIT, the end."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self._ended = ended
        self._heard = b""
        self._steps = [b"EHLO load.test\r\n", b"QUIT\r\n", b""]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        last = self._heard[self._heard.rfind(b"\r\n", 0, -2) + 2 if self._heard.count(b"\r\n") > 1 else 0 :]
        if last.endswith(b"\r\n") and last[3:4] == b" ":
            assert last[:1] == b"2", last
            self._heard = b""
            step = self._steps.pop(0)
            if step:
                self._transport.write(step)
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


async def _run(host: str, port: int, count: int) -> float:
    loop = asyncio.get_running_loop()
    left = iter(range(count))

    async def line() -> None:
        for _ in left:
            ended: asyncio.Future[None] = loop.create_future()
            await loop.create_connection(lambda ended=ended: _Greeter(ended), host, port)  # type: ignore[misc]
            await ended

    started = time.perf_counter()
    await asyncio.gather(*(line() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - started)


def greetings(servers: Sequence[Server], scale: float, row: Callable[..., None]) -> None:
    row("EHLO, QUIT", "sessions/s", "CPU ms a session", "ratio", "ratio CPU")
    row(*["---"] * 5)
    count = int(3000 * scale)
    figures: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
    for _ in range(ROUNDS):
        for server in servers:
            cpu = server.cpu()
            rate = asyncio.run(_run(server.host, server.smtp, count))
            figures[server.name].append((rate, (server.cpu() - cpu) / count * 1000))
    first: tuple[float, float] | None = None
    for name, rounds in figures.items():
        rate, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        first = first or (rate, cpu)
        row(name, f"{rate:.0f}", f"{cpu:.2f}", f"{rate / first[0]:.1f}", f"{cpu / first[1]:.3f}")
