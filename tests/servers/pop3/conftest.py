"""A POP3 server on loopback over a real store and directory, with its two ports, and a client by lines."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from postillon.bus.local import LocalBus
from postillon.directory.limiter import Limiter, LimiterSettings
from postillon.directory.local import DirectorySettings, LocalDirectory
from postillon.directory.pool import PasswordPool
from postillon.message.prepare import prepare
from postillon.model.account import SERVER, Account
from postillon.model.ids import MailboxId
from postillon.net.certificates import make_ca, make_certificate
from postillon.net.listener import Listener, bind, serve
from postillon.net.tls import ServerTls
from postillon.servers.pop3 import Pop3Server, Pop3Settings
from postillon.storage.blobs.files import FileBlobs
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.ids import IdSource
from postillon.storage.store import AppendItem, Store, owner_of
from tests.storage.conftest import FixedClock

PASSWORD = "tanstaaf"
T = TypeVar("T")

HELLO = b"From: bob@example.test\r\nSubject: hello\r\n\r\nFirst line.\r\n.dots\r\n..\r\nlast\r\n"


def message(number: int, size: int = 0) -> bytes:
    head = b"From: bob@example.test\r\nSubject: message %d\r\n\r\n" % number
    line = b"%d is the number of this message, and its text goes on.\r\n" % number
    return head + line * max(1, (size - len(head)) // len(line))


@dataclass
class Office:
    database: SqliteDatabase
    store: Store
    bus: LocalBus
    directory: LocalDirectory
    clock: FixedClock
    tls: ServerTls
    ca: Path
    folder: Path
    server: Pop3Server
    alice: Account
    inbox: MailboxId
    listeners: list[Listener] = field(default_factory=list)

    async def listen(self, server: Pop3Server | None = None, *, implicit: bool = False) -> int:
        listener = await serve(bind("127.0.0.1", 0), (server or self.server).session, tls=self.tls if implicit else None)
        self.listeners.append(listener)
        return listener.port

    def another(self, *, slot: int = 0, generation: int = 1, **settings: object) -> Pop3Server:
        """A server with other settings, or one of another worker over the same data."""
        store = Store(
            self.database,
            FileBlobs(str(self.folder / "blobs")),
            self.clock,
            IdSource(slot),
            str(self.folder / "spool"),
            owner=owner_of(slot, generation),
            slot=slot,
            workers=4,
        )
        return Pop3Server(
            store=store,
            directory=self.directory,
            bus=self.bus,
            session_id=IdSource.session,
            tls=self.tls,
            settings=Pop3Settings(**{"plaintext_on_loopback": True, **settings}),  # type: ignore[arg-type]
        )

    async def deliver(self, *messages: bytes) -> list[int]:
        """File messages into alice's inbox; their uids."""
        items = []
        for octets in messages:
            spool = self.store.spool(1 << 30)
            spool.write(octets)
            items.append(AppendItem(await spool.finish(), prepare(octets), received=self.clock.now()))
        return list((await self.store.append(SERVER, self.alice.id, self.inbox, items))[1])

    async def until_free(self) -> None:
        """Wait until nobody holds alice's maildrop."""
        async with asyncio.timeout(5):
            while not await self.store.lock(f"pop3/{self.alice.id}"):  # noqa: ASYNC110 - the store has nobody to tell us
                await asyncio.sleep(0.01)
        await self.store.unlock(f"pop3/{self.alice.id}")

    async def uids(self) -> list[int]:
        return [row[0] for row in await self.store.snapshot(SERVER, self.alice.id, self.inbox, 0)]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock, bus = FixedClock(), LocalBus().open()
    database = SqliteDatabase(str(tmp_path / "mail.db"), bus.publish).open()
    side = SqliteDatabase(str(tmp_path / "side.db"), bus.publish).open()
    await migrate(database, clock.now())
    await migrate(side, clock.now(), side_schema)
    for name in ("spool", "blobs"):
        (tmp_path / name).mkdir()
    store = Store(database, FileBlobs(str(tmp_path / "blobs")), clock, IdSource(), str(tmp_path / "spool"), owner=owner_of(0, 1))
    pool = PasswordPool(threads=2)
    directory = LocalDirectory(
        database=database,
        limiter=Limiter(side, clock, LimiterSettings(loopback_exempt=True)),
        pool=pool,
        clock=clock,
        ids=IdSource(),
        secret=b"x" * 32,
        settings=DirectorySettings(failure_delay_s=0),
    )
    await directory.create_domain("example.test")
    alice = await directory.create_account("alice@example.test", PASSWORD)
    inbox = await store.find_mailbox(SERVER, alice.id, ("INBOX",))
    make_ca(tmp_path / "tls")
    tls = ServerTls([make_certificate(tmp_path / "tls", ["localhost", "127.0.0.1"])], "pop3")
    settings = Pop3Settings(plaintext_on_loopback=True)
    server = Pop3Server(store=store, directory=directory, bus=bus, session_id=IdSource.session, tls=tls, settings=settings)
    office = Office(database, store, bus, directory, clock, tls, tmp_path / "tls" / "ca.pem", tmp_path, server, alice, inbox.id)
    yield office
    for listener in office.listeners:
        await listener.close()
    pool.close()
    await database.close()
    await side.close()
    await bus.close()


class Caller:
    """A client by lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def dial(cls, port: int, context: ssl.SSLContext | None = None) -> Caller:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None, limit=1 << 24
        )
        caller = cls(reader, writer)
        assert (await caller.line()).startswith(b"+OK")
        return caller

    async def line(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readline()

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def ask(self, command: bytes) -> bytes:
        """The first line of the answer."""
        self.send(command + b"\r\n")
        return await self.line()

    async def lines(self) -> list[bytes]:
        """The rest of a multi-line answer, dots removed."""
        found = []
        while (line := await self.line()) != b".\r\n":
            assert line.endswith(b"\r\n"), line
            found.append(line[1:] if line.startswith(b".") else line)
        return found

    async def login(self) -> Caller:
        assert (await self.ask(b"USER alice@example.test")).startswith(b"+OK")
        assert (await self.ask(b"PASS " + PASSWORD.encode())).startswith(b"+OK"), "login"
        return self

    async def is_closed(self) -> bool:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    async def hang_up(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass


async def blocking(work: Callable[[], T]) -> T:
    """Run a client of the standard library in a thread."""
    return await asyncio.to_thread(work)
