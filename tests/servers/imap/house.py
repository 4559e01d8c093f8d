"""A house with mail in it: store, directory, bus and IMAP server, real all of them, on a loopback port; and a bare client."""

from __future__ import annotations

import asyncio
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from postillon.bus.local import LocalBus
from postillon.directory.limiter import Limiter
from postillon.directory.local import DirectorySettings, LocalDirectory
from postillon.directory.pool import PasswordPool
from postillon.message.prepare import prepare
from postillon.model.account import SERVER, Account
from postillon.model.mail import Mailbox
from postillon.net.certificates import make_ca, make_certificate
from postillon.net.listener import Listener, bind, serve
from postillon.net.tls import ServerTls
from postillon.servers.imap.service import ImapServer, ImapSettings
from postillon.storage.blobs.files import FileBlobs
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.ids import IdSource
from postillon.storage.spool import body_of
from postillon.storage.store import AppendItem, Store, owner_of

PASSWORD = "a long secret"
NOW = 1_800_000_000  # 15-Jan-2027 08:00:00 +0000

SIMPLE = (
    b"From: Ann <ann@example.org>\r\nTo: alice@example.test\r\nSubject: Hello\r\n"
    b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nHi.\r\n"
)


@dataclass
class StandingClock:
    at: int = NOW

    def now(self) -> int:
        return self.at


@dataclass
class House:
    store: Store
    directory: LocalDirectory
    bus: LocalBus
    clock: StandingClock
    server: ImapServer
    listener: Listener
    ca: Path
    alice: Account
    bob: Account
    tmp: Path

    @property
    def port(self) -> int:
        return self.listener.port

    async def mailbox(self, name: str = "INBOX", account: Account | None = None) -> Mailbox:
        return await self.store.find_mailbox(SERVER, (account or self.alice).id, tuple(name.split("/")))

    async def put(
        self, *messages: bytes, mailbox: str = "INBOX", flags: int = 0, keywords: tuple[bytes, ...] = (), received: int = NOW
    ) -> list[int]:
        """File messages in a mailbox of alice; their uids."""
        box = await self.mailbox(mailbox)
        items = []
        for octets in messages:
            if len(octets) <= 65536:
                body = body_of(self.store.new_ids(1)[0], octets)  # type: ignore[arg-type]
            else:
                spool = self.store.spool(1 << 30)
                spool.write(octets)
                body = await spool.finish()
            items.append(AppendItem(body, prepare(octets), flags, keywords, received))
        return list((await self.store.append(SERVER, self.alice.id, box.id, items))[1])

    async def client(self, *, login: bool = True, select: str = "", port: int = 0, name: str = "alice") -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", port or self.port))
        client.greeting = (await client.response()).decode("latin-1")
        if login:
            await client.ok(f'LOGIN {name}@example.test "{PASSWORD}"')
        if select:
            await client.ok(f"SELECT {select}")
        return client


_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n\Z")


class Client:
    """Writes commands, reads whole responses with their literals."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = ""
        self.count = 0
        self.coded: Callable[[bytes], bytes] | None = None
        self.pumps: list[asyncio.Task[None]] = []

    async def response(self) -> bytes:
        """One response without its last CRLF; b"" at the end of the connection."""
        async with asyncio.timeout(10):
            whole = await self.reader.readline()
            while found := _LITERAL.search(whole):
                whole += await self.reader.readexactly(int(found[1])) + await self.reader.readline()
            return whole.removesuffix(b"\r\n")

    def send(self, data: str | bytes) -> None:
        octets = data.encode() if isinstance(data, str) else data
        self.writer.write(octets if self.coded is None else self.coded(octets))

    async def command(self, text: str | bytes, *literals: bytes) -> list[bytes]:
        """Send a command; the responses to it, the tagged one last (without the tag). *literals* follow at each `+`."""
        self.count += 1
        tag = b"t%d" % self.count
        line = text.encode() if isinstance(text, str) else text
        self.send(tag + b" " + line + b"\r\n")
        return await self.until(tag, *literals)

    async def until(self, tag: bytes, *literals: bytes) -> list[bytes]:
        waiting = list(literals)
        responses: list[bytes] = []
        while True:
            response = await self.response()
            if response.startswith(b"+ ") and waiting:
                self.send(waiting.pop(0))
                continue
            if response.startswith(tag + b" "):
                return [*responses, response[len(tag) + 1 :]]
            if not response:
                return [*responses, b""]
            responses.append(response)

    async def ok(self, text: str | bytes, *literals: bytes) -> list[bytes]:
        """A command that must succeed; its untagged responses."""
        *untagged, tagged = await self.command(text, *literals)
        assert tagged.startswith(b"OK"), (text, untagged, tagged)
        return untagged

    async def no(self, text: str | bytes, *literals: bytes) -> bytes:
        """A command that must fail; the tagged answer."""
        tagged = (await self.command(text, *literals))[-1]
        assert tagged.startswith((b"NO", b"BAD")), (text, tagged)
        return tagged

    async def append(self, message: bytes, mailbox: str = "INBOX", extra: str = "") -> bytes:
        """APPEND *message*; the tagged answer."""
        return (await self.command(f"APPEND {mailbox} {extra}{{{len(message)}}}", message + b"\r\n"))[-1]

    async def start_tls(self, ca: Path) -> None:
        await self.writer.start_tls(ssl.create_default_context(cafile=str(ca)), server_hostname="localhost")

    def deflate(self) -> None:
        """From now on both directions are compressed (RFC 4978)."""
        plain, inflate, deflate = asyncio.StreamReader(), zlib.decompressobj(-15), zlib.compressobj(6, zlib.DEFLATED, -15)
        raw, self.reader = self.reader, plain

        async def pump() -> None:
            while data := await raw.read(65536):
                plain.feed_data(inflate.decompress(data) if self.coded is mine else data)
            plain.feed_eof()

        def mine(data: bytes) -> bytes:
            return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)

        self.pumps.append(asyncio.create_task(pump()))
        self.coded = mine

    async def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def open_house(tmp: Path, settings: ImapSettings | None = None) -> AsyncIterator[House]:
    clock, bus = StandingClock(), LocalBus()
    database = SqliteDatabase(str(tmp / "mail.db"), bus.publish).open()
    side = SqliteDatabase(str(tmp / "side.db"), bus.publish, synchronous="NORMAL").open()
    await migrate(database, clock.now())
    await migrate(side, clock.now(), side_schema)
    for name in ("spool", "blobs", "tls"):
        (tmp / name).mkdir(exist_ok=True)
    store = Store(database, FileBlobs(str(tmp / "blobs")), clock, IdSource(), str(tmp / "spool"), owner=owner_of(0, 1))
    pool = PasswordPool()
    directory = LocalDirectory(
        database=database,
        limiter=Limiter(side, clock),
        pool=pool,
        clock=clock,
        ids=IdSource(1),
        secret=b"s" * 32,
        settings=DirectorySettings(failure_delay_s=0),
    )
    await directory.create_domain("example.test")
    accounts = [await directory.create_account(f"{name}@example.test", PASSWORD) for name in ("alice", "bob")]
    ca, _ = make_ca(tmp / "tls")
    chain = make_certificate(tmp / "tls", ["localhost", "127.0.0.1"])
    server = ImapServer(
        store=store,
        directory=directory,
        bus=bus,
        clock=clock,
        session_id=IdSource.session,
        tls=ServerTls([chain], "imap"),
        settings=settings or ImapSettings(plaintext_on_loopback=True, reread_s=0),
    )
    async with asyncio.TaskGroup() as tasks:
        listener = await serve(bind("127.0.0.1", 0), server.session, tls=None, limits=None, tasks=tasks)
        yield House(store, directory, bus, clock, server, listener, ca, accounts[0], accounts[1], tmp)
        await listener.close(0.2)
    pool.close()
    await database.close()
    await side.close()
