"""One SMTP connection from greeting to goodbye: asks the engine what the client means and the mail path what we do about it.

What MX and submission share (RFC 5321 §3); AUTH and its rules are in `submission`, the input and output in `conversation`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ...directory.bans import Offence
from ...flow.records import refused
from ...log import Log
from ...message.incoming import Incoming
from ...model.address import Address
from ...model.envelope import Client
from ...model.errors import Refusal
from ...model.plan import Receipt
from ...net.stream import InjectedPlaintext, Stream
from ...protocols.smtp.events import (
    Bdat,
    BdatEnd,
    Chunk,
    DataEnd,
    DataStart,
    Ehlo,
    Etrn,
    Event,
    Help,
    Mail,
    Noop,
    ProtocolError,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
    XClient,
    XForward,
)
from ...protocols.smtp.offers import Offers
from ...protocols.smtp.reply import Reply
from ...protocols.smtp.server import PIPELINED, ServerEngine
from . import trusted
from .conversation import Conversation, Hangup
from .service import (
    BYE,
    CANNOT_VERIFY,
    GO_ON,
    HELP,
    INTERNAL_ERROR,
    NO_SOLICITING,
    OK,
    PRIORITY_CHANGED,
    READY_FOR_TLS,
    RECIPIENT_OK,
    SENDER_OK,
    TLS_FAILED,
    SmtpServer,
    Spool,
    Transaction,
    as_refusal,
    reply_to,
    taken,
)

log = Log("smtp")
T = TypeVar("T")


class Session(Conversation):
    """The state of one connection."""

    def __init__(self, server: SmtpServer, stream: Stream) -> None:
        self.server = server
        self.settings = server.settings
        self.stream = stream
        self.client = _stranger(stream, server.session_id())
        super().__init__(stream, self.new_engine(), server.settings.patience, log.bind(session=self.client.session))
        self.transaction: Transaction | None = None
        self.forwarded: dict[str, str] = {}
        """Where the message under way came from before, as XFORWARD told."""
        self._unheard: list[Incoming] = []
        self._is_over = False

    may_raise_priority = False
    """Whether a priority above 0 is granted (RFC 6710 §5): not to strangers."""

    # What a kind of session decides

    def new_engine(self) -> ServerEngine:
        return ServerEngine(
            self.settings.limits,
            starttls=self.may_start_tls,
            requiretls=self.client.tls is not None,
            offers=self.offers(),
        )

    def offers(self) -> Offers:
        """What this client gets. Trust goes by who is connected, whomever it speaks for."""
        settings, peer = self.settings, self.stream.peer
        if not settings.xclient and not settings.etrn:
            return settings.offers
        return replace(settings.offers, xclient=peer in settings.xclient, etrn=peer in settings.etrn)

    async def logged_in_as(self, login: str) -> None:
        """A trusted client has seen the *login* of whom it speaks for (LOGIN of XCLIENT); empty: it has seen none.

        Where nobody logs in it counts nothing.
        """

    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms to advertise now."""
        return ()

    def check_sender(self) -> Reply | None:
        """At MAIL, before the mail path is asked: a reason to refuse any transaction."""
        return None

    def counts(self, reply: Reply) -> bool:
        """Is a refusal by the mail path an error of the client? Temporary ones never are."""
        return reply.kind == 5

    def offended(self, offence: Offence) -> None:
        if self.client.account is None and self.server.bans is not None:  # our own people's programs may be clumsy
            self.server.bans.note(self.client.address, offence)

    def banned(self) -> str:
        return self.server.bans.refusal(self.client.address) if self.server.bans is not None else ""

    # The dialogue

    async def run(self) -> None:
        """Serve to the end. Raises OSError when the connection breaks."""
        self.log.debug("connected", peer=self.client.address, tls=self.client.tls is not None, port=self.stream.local_port)
        try:
            await self._greet()
            while not self._is_over:
                await self._answer(await self.next_event())
            await self.flush()
        except Hangup as end:
            self.end(end.reply)
        finally:
            self.forget()
            self.server.on_ended(self.client)
            self.waker.close()
            await self._tell_unheard()
            self.log.debug("disconnected", peer=self.client.address)

    async def _answer(self, event: Event) -> None:
        try:
            await self.answers[type(event)](self, event)
        except (Hangup, OSError):
            raise
        except Exception as error:  # a bug: the client may try something else
            self.log.error("command failed", exc=error, command=type(event).__name__)
            self.say(INTERNAL_ERROR)

    def went_on(self) -> None:
        for incoming in self._unheard:
            self.server.path.confirm(incoming)
        self._unheard.clear()

    async def _tell_unheard(self) -> None:
        for incoming in self._unheard:
            try:
                await self.server.path.unheard(incoming)
            except Refusal as refusal:
                self.log.warning("not noted that the answer may be lost", reason=refusal.detail or refusal.text)

    async def _greet(self) -> None:
        """RFC 5321 §4.3.1: the server speaks first. Who cannot wait for that is no mail server of the honest kind."""
        if self.settings.greet_delay_s and not await self.server.is_acquainted(self.client.address):
            try:
                early = await self.stream.receive(self.waker, self.settings.greet_delay_s)
            except TimeoutError:
                early = None
            if early is not None:
                raise self._early() if early else Hangup
            if not self.stream.stopping:
                await self.server.got_acquainted(self.client.address)
        await asyncio.sleep(0)  # a turn of the loop, so that what was sent along with the connection is seen
        if self.stream.unread:
            raise self._early()
        self.say(self.greeting)
        await self.flush()

    @property
    def greeting(self) -> Reply:
        return Reply(220, f"{self.settings.hostname} ESMTP {self.settings.product}")

    def _early(self) -> Hangup:
        self.offended(Offence.EARLY)
        return Hangup(PIPELINED)

    async def grant(
        self, work: Awaitable[T], command: str, recipients: Sequence[Address] = (), by: Address | None = None, **facts: Any
    ) -> T | Reply:
        """The mail path's yes, or the reply that tells its no at *command*, to *recipients*. *facts* are for the log."""
        try:
            return await work
        except Refusal as refusal:
            self.note_refused(refusal, command, recipients, by)
            self.log.info(
                "refused", peer=self.client.address, status=refusal.status, reason=refusal.text, detail=refusal.detail, **facts
            )
            return reply_to(refusal)
        except Exception as error:
            self.log.error("mail path failed", exc=error, **facts)
            return INTERNAL_ERROR

    def note_refused(
        self, refusal: Refusal, command: str, recipients: Sequence[Address] = (), sender: Address | None = None
    ) -> None:
        """Write down, for `postillon trace`, that we said no at *command*."""
        transaction = self.transaction
        if transaction is not None:
            sender = transaction.envelope.sender
        record = refused(self.client, refusal, self.server.clock.now(), command, sender, recipients)
        self.server.note(record, transaction.blob if transaction is not None else 0)

    # Commands

    async def _ehlo(self, event: Ehlo) -> None:
        self.patience.junk()
        self.forget()
        self.client = replace(self.client, hello=event.name, esmtp=event.esmtp)
        self.engine.accepted(event)
        name = self.settings.hostname
        self.answer(
            Reply(250, (name, *self.engine.extensions(self.mechanisms(), self.server.clock.now())) if event.esmtp else name)
        )

    async def _mail(self, event: Mail) -> None:
        refused = self.check_sender()
        if refused is not None:
            return self.answer(refused, is_error=True)
        envelope, yes = event.envelope, SENDER_OK
        if envelope.solicit and not self.settings.offers.welcomes(envelope.solicit):
            return self.answer(NO_SOLICITING)
        if envelope.priority > 0 and not self.may_raise_priority:
            envelope, yes = replace(envelope, priority=0), PRIORITY_CHANGED
        granted = await self.grant(
            self.server.path.sender(self.client, envelope), "MAIL", by=envelope.sender, sender=envelope.sender or "<>"
        )
        if isinstance(granted, Reply):
            return self.answer(granted, self.counts(granted))
        self.forget()
        self.transaction = Transaction(envelope)
        self.patience.transaction_begun(self.now())
        self.engine.accepted(event)
        self.say(yes)

    async def _rcpt(self, event: Rcpt) -> None:
        transaction, recipient = self.current, event.recipient
        if recipient not in transaction.accepted:
            envelope = transaction.envelope
            granted = await self.grant(
                self.server.path.recipient(self.client, envelope, recipient),
                "RCPT",
                [recipient.address] if recipient is not None else [],
                sender=envelope.sender or "<>",
                recipient=recipient.address if recipient is not None else "postmaster",
            )
            if isinstance(granted, Reply):
                return self.answer(granted, self.counts(granted))
            transaction.accepted[recipient] = granted
        transaction.named.append(recipient)
        self.engine.accepted(event)
        self.say(RECIPIENT_OK)

    async def _data(self, event: DataStart) -> None:
        self._open_spool()
        if self.current.fault is not None:
            fault, self.current.fault = self.current.fault, None
            return self.answer(fault)
        self.engine.accepted(event)
        self.say(GO_ON)

    async def _bdat(self, event: Bdat) -> None:
        if self.current.spool is None and self.current.fault is None:
            self._open_spool()

    def _open_spool(self) -> None:
        self._keeping(lambda transaction: setattr(transaction, "spool", self.server.spool(self.settings.limits.size)))

    async def _chunk(self, event: Chunk) -> None:
        spool = self.current.spool
        if spool is not None:
            self._keeping(lambda _: spool.write(event.data))

    def _keeping(self, work: Callable[[Transaction], None]) -> None:
        """Do *work* on the spool. What goes wrong is told when the octets are through."""
        transaction = self.current
        try:
            work(transaction)
            return
        except Refusal as refusal:
            self.log.warning("message not kept", status=refusal.status, reason=refusal.text, detail=refusal.detail)
            transaction.fault = reply_to(refusal)
        except Exception as error:
            self.log.error("message not kept", exc=error)
            transaction.fault = INTERNAL_ERROR
        transaction.discard()

    async def _bdat_end(self, event: BdatEnd) -> None:
        if self.current.fault is not None:
            return self.answer(self.current.fault)
        self.engine.accepted(event)
        self.say(Reply(250, f"{event.size} octets received", "2.0.0"))

    async def _data_end(self, event: DataEnd) -> None:
        transaction = self.current
        fault = self.fault(event)
        if fault is not None or transaction.spool is None:
            self.forget()
            return self.answer(fault or INTERNAL_ERROR, event.refusal is not None)
        done = await self.grant(
            self._deliver(transaction, transaction.spool),
            "DATA",
            transaction.addresses,
            sender=transaction.envelope.sender or "<>",
        )
        self.forget()
        if isinstance(done, Reply):
            return self.answer(done, self.counts(done))
        incoming, receipt = done
        self.taken(incoming)
        self.say(taken(receipt))

    def fault(self, event: DataEnd) -> Reply | None:
        """What keeps the message from being taken at all: what it holds, or that it could not be kept."""
        transaction = self.current
        fault = event.refusal or transaction.fault
        if fault is not None:
            self.note_refused(as_refusal(fault), "DATA", transaction.addresses)
        if fault is not None or transaction.spool is None:
            self.log.info("refused", peer=self.client.address, size=event.size, reason=fault.text if fault else "")
        return fault

    def taken(self, incoming: Incoming) -> None:
        """The message is taken, for some of its recipients at least."""
        self._unheard.append(incoming)
        self.patience.forgive()
        if self.server.bans is not None:
            self.server.bans.made_good(self.client.address)
        if self.forwarded:
            facts = {f"from_{name.lower()}": value for name, value in self.forwarded.items()}
            self.log.info("message came by", message=f"{incoming.body.blob:x}", **facts)

    async def incoming(self, transaction: Transaction, spool: Spool) -> Incoming:
        """The message, complete. Raises Refusal."""
        accepted = tuple(transaction.accepted.values())
        envelope = replace(transaction.envelope, recipients=tuple(each.recipient for each in accepted))
        body = await spool.finish()
        transaction.blob = body.blob
        return Incoming(self.client, envelope, accepted, body, self.server.clock.now())

    async def _deliver(self, transaction: Transaction, spool: Spool) -> tuple[Incoming, Receipt]:
        incoming = await self.incoming(transaction, spool)
        return incoming, await self.server.path.message(incoming)

    async def _rset(self, event: Rset) -> None:
        self.patience.junk()
        self.forget()
        self.engine.accepted(event)
        self.answer(OK)

    async def _noop(self, event: Noop) -> None:
        self.patience.junk()
        self.answer(OK)

    async def _help(self, event: Help) -> None:
        self.patience.junk()
        self.answer(HELP)

    async def _vrfy(self, event: Vrfy) -> None:
        self.patience.junk()
        self.answer(CANNOT_VERIFY)

    async def _quit(self, event: Quit) -> None:
        self.engine.accepted(event)
        self.say(BYE)
        self._is_over = True

    async def _protocol_error(self, event: ProtocolError) -> None:
        if event.close:
            self.log.info("protocol error", peer=self.client.address, status=event.reply.status, reason=event.reply.text)
            self.note_refused(as_refusal(event.reply), "connection")
            self.offended(Offence.PERSISTENT)
            raise Hangup(event.reply)
        self.offended(Offence.PROTOCOL)
        # A client that names too many recipients has made no mistake; it sends the message again for the others.
        self.answer(event.reply, event.reply.kind == 5)

    # TLS

    @property
    def may_start_tls(self) -> bool:
        return self.server.tls is not None and self.client.tls is None

    async def _start_tls(self, event: StartTls) -> None:
        """RFC 3207 §4.2: nothing that was said before counts afterwards; not the hello, not what waits in a buffer."""
        assert self.server.tls is not None
        try:
            context = self.server.tls.context()
        except OSError as error:
            self.log.error("no certificate", exc=error)
            return self.answer(TLS_FAILED)
        await self.flush()
        self.engine.accepted(event)
        if self.engine.pending:
            self.offended(Offence.INJECTION)
            raise Hangup(PIPELINED)
        try:
            await self.stream.start_tls(context, server_side=True, reply=READY_FOR_TLS.encode())
        except InjectedPlaintext as error:
            self.log.warning("plaintext after STARTTLS", peer=self.client.address, reason=str(error))
            self.offended(Offence.INJECTION)
            raise Hangup from error
        except ssl.SSLError as error:
            self.log.info("handshake failed", peer=self.client.address, reason=error.reason or str(error))
            raise Hangup from error
        self.client = _stranger(self.stream, self.client.session)
        self.start_again(self.new_engine())

    # The transaction

    @property
    def current(self) -> Transaction:
        """The transaction, in states of the engine where there is one."""
        assert self.transaction is not None, "no transaction"
        return self.transaction

    def forget(self) -> None:
        if self.transaction is not None:
            self.transaction.discard()
            self.transaction = None
            self.forwarded = {}
            self.patience.transaction_over()

    answers: dict[type[Event], Callable[[Any, Any], Awaitable[None]]] = {
        Ehlo: _ehlo,
        Mail: _mail,
        Rcpt: _rcpt,
        DataStart: _data,
        Bdat: _bdat,
        Chunk: _chunk,
        BdatEnd: _bdat_end,
        DataEnd: _data_end,
        Rset: _rset,
        Etrn: trusted.etrn,
        XClient: trusted.xclient,
        XForward: trusted.xforward,
        Noop: _noop,
        Help: _help,
        Vrfy: _vrfy,
        Quit: _quit,
        StartTls: _start_tls,
        ProtocolError: _protocol_error,
    }


def _stranger(stream: Stream, session: str) -> Client:
    return Client(
        stream.peer,
        stream.peer_port,
        tls=stream.tls,
        session=session,
        local_port=stream.local_port,
        local_address=stream.local,
    )
