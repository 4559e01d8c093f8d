"""SMTP servers on loopback with a mail path in memory, and a client by octets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from postillon.directory.bans import Bans
from postillon.message.incoming import Incoming
from postillon.model.account import Account, AccountState, ScramKeys
from postillon.model.address import Address
from postillon.model.envelope import Accepted, Client, Envelope, Recipient
from postillon.model.errors import AuthenticationFailed, DiskFull, NotFound, NotPermitted, OverQuota, Refusal, Unavailable
from postillon.model.ids import AccountId, BlobId
from postillon.model.plan import Body, Receipt
from postillon.net.listener import Listener, bind, serve
from postillon.net.networks import Networks
from postillon.net.stream import Stream, connect
from postillon.net.tls import ServerTls, client_context
from postillon.protocols.scram import make_keys
from postillon.seams import FindKind, Found
from postillon.servers.smtp.lmtp import LmtpServer
from postillon.servers.smtp.mx import MxServer
from postillon.servers.smtp.service import SmtpSettings
from postillon.servers.smtp.submission import SubmissionServer
from tests.kinds import FixedClock

HOSTNAME = "mx.example.org"


class MemorySpool:
    """`storage.spool.Spool` without a file."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._chunks: list[bytes] = []
        office.open_spools += 1
        self._is_open = True

    def write(self, chunk: bytes) -> None:
        if self._office.disk_is_full:
            raise DiskFull("Not enough disk space; try again later")
        self._chunks.append(chunk)

    async def finish(self) -> Body:
        data = b"".join(self._chunks)
        self.discard()
        return Body(BlobId(0xB10B + len(self._office.messages)), len(data), hashlib.sha256(data).digest(), data)

    def discard(self) -> None:
        if self._is_open:
            self._is_open = False
            self._office.open_spools -= 1


@dataclass
class Office:
    """A mail path in memory. Local parts decide what happens at RCPT and after the message."""

    messages: list[Incoming] = field(default_factory=list)
    confirmed: list[Incoming] = field(default_factory=list)
    lost: list[Incoming] = field(default_factory=list)
    asked: list[tuple[Client, Envelope, Recipient | None]] = field(default_factory=list)
    open_spools: int = 0
    disk_is_full: bool = False
    gate: asyncio.Event | None = None
    """Set to hold messages back until it is set."""

    def spool(self, limit: int) -> MemorySpool:
        return MemorySpool(self)

    async def sender(self, client: Client, envelope: Envelope) -> None:
        local = envelope.sender.local if envelope.sender else ""
        if local == "nobody":
            raise NotPermitted("Not your address", detail="the private reason")
        if local == "bug":
            raise ZeroDivisionError("a bug at MAIL")

    async def recipient(self, client: Client, envelope: Envelope, recipient: Recipient | None) -> Accepted:
        self.asked.append((client, envelope, recipient))
        if recipient is None:
            return Accepted(Recipient(Address("postmaster", "example.org")))
        match recipient.address.local:
            case "unknown":
                raise NotFound("No such address here")
            case "full":
                raise OverQuota("Mailbox is full")
            case "bug":
                raise ZeroDivisionError("a bug at RCPT")
        return Accepted(recipient, (AccountId(1),))

    async def message(self, incoming: Incoming) -> Receipt:
        if self.gate is not None:
            await self.gate.wait()
        data = incoming.body.data or b""
        if b"virus" in data:
            raise NotPermitted("We do not like it", status="5.7.1")
        if b"later" in data:
            raise Unavailable("Database is busy")
        if b"bug" in data:
            raise ZeroDivisionError("a bug after DATA")
        self.messages.append(incoming)
        return Receipt(incoming.body.blob)

    async def each(self, incoming: Incoming) -> list[Receipt | Refusal]:
        """`fussy` will not have it."""
        receipt = await self.message(incoming)
        no = NotPermitted("We do not like it", status="5.7.1")
        return [no if one.recipient.address.local == "fussy" else receipt for one in incoming.accepted]

    async def retry(self, client: Client, option: str, node: str) -> int:
        return 1 if "branch" in node else 0

    def confirm(self, incoming: Incoming) -> None:
        self.confirmed.append(incoming)

    async def unheard(self, incoming: Incoming) -> None:
        self.lost.append(incoming)


@dataclass
class OneAccount:
    """`seams.Directory` with alice and her password; what sessions ask of it."""

    state: AccountState = AccountState.ACTIVE
    password: str = "secret"
    failures: int = 0

    @property
    def alice(self) -> Account:
        return Account(AccountId(7), "alice@example.org", self.state, 10**9, 0, 1)

    async def authenticate(self, name: str, password: str, client: Client) -> Account:
        if name == "bug":
            raise ZeroDivisionError("a bug in the directory")
        if name == "busy":
            raise Unavailable("Directory is busy")
        if name not in ("alice", "alice@example.org") or password != self.password:
            self.failures += 1
            raise AuthenticationFailed("Authentication failed", detail=f"wrong password of {name}")
        return self.alice

    tokens = None

    async def scram_keys(self, name: str, mechanism: str) -> tuple[ScramKeys, Account | None]:
        return make_keys(mechanism, self.password, b"salt", 4096), self.alice if name == "alice@example.org" else None

    async def admit(self, account: Account, client: Client) -> Account:
        return account

    async def failed(self, name: str, client: Client) -> None:
        self.failures += 1

    async def account(self, account: AccountId) -> Account:
        if self.state is AccountState.REMOVED:
            raise NotFound("No such account")
        return self.alice

    async def find(self, address: Address) -> Found:
        if address.key in ("alice@example.org", "also.alice@example.org"):
            return Found(FindKind.LOCAL, (AccountId(7),))
        return Found(FindKind.UNKNOWN)

    async def is_local_domain(self, domain: str) -> bool:
        return False

    async def postmaster(self) -> Found:
        return Found(FindKind.UNKNOWN)

    async def may_send_as(self, account: AccountId, address: Address) -> bool:
        return True


class Peer:
    """The client's side, by octets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.buffer = b""

    async def reply(self) -> str:
        """One reply with all its lines, without the last CR LF."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            while b"\r\n" not in self.buffer:
                data = await self.stream.receive(None, 5)
                assert data, f"closed after {lines}"
                self.buffer += data
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            lines.append(line.decode())
        return "\r\n".join(lines)

    async def replies(self, count: int) -> list[str]:
        return [await self.reply() for _ in range(count)]

    async def ask(self, *lines: str) -> str:
        """Send *lines* as one segment; the last reply to them, as many as there are lines."""
        self.stream.write("".join(line + "\r\n" for line in lines).encode())
        return (await self.replies(len(lines)))[-1]

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def rest(self) -> bytes:
        """All until they close."""
        data = self.buffer
        while more := await self.stream.receive(None, 5):
            data += more
        self.buffer = b""
        return data

    async def start_tls(self) -> None:
        assert (await self.ask("STARTTLS")).startswith("220 2.0.0")
        await self.stream.start_tls(client_context(verify=False), server_side=False)


@dataclass
class House:
    """A server under test, and all it stands on."""

    office: Office
    listener: Listener
    directory: OneAccount
    left: asyncio.Event
    """A session has ended."""

    async def visit(self, greeted: bool = True, local: str = "127.0.0.1") -> Peer:
        peer = Peer(await connect("127.0.0.1", self.listener.port, timeout_s=5, local_address=local))
        if greeted:
            assert (await peer.reply()).startswith((f"220 {HOSTNAME} ESMTP", f"220 {HOSTNAME} LMTP"))
        return peer


@asynccontextmanager
async def _house(
    server: MxServer | SubmissionServer, office: Office, directory: OneAccount, tls: ServerTls | None
) -> AsyncIterator[House]:
    left = asyncio.Event()

    async def session(stream: Stream) -> None:
        try:
            await server.session(stream)
        finally:
            left.set()

    listener = await serve(bind("127.0.0.1", 0), session, tls=tls)
    try:
        yield House(office, listener, directory, left)
    finally:
        await listener.close(0)


@asynccontextmanager
async def mx(
    tls: ServerTls | None = None, settings: SmtpSettings | None = None, bans: Bans | None = None
) -> AsyncIterator[House]:
    office = Office()
    server = MxServer(
        path=office,
        spool=office.spool,
        clock=FixedClock(),
        session_id=lambda: "session1",
        tls=tls,
        settings=settings or SmtpSettings(HOSTNAME),
        bans=bans,
    )
    async with _house(server, office, OneAccount(), None) as house:
        yield house


@asynccontextmanager
async def lmtp(
    tls: ServerTls | None = None, settings: SmtpSettings | None = None, peers: Networks | None = None
) -> AsyncIterator[House]:
    office = Office()
    server = LmtpServer(
        path=office,
        spool=office.spool,
        clock=FixedClock(),
        session_id=lambda: "session1",
        tls=tls,
        settings=settings or SmtpSettings(HOSTNAME),
        peers=peers,
    )
    async with _house(server, office, OneAccount(), None) as house:
        yield house


@asynccontextmanager
async def submission(
    bus: object, tls: ServerTls | None = None, settings: SmtpSettings | None = None, implicit: bool = False
) -> AsyncIterator[House]:
    office, directory = Office(), OneAccount()
    server = SubmissionServer(
        path=office,
        spool=office.spool,
        clock=FixedClock(),
        session_id=lambda: "session1",
        directory=directory,
        bus=bus,  # type: ignore[arg-type]
        tls=tls,
        settings=settings or SmtpSettings(HOSTNAME),
    )
    async with _house(server, office, directory, tls if implicit else None) as house:
        yield house
