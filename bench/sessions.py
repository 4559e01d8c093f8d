"""Scenes `logins`, `mixed`, `idle` and `patience`: many IMAP connections at once.

All are driven by one asyncio client that reads as little as it can: it waits for the tagged line of each command.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence

from .corpus import message
from .servers import PASSWORD, Server

Row = Callable[..., None]
BODY = b"From: sender@bench.test\r\nSubject: hello\r\n\r\n" + b"The quick brown fox jumps over the lazy dog.\r\n" * 60


class Client(asyncio.Protocol):
    """One IMAP connection. `command` sends and returns everything up to the tagged line; `heard` is when octets last came."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._tag = 0
        self._wanted = b"* "
        self._done: asyncio.Future[bytes] | None = None
        self._watch: tuple[bytes, asyncio.Future[float]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, server: Server) -> Client:
        _, client = await asyncio.get_running_loop().create_connection(cls, server.host, server.imap)
        await client._until(b"* OK")
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._watch is not None and self._watch[0] in self._buffer:
            self._watch[1].set_result(time.perf_counter())
            self._watch = None
        if self._done is not None:
            at = self._buffer.find(self._wanted, max(0, len(self._buffer) - len(data) - len(self._wanted)))
            if (at == 0 or (at > 0 and self._buffer[at - 1] == 10)) and self._buffer.find(b"\r\n", at) >= 0:
                answer = bytes(self._buffer)
                self._buffer.clear()
                self._done.set_result(answer)
                self._done = None

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None:
            self._done.set_exception(ConnectionError("closed by the server"))

    async def _until(self, wanted: bytes) -> bytes:
        self._wanted = wanted
        self._done = asyncio.get_running_loop().create_future()
        if self._buffer:
            self.data_received(b"")
        return await self._done if self._done is not None else b""

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def command(self, text: bytes) -> bytes:
        self._tag += 1
        tag = b"a%d " % self._tag
        self.send(tag + text + b"\r\n")
        answer = await self._until(tag)
        if b"\n" + tag + b"OK" not in b"\n" + answer and b"EXPUNGEISSUED" not in answer:
            raise RuntimeError(f"{text[:60]!r}: {answer[-200:]!r}")
        return answer

    async def login(self, user: str) -> None:
        await self.command(f"LOGIN {user} {PASSWORD}".encode())

    async def idle(self) -> None:
        self._tag += 1
        self.send(b"a%d IDLE\r\n" % self._tag)
        await self._until(b"+")

    def watch(self, wanted: bytes) -> asyncio.Future[float]:
        """When *wanted* comes."""
        self._buffer.clear()
        found: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._watch = (wanted, found)
        return found

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def logins(servers: Sequence[Server], users: Sequence[str], scale: float, row: Row) -> None:
    """S9: LOGIN and LOGOUT on a new connection each, 20 at a time."""
    count = int(2000 * scale)
    row("login and logout", "each second", "CPU ms", "ratio")
    row(*["---"] * 4)
    rates = []
    for server in servers:
        for user in users[:20]:  # what a server remembers of a login, it remembers from here on
            asyncio.run(_login(server, user))
        cpu, started = server.cpu(), time.perf_counter()
        asyncio.run(_many_logins(server, users[:20], count))
        rates.append(count / (time.perf_counter() - started))
        row(server.name, f"{rates[-1]:.0f}", f"{(server.cpu() - cpu) / count * 1000:.2f}", f"{rates[-1] / rates[0]:.1f}")


async def _login(server: Server, user: str) -> None:
    client = await Client.connect(server)
    await client.login(user)
    await client.command(b"LOGOUT")
    client.close()


async def _many_logins(server: Server, users: Sequence[str], count: int) -> None:
    async def one(user: str) -> None:
        for _ in range(count // len(users)):
            await _login(server, user)

    await asyncio.gather(*map(one, users))


def mixed(servers: Sequence[Server], users: Sequence[str], scale: float, row: Row) -> None:
    """S5: 20 clients on 10 mailboxes, each doing what people's programs do, for some seconds."""
    row("mixed work, 20 clients", "commands/s", "CPU ms/command", "ratio", "ratio CPU")
    row(*["---"] * 5)
    found: list[tuple[float, float]] = []
    for server in servers:
        asyncio.run(_prepared(server, users[:10]))
        cpu, started = server.cpu(), time.perf_counter()
        count = asyncio.run(_mixed(server, users[:10], 10 * scale))
        seconds = time.perf_counter() - started
        found.append((count / seconds, (server.cpu() - cpu) / count * 1000))
        rate, each = found[-1]
        row(server.name, f"{rate:.0f}", f"{each:.2f}", f"{rate / found[0][0]:.1f}", f"{each / found[0][1]:.2f}")


async def _prepared(server: Server, users: Sequence[str]) -> None:
    for user in users:
        client = await Client.connect(server)
        await client.login(user)
        await client.command(b"CREATE work")
        for number in range(100):
            octets = message(number)
            await client.command(b"APPEND work {%d+}\r\n%b" % (len(octets), octets))
        await client.command(b"LOGOUT")
        client.close()


async def _mixed(server: Server, users: Sequence[str], seconds: float) -> int:
    end = time.perf_counter() + seconds

    async def one(number: int) -> int:
        rng, count = random.Random(number), 0
        while time.perf_counter() < end:
            client = await Client.connect(server)
            await client.login(users[number % len(users)])
            await client.command(b"SELECT work")
            for _ in range(30):
                await client.command(_something(rng))
                count += 1
            await client.command(b"EXPUNGE")
            await client.command(b"LOGOUT")
            client.close()
            count += 4
        return count

    return sum(await asyncio.gather(*(one(number) for number in range(20))))


def _something(rng: random.Random) -> bytes:
    kind, number = rng.random(), rng.randint(1, 60)
    if kind < 0.25:
        return b"FETCH %d:%d (FLAGS UID ENVELOPE RFC822.SIZE)" % (number, number + 9)
    if kind < 0.45:
        return b"FETCH %d (BODY.PEEK[])" % number
    if kind < 0.70:
        return b"STORE %d +FLAGS.SILENT (\\Seen)" % number
    if kind < 0.80:
        return b"NOOP"
    if kind < 0.90:
        return b"APPEND work {%d+}\r\n%b" % (len(BODY), BODY)
    if kind < 0.95:
        return b"STORE 1 +FLAGS.SILENT (\\Deleted)"
    return b"SEARCH UNSEEN"


def idle(servers: Sequence[Server], users: Sequence[str], scale: float, row: Row) -> None:
    """S6: memory of connections that idle, and how soon after its 250 a message is told."""
    row("idle", "connections", "KiB each", "told after ms, median", "99 %")
    row(*["---"] * 5)
    for server in servers:
        # A process for each connection is more than this machine has room for.
        count = int((10_000 if server.name == "Postillon" else 400) * scale)
        each, delays = asyncio.run(_idle(server, users, count))
        row(
            server.name,
            count,
            f"{each:.1f}",
            f"{statistics.median(delays):.2f}",
            f"{sorted(delays)[int(len(delays) * 0.99)]:.2f}",
        )


async def _idle(server: Server, users: Sequence[str], count: int) -> tuple[float, list[float]]:
    for user in users:
        await _login(server, user)
    before = server.memory()
    clients = []
    for start in range(0, count, 50):
        part = range(start, min(start + 50, count))
        clients += await asyncio.gather(*(_idler(server, users[number % len(users)]) for number in part))
    await asyncio.sleep(1)
    each = (server.memory() - before) / count / 1024
    delays = []
    for user, client in list(zip(users, clients, strict=False)):
        told = client.watch(b"EXISTS")
        answered = await _deliver(server, user)
        delays.append((await asyncio.wait_for(told, 30) - answered) * 1000)
    for client in clients:
        client.close()
    return each, delays


async def _idler(server: Server, user: str) -> Client:
    client = await Client.connect(server)
    await client.login(user)
    await client.command(b"SELECT INBOX")
    await client.idle()
    return client


async def _deliver(server: Server, user: str) -> float:
    reader, writer = await asyncio.open_connection(server.host, server.smtp)
    await reader.readline()
    for line in (b"HELO bench", b"MAIL FROM:<sender@load.test>", b"RCPT TO:<%b>" % user.encode(), b"DATA"):
        writer.write(line + b"\r\n")
        await reader.readline()
    writer.write(BODY + b".\r\n")
    await reader.readline()
    answered = time.perf_counter()
    writer.close()
    return answered


def patience(servers: Sequence[Server], users: Sequence[str], scale: float, row: Row) -> None:
    """How long NOOP takes on 100 connections while one fetches 100 MB."""
    row("NOOP on 100 connections, ms", "alone, median", "99 %", "beside a fetch, median", "99 %", "the fetch, s")
    row(*["---"] * 6)
    for server in servers:
        row(server.name, *asyncio.run(_patience(server, users, max(1, int(100 * scale)))))


async def _patience(server: Server, users: Sequence[str], large: int) -> list[str]:
    big = await Client.connect(server)
    await big.login(users[0])
    await big.command(b"CREATE big")
    octets = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 14_500
    for _ in range(large):
        await big.command(b"APPEND big {%d+}\r\n%b" % (len(octets), octets))
    await big.command(b"SELECT big")
    clients = []
    for number in range(100):
        client = await Client.connect(server)
        await client.login(users[number % len(users)])
        clients.append(client)
    alone = await _noops(clients, lambda: False)
    started = time.perf_counter()
    fetch = asyncio.ensure_future(big.command(b"FETCH 1:* (BODY.PEEK[])"))
    beside = await _noops(clients, lambda: not fetch.done())
    await fetch
    seconds = time.perf_counter() - started
    for client in (big, *clients):
        client.close()
    both = [f"{figure:.2f}" for found in (alone, beside) for figure in (statistics.median(found), found[int(len(found) * 0.99)])]
    return [*both, f"{seconds:.2f}"]


async def _noops(clients: Sequence[Client], goes_on: Callable[[], bool]) -> list[float]:
    """Milliseconds of each NOOP, sorted: one at a time, so that the client's own queue does not count."""
    found: list[float] = []
    while len(found) < 1000 or (goes_on() and len(found) < 100_000):
        for client in clients:
            started = time.perf_counter()
            await client.command(b"NOOP")
            found.append((time.perf_counter() - started) * 1000)
    return sorted(found)
