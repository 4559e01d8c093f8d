"""One POP3 connection from greeting to goodbye, and the server that holds what all connections share.

Answers to what came in one segment go out together (RFC 2449 §6.6). A maildrop has one session at a time over all workers; its
lock dies with its worker. What DELE marks is removed at QUIT only (RFC 1939 §6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ...directory.bans import Bans, Offence
from ...log import Log
from ...model.account import Account, AccountState
from ...model.envelope import Client
from ...model.errors import InUse, NotFound, Refusal
from ...net.stream import Stream
from ...net.tls import ServerTls
from ...protocols.pop3 import Command, Event, ProtocolError, ServerEngine, State, err, ok
from ...seams import Bus, Directory, Waker
from ...storage.store import Store
from . import authorization, retrieve, transaction
from .maildrop import Maildrop
from .words import Hangup, reply_to

log = Log("pop3")

FLUSH_AT = 64 * 1024
RECHECK_S = 1.0
"""A wake may be lost, so the account's state is read again with the next command after so long."""


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    """Times in seconds."""

    product: str = "Postillon"
    plaintext_on_loopback: bool = False
    """Let clients on loopback addresses log in without TLS (developer mode)."""
    login_timeout_s: float = 60
    """Silence before login."""
    login_total_s: float = 300
    """Everything before login."""
    idle_timeout_s: float = 600
    """Silence after login; RFC 1939 §3 wants 10 minutes at least."""
    login_attempts: int = 5
    """Failed logins until the connection ends."""


class Pop3Server:
    """What the sessions of one worker share. One object serves both ports: a stream that comes with TLS has it already.

    *tls*: for STLS; None: not offered. *session_id* makes ids for the log. The constructor does no work.
    """

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        bus: Bus,
        session_id: Callable[[], str],
        tls: ServerTls | None = None,
        settings: Pop3Settings | None = None,
        bans: Bans | None = None,
    ) -> None:
        self.store = store
        self.directory = directory
        self.bus = bus
        self.session_id = session_id
        self.tls = tls
        self.settings = settings or Pop3Settings()
        self.bans = bans

    async def session(self, stream: Stream) -> None:
        """Serve one connection to its end. Raises OSError when it breaks."""
        session = Session(self, stream)
        try:
            await session.run()
        except Hangup as end:
            session.say(end.reply)
        finally:
            await session.leave()
        stream.write(session.unsent())


class _Never:
    """A waker that nobody sets: with one, a receive still ends when the listener stops."""

    def is_set(self) -> bool:
        return False

    def clear(self) -> None: ...
    def on_set(self, callback: Callable[[], None] | None) -> None: ...
    def close(self) -> None: ...


class Session:
    """The state of one connection."""

    def __init__(self, server: Pop3Server, stream: Stream) -> None:
        self.server = server
        self.stream = stream
        self.engine = ServerEngine()
        name = server.session_id()
        self.client = Client(stream.peer, stream.peer_port, tls=stream.tls, session=name, local_port=stream.local_port)
        self.log = log.bind(session=name, peer=stream.peer)
        self.account: Account | None = None
        self.drop: Maildrop | None = None
        self.name = b""
        """USER's argument, until PASS."""
        self.failures = 0
        """Logins that failed."""
        self._back: Event | None = None
        self._out: list[bytes] = []
        self._waiting = 0
        self._waker: Waker = _Never()
        self._lock = ""
        self._started = self._welcomed_at = self._now()

    # --- the dialogue ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until QUIT or the end of the connection. Raises Hangup, OSError."""
        self.log.debug("connected", tls=self.client.tls is not None, port=self.stream.local_port)
        self.say(ok(f"{self.server.settings.product} ready"))
        while self._back is not None or self.engine.state is not State.ENDED:
            event = await self.next_event()
            if isinstance(event, Command):
                await self._answer(event)
            elif isinstance(event, ProtocolError):
                self.say(event.reply)
                if self.server.bans is not None and self.account is None:
                    self.server.bans.note(self.client.address, Offence.PROTOCOL)
            await self.flush_if_much()

    async def next_event(self) -> Event:
        """What the client says next; sends what waits before it waits itself. Raises Hangup when nothing more comes."""
        event = self.try_event()
        while event is None:
            await self.flush()
            self.engine.feed(await self._receive())
            event = self.engine.next()
        return event

    def try_event(self) -> Event | None:
        """The next event if it is here already."""
        event, self._back = self._back, None
        return event if event is not None else self.engine.next()

    def push_back(self, event: Event) -> None:
        """*event* will be the next one again."""
        self._back = event

    async def _receive(self) -> bytes:
        settings = self.server.settings
        while True:
            if self.stream.stopping:
                raise Hangup(err("Server is stopping; try again", "SYS/TEMP"))
            if self.account is None:
                wait = min(settings.login_timeout_s, self._started + settings.login_total_s - self._now())
            else:
                wait = settings.idle_timeout_s
            try:
                data = await self.stream.receive(self._waker, max(wait, 0.01))
            except TimeoutError:
                self.log.debug("client timed out")
                raise Hangup from None  # RFC 1939 §3: nothing is removed and nothing is said
            if data:
                if self._now() - self._welcomed_at > RECHECK_S:
                    await self.check_welcome()
                return data
            if data is not None:
                raise Hangup  # gone without QUIT, so nothing is removed
            if self._waker.is_set():
                self._waker.clear()
                await self.check_welcome()

    async def check_welcome(self) -> None:
        """Something changed for the account: may it still be here? Raises Hangup if not."""
        if self.account is None:
            return
        self._welcomed_at = self._now()
        try:
            state = (await self.server.directory.account(self.account.id)).state
        except NotFound:
            state = AccountState.REMOVED
        except Refusal:
            return  # the directory cannot say now; we ask again
        if state is not AccountState.ACTIVE:
            raise Hangup(err("The account is closed", "AUTH"))

    def say(self, answer: bytes) -> None:
        """Answer, together with the answers around it."""
        self._out.append(answer)
        self._waiting += len(answer)

    def unsent(self) -> bytes:
        out, self._out, self._waiting = self._out, [], 0
        return b"".join(out)

    async def flush(self) -> None:
        if self._out:
            self.stream.write(self.unsent())
            await self.stream.drain()

    async def flush_if_much(self) -> None:
        if self._waiting >= FLUSH_AT:
            await self.flush()

    async def _answer(self, command: Command) -> None:
        """Answer one command; whatever goes wrong is told to the client and the connection lives."""
        try:
            await _ANSWERS[command.verb](self, command)
        except Refusal as refusal:
            self.refuse(command.verb, refusal)
        except (Hangup, OSError):
            raise
        except Exception as error:
            self.log.error("command failed", exc=error, command=command.verb)
            self.say(err("Internal error", "SYS/TEMP"))

    def refuse(self, verb: str, refusal: Refusal) -> None:
        """Answer a command with *refusal*."""
        if refusal.detail:
            self.log.info("refused", command=verb, status=refusal.status, detail=refusal.detail)
        self.say(reply_to(refusal))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # --- the maildrop ----------------------------------------------------------------------------------------------

    @property
    def maildrop(self) -> Maildrop:
        assert self.drop is not None, "the engine lets nobody here before login"
        return self.drop

    async def open(self, account: Account) -> None:
        """Take the maildrop's lock and its snapshot: the session is logged in. Raises InUse."""
        name = f"pop3/{account.id}"
        if not await self.server.store.lock(name):
            raise InUse("Another session has this maildrop")
        self._lock = name
        try:
            self.drop = await Maildrop.open(self.server.store, account)
        except BaseException:
            await self.unlock()
            raise
        self.account = account
        self._waker = self.server.bus.subscribe(account.id)

    async def unlock(self) -> None:
        """Others may have the maildrop now."""
        name, self._lock = self._lock, ""
        if name:
            await asyncio.shield(self.server.store.unlock(name))

    async def leave(self) -> None:
        """Give back what the session holds, however it ended."""
        self._waker.close()
        await self.unlock()
        self.log.debug("disconnected")


# Each takes the session and the command, answers it and tells the engine if the state moves. Raises Refusal to say no.
_ANSWERS: dict[str, Callable[[Session, Command], Awaitable[None]]] = {
    "CAPA": authorization.capa,
    "STLS": authorization.stls,
    "USER": authorization.user,
    "PASS": authorization.password,
    "AUTH": authorization.auth,
    "UTF8": authorization.utf8,
    "LANG": authorization.lang,
    "STAT": transaction.stat,
    "LIST": transaction.list_sizes,
    "UIDL": transaction.list_ids,
    "RETR": retrieve.retrieve,
    "TOP": retrieve.top,
    "DELE": transaction.delete,
    "RSET": transaction.reset,
    "NOOP": transaction.noop,
    "QUIT": transaction.leave,
}
