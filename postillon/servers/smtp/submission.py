"""Message submission, ports 587 and 465 (RFC 6409): our own people, who log in first (RFC 4954)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Protocol

from ...directory.bans import Bans
from ...directory.login import has_binding, login, mechanisms
from ...flow.mail_path import MailPath
from ...model.account import Account, AccountState
from ...model.address import Address, AddressError
from ...model.errors import AuthenticationDelayed, AuthenticationFailed, NotFound, Refusal
from ...net.networks import is_loopback
from ...net.stream import Stream
from ...net.tls import ServerTls
from ...protocols.smtp.events import Auth, AuthResponse, Burl, Chunk, ProtocolError
from ...protocols.smtp.grammar import encode_base64
from ...protocols.smtp.reply import Reply
from ...protocols.smtp.server import ServerEngine
from ...seams import DIRECTORY_TOPIC, Bus, Clock, Directory
from .conversation import Hangup
from .service import Note, SmtpServer, SmtpSettings, Spool, reply_to
from .session import Session

LOGIN_FIRST = Reply(530, "Authentication required", "5.7.0")  # RFC 4954 §6
TLS_FIRST = Reply(530, "Must issue a STARTTLS command first", "5.7.0")  # RFC 3207 §4
NEEDS_ENCRYPTION = Reply(538, "Encryption required for authentication", "5.7.11")  # RFC 4954 §6
UNKNOWN_MECHANISM = Reply(504, "Authentication mechanism is not supported", "5.5.4")
WELCOME = Reply(235, "Authentication succeeded", "2.7.0")
LOGIN_BROKEN = Reply(454, "Temporary authentication failure", "4.7.0")
TOO_MANY_LOGINS = Reply(421, "Too many failed logins; closing", "4.7.0")
NO_LONGER_WELCOME = Reply(421, "The account is closed; closing", "4.7.0")


class Urls(Protocol):
    """Who opens the IMAP URLs of BURL (`servers.imap.urlauth.UrlAuthority`)."""

    async def submit(self, text: bytes, sender: str) -> AsyncIterator[bytes]:
        """The octets of what the URL names, if it is the sender's own. Raises Refusal."""
        ...


class SubmissionServer(SmtpServer):
    """Serves mail programs. The mail path is `flow.submit.Submitter`; *bus* tells when accounts change; *urls*: for BURL."""

    def __init__(
        self,
        *,
        path: MailPath,
        spool: Callable[[int], Spool],
        clock: Clock,
        session_id: Callable[[], str],
        directory: Directory,
        bus: Bus,
        tls: ServerTls | None = None,
        settings: SmtpSettings | None = None,
        urls: Urls | None = None,
        note: Note = lambda record, trail: None,
        bans: Bans | None = None,
    ) -> None:
        super().__init__(
            path=path, spool=spool, clock=clock, session_id=session_id, tls=tls, settings=settings, note=note, bans=bans
        )
        self.directory = directory
        self.bus = bus
        self.urls = urls

    async def session(self, stream: Stream) -> None:
        """Serve one connection to its end. Raises OSError when it breaks."""
        await SubmissionSession(self, stream).run()


class SubmissionSession(Session):
    """A connection that may log in, and must before it sends."""

    server: SubmissionServer
    may_raise_priority = True

    def __init__(self, server: SubmissionServer, stream: Stream) -> None:
        super().__init__(server, stream)
        self._failures = 0
        self._auth_error: Reply | None = None

    def new_engine(self) -> ServerEngine:
        return ServerEngine(
            self.settings.limits,
            submission=True,
            starttls=self.may_start_tls,
            normalise=self.settings.normalise_newlines,
            requiretls=self.client.tls is not None,
            burl=f"imap imap://{self.settings.hostname}" if self.server.urls is not None else "",
            offers=self.offers(),
        )

    async def logged_in_as(self, login: str) -> None:
        """Raises Hangup for a name that is no account of ours: whoever vouches for it is not set up as it should be."""
        if not login:
            self.client = replace(self.client, account=None, login="", mechanism="")
            return
        try:
            found = await self.server.directory.find(Address.parse(login))
            account = await self.server.directory.account(found.accounts[0])
        except (Refusal, AddressError, IndexError) as error:
            raise Hangup(LOGIN_BROKEN) from error
        if account.name != Address.parse(login).key or account.state is not AccountState.ACTIVE:
            raise Hangup(NO_LONGER_WELCOME)
        self._belong_to(account, "")

    @property
    def _may_login_in_clear(self) -> bool:
        return self.settings.plaintext_login_allowed and is_loopback(self.stream.peer)

    def mechanisms(self) -> tuple[str, ...]:
        return mechanisms(
            self.client,
            self._may_login_in_clear,
            has_binding(self.stream.channel_binding),
            tokens=self.server.directory.tokens is not None,
            certified=bool(self.stream.verified_addresses()),
        )

    def counts(self, reply: Reply) -> bool:
        return reply.kind == 5 and self.client.account is None

    def check_sender(self) -> Reply | None:
        if self.client.account is not None:
            return None
        return LOGIN_FIRST if self.client.tls is not None or self._may_login_in_clear else TLS_FIRST

    # BURL (RFC 4468)

    async def _burl(self, event: Burl) -> None:
        """Write what the URL names where the client's own octets go."""
        assert self.server.urls is not None
        if self.current.spool is None and self.current.fault is None:
            self._open_spool()
        done = await self.grant(self._fill(event), "BURL")
        fault = done if isinstance(done, Reply) else self.engine.fault or self.current.fault
        if fault is not None:
            return self.answer(fault, fault.kind == 5)
        self.engine.accepted(event)
        if not event.last:
            self.say(Reply(250, f"{done} octets read", "2.6.0"))

    async def _fill(self, event: Burl) -> int:
        assert self.server.urls is not None
        size = 0
        async for octets in await self.server.urls.submit(event.url, self.client.login):
            kept, size = self.engine.take(octets), size + len(octets)
            if kept:
                await self._chunk(Chunk(kept))
            if self.engine.fault is not None or self.current.fault is not None:
                break
        return size

    # Logging in

    async def _auth(self, event: Auth) -> None:
        offered = self.mechanisms()
        if not offered:
            return self.answer(NEEDS_ENCRYPTION, is_error=True)
        if event.mechanism not in offered:
            return self.answer(UNKNOWN_MECHANISM, is_error=True)
        self.engine.accepted(event)
        self._auth_error = None
        try:
            account = await login(
                self.server.directory,
                event.mechanism,
                event.initial,
                self._ask,
                self.client,
                self.stream.channel_binding,
                self.stream.verified_addresses(),
            )
        except Refusal as refusal:
            self.engine.auth_over(False)
            self._login_failed(event.mechanism, refusal)
        except (Hangup, OSError):
            raise
        except Exception as error:
            self.log.error("login broke", exc=error, mechanism=event.mechanism)
            self.engine.auth_over(False)
            self.answer(LOGIN_BROKEN)
        else:
            self.engine.auth_over(True)
            self._logged_in(account, event.mechanism)

    async def _ask(self, challenge: bytes) -> bytes | None:
        """A challenge and its response in SMTP's clothes (RFC 4954 §4); None: cancelled, or not readable."""
        self.say(Reply(334, encode_base64(challenge)))
        event = await self.next_event()
        if isinstance(event, AuthResponse):
            return event.data
        assert isinstance(event, ProtocolError), "only responses come in an exchange"
        self._auth_error = event.reply
        return None

    def _belong_to(self, account: Account, mechanism: str) -> None:
        """From here on the client is *account*, and hears when that changes."""
        self.client = replace(self.client, account=account.id, login=account.name, mechanism=mechanism)
        self.waker.close()
        self.waker = self.server.bus.subscribe(DIRECTORY_TOPIC)

    def _logged_in(self, account: Account, mechanism: str) -> None:
        self._belong_to(account, mechanism)
        self.patience.forgive()
        self.log.info("login", peer=self.client.address, account=account.name, mechanism=mechanism)
        self.say(WELCOME)

    def _login_failed(self, mechanism: str, refusal: Refusal) -> None:
        is_told = isinstance(refusal, AuthenticationFailed | AuthenticationDelayed)  # by the directory, with the name
        (self.log.debug if is_told else self.log.info)(
            "login failed",
            peer=self.client.address,
            mechanism=mechanism,
            status=refusal.status,
            reason=refusal.detail or refusal.text,
        )
        reply = self._auth_error or reply_to(refusal)
        if not is_told:
            return self.answer(reply, reply.kind == 5)
        self.say(reply)
        self._failures += 1
        if self._failures >= self.settings.login_attempts:
            raise Hangup(TOO_MANY_LOGINS)

    async def woken(self) -> None:
        """Accounts changed: is ours still welcome?"""
        if self.client.account is None:
            return
        try:
            account = await self.server.directory.account(self.client.account)
        except NotFound:
            raise Hangup(NO_LONGER_WELCOME) from None
        except Refusal:
            return  # the directory cannot say now; it will wake us again
        if account.state is not AccountState.ACTIVE:
            raise Hangup(NO_LONGER_WELCOME)

    answers = Session.answers | {Auth: _auth, Burl: _burl}
