"""One conversation with a next hop, from the greeting to QUIT, for as many messages as it lasts (RFC 5321 §3, §4.5.3.2).

`open_session` connects, greets, starts TLS and logs in; `Session.send` hands over one message and tells what became of each
recipient. Whatever ends the conversation before that is `Trouble`, which says whether another host may be asked instead.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from dataclasses import replace
from typing import Protocol

from ..log import Log
from ..model.envelope import Envelope
from ..model.queue import Outcome, OutcomeKind
from ..net.stream import InjectedPlaintext, Stream, connect
from ..protocols.smtp import client as smtp
from ..protocols.smtp.reply import Reply
from .hop import Hop, Timeouts
from .outcome import deferred, failed, of_reply
from .tls_policy import ClientContexts, TlsMode

log = Log("relay")

BLOCK = 256 * 1024
"""Octets of a message in memory at a time."""


class Source(Protocol):
    """A message's octets, which may be read as often as it takes."""

    @property
    def size(self) -> int: ...

    async def read(self, start: int, stop: int) -> bytes:
        """Octets *start* to *stop* (exclusive). Raises `Refusal` when they cannot be had."""
        ...


class Trouble(Exception):
    """The hop is of no use (any more)."""

    def __init__(self, outcome: Outcome, *, elsewhere: bool = True, is_tls: bool = False) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome
        self.elsewhere = elsewhere
        """May another host be asked now? Not when the message may have been taken here."""
        self.is_tls = is_tls
        self.decided: dict[int, Outcome] = {}
        """Recipients, by position, that it had refused before."""
        self.is_stale = False
        """A kept connection that turned out to be closed before it answered anything."""


class Session:
    """A connection that has greeted and is ready for mail. One user at a time; the pool sees to that."""

    __slots__ = ("_dirty", "_engine", "_replies", "_stream", "_until", "hop", "is_open", "offered", "sent", "timeouts")

    def __init__(self, hop: Hop, stream: Stream, timeouts: Timeouts) -> None:
        self.hop = hop
        self.timeouts = timeouts
        self.offered = smtp.Extensions()
        self.sent = 0
        """Messages so far, refused ones included."""
        self.is_open = True
        self._stream = stream
        self._engine = smtp.ClientEngine()
        self._replies: deque[Reply] = deque()
        self._dirty = False
        """A transaction was begun and neither ended nor reset."""
        self._until = math.inf
        """Loop time by which the envelope must be through: a hundred slow answers are a tarpit."""

    @property
    def is_usable(self) -> bool:
        """May it be used again? Not after words that nobody asked for: its answers would belong to other questions."""
        return self.is_open and not self._replies and not self._engine.pending and not self._stream.unread

    @property
    def is_encrypted(self) -> bool:
        return self._stream.tls is not None

    # --- one question, one answer ---------------------------------------------------------------------------------

    async def _reply(self, timeout_s: float) -> Reply:
        """The next reply. Raises Trouble: silence, a closed connection, garbage, or 421."""
        if not self._replies:
            await self._more(timeout_s)
        reply = self._replies.popleft()
        if reply.code == 421:  # RFC 5321 §3.8: it closes, whatever was asked
            raise self._trouble(of_reply(reply, self.hop.remote))
        return reply

    async def _more(self, timeout_s: float) -> None:
        remote = self.hop.remote
        loop = asyncio.get_running_loop()
        # One limit for the whole reply, or a server could spell it out letter by letter for ever.
        until = min(loop.time() + timeout_s, self._until)
        try:
            while not self._replies:
                data = await self._stream.receive(timeout_s=max(until - loop.time(), 0.001))
                if not data:
                    raise self._trouble(deferred("4.4.2", "the connection was closed", remote=remote))
                self._replies.extend(self._engine.receive(data))
        except TimeoutError:
            raise self._trouble(deferred("4.4.2", "no answer in time", remote=remote)) from None
        except OSError as error:
            raise self._trouble(deferred("4.4.2", f"the connection was lost: {_why(error)}", remote=remote)) from error
        except smtp.BadReply as error:
            raise self._trouble(deferred("4.5.0", f"it does not speak SMTP: {error}", remote=remote)) from error

    def _trouble(self, outcome: Outcome, *, elsewhere: bool = True, is_tls: bool = False) -> Trouble:
        self.abort()
        return Trouble(outcome, elsewhere=elsewhere, is_tls=is_tls)

    async def _ask(self, command: bytes, timeout_s: float) -> Reply:
        """Raises Trouble, also when an answer is there before the question: it would be taken for the answer to another one."""
        if not self.is_usable:
            raise self._trouble(deferred("4.5.0", "it answers more than it was asked", remote=self.hop.remote))
        await self._write(command)
        return await self._reply(timeout_s)

    async def _write(self, data: bytes) -> bool:
        """False: they are gone. Then what they said last is still to be read, and reading finds the end too."""
        try:
            self._stream.write(data)
            await self._stream.drain(self.timeouts.block_s)
        except TimeoutError:
            raise self._trouble(deferred("4.4.2", "it stopped reading", remote=self.hop.remote)) from None
        except OSError:
            return False
        return True

    # --- the beginning --------------------------------------------------------------------------------------------

    async def greet(self, hostname: str, contexts: ClientContexts) -> None:
        """Greeting, EHLO, TLS and login as the hop asks for. Raises Trouble."""
        mode = self.hop.tls
        if mode is TlsMode.IMPLICIT:
            await self._handshake(contexts)
        greeting = await self._reply(self.timeouts.greeting_s)
        if greeting.kind != 2:
            raise self._trouble(of_reply(greeting, self.hop.remote))
        await self._hello(hostname)
        if mode in (TlsMode.OPPORTUNISTIC, TlsMode.REQUIRED) and await self._start_tls(contexts):
            await self._hello(hostname)
        if self.hop.login:
            await self._login()

    async def _hello(self, hostname: str) -> None:
        reply = await self._ask(smtp.ehlo(hostname), self.timeouts.command_s)
        if reply.kind == 2:
            self.offered = smtp.Extensions.of(reply)
            return
        if reply.kind == 5:
            # RFC 5321 §3.2: a server that does not know EHLO gets HELO.
            self.offered = smtp.Extensions()
            reply = await self._ask(smtp.helo(hostname), self.timeouts.command_s)
        if reply.kind != 2:
            raise self._trouble(of_reply(reply, self.hop.remote))

    async def _start_tls(self, contexts: ClientContexts) -> bool:
        is_required = self.hop.tls is TlsMode.REQUIRED
        if not self.offered.starttls:
            if is_required:
                raise self._trouble(deferred("4.7.4", "it does not offer STARTTLS, which we require", remote=self.hop.remote))
            return False
        reply = await self._ask(smtp.STARTTLS, self.timeouts.command_s)
        if reply.kind != 2:
            if is_required:
                raise self._trouble(replace(of_reply(reply, self.hop.remote), kind=OutcomeKind.DEFERRED, status="4.7.4"))
            return False
        if not self.is_usable:
            # RFC 3207 §4.2, CVE-2011-0411 and its kin: somebody speaks in clear what we would believe to be under TLS.
            raise self._trouble(deferred("4.7.5", "octets in clear after the reply to STARTTLS", remote=self.hop.remote))
        await self._handshake(contexts)
        return True

    async def _handshake(self, contexts: ClientContexts) -> None:
        name = self.hop.name
        try:
            await self._stream.start_tls(
                contexts.of(self.hop.tls), server_side=False, server_hostname=name, timeout_s=self.timeouts.connect_s
            )
        except OSError as error:
            outcome = deferred("4.7.5", f"TLS could not be agreed on: {_why(error)}", remote=self.hop.remote)
            raise self._trouble(outcome, is_tls=not isinstance(error, InjectedPlaintext)) from error
        self._engine = smtp.ClientEngine()

    async def _login(self) -> None:
        """RFC 4954. A login that fails is our own setting's fault: the mail waits."""
        hop, wait = self.hop, self.timeouts.command_s
        if "PLAIN" in self.offered.auth:
            reply = await self._ask(smtp.auth_plain(hop.login, hop.password), wait)
        elif "LOGIN" in self.offered.auth:
            reply = await self._ask(smtp.AUTH_LOGIN, wait)
            for answer in (hop.login, hop.password):
                if reply.code == 334:
                    reply = await self._ask(smtp.auth_response(answer), wait)
        else:
            raise self._trouble(deferred("4.7.0", "it offers neither AUTH PLAIN nor LOGIN", remote=hop.remote))
        if reply.code != 235:
            log.warning("login at the next hop failed", host=hop.name, login=hop.login, code=reply.code)
            said = of_reply(reply, hop.remote)
            raise self._trouble(deferred("4.7.8", f"it refused our login: {said.text}", remote=hop.remote, code=reply.code))

    # --- a message ------------------------------------------------------------------------------------------------

    async def send(self, envelope: Envelope, source: Source) -> dict[int, Outcome]:
        """Hand *source* over to all recipients of *envelope*: one outcome each, keyed by position.

        Raises Trouble when the conversation ended before the message was taken or refused, and what reading the source raises.
        """
        first = await source.read(0, min(source.size, BLOCK))
        outcomes = await self._unfit(envelope, source, first)
        wanted = [position for position in range(len(envelope.recipients)) if position not in outcomes]
        if wanted:
            self.sent += 1
            await self._transaction(envelope, source, first, wanted, outcomes)
        return outcomes

    async def _unfit(self, envelope: Envelope, source: Source, first: bytes) -> dict[int, Outcome]:
        """Recipients that this hop cannot serve, known before a word is said."""
        offered, everybody = self.offered, range(len(envelope.recipients))
        refusal = None
        if offered.size and source.size > offered.size:
            text = f"the message has {source.size} octets, it takes {offered.size}"
            refusal = failed("5.3.4", text, remote=self.hop.remote, code=552)  # RFC 1870 §6.1
        elif envelope.require_tls and not (self.is_encrypted and self.hop.tls.is_verified and offered.requiretls):
            refusal = failed("5.7.30", "it does not support REQUIRETLS", remote=self.hop.remote)  # RFC 8689 §5
        elif not offered.eightbit and not await _is_seven_bit(source, first):
            refusal = failed("5.6.3", "the message has 8-bit octets, it takes none", remote=self.hop.remote)  # RFC 6152 §3
        elif not offered.smtputf8 and _needs_smtputf8(envelope, first):
            refusal = failed("5.6.7", "the message needs SMTPUTF8, it does not know it", remote=self.hop.remote)  # RFC 6531 §3.5
        if refusal is not None:
            return dict.fromkeys(everybody, refusal)
        if offered.smtputf8 or all(recipient.address.is_ascii for recipient in envelope.recipients):
            return {}
        refusal = failed("5.6.7", "the address needs SMTPUTF8, it does not know it", remote=self.hop.remote)
        return {i: refusal for i in everybody if not envelope.recipients[i].address.is_ascii}

    async def _transaction(
        self, envelope: Envelope, source: Source, first: bytes, wanted: list[int], outcomes: dict[int, Outcome]
    ) -> None:
        """MAIL, RCPT, DATA for the recipients at the positions *wanted*; fills *outcomes*."""
        offered = self.offered
        smtputf8 = offered.smtputf8 and (envelope.smtputf8 or any(not r.address.is_ascii for r in envelope.recipients))
        # A large message is not read twice only to find out: 8BITMIME is also true of 7-bit text.
        eightbit = envelope.body != "7BIT" or len(first) < source.size or not first.isascii()
        commands = [smtp.mail(envelope, offered, size=source.size, eightbit=eightbit, smtputf8=smtputf8)]
        commands += [smtp.rcpt(envelope.recipients[position], offered) for position in wanted]
        replies: list[Reply] = []
        try:
            self._until = asyncio.get_running_loop().time() + self.timeouts.envelope_s
            await self._converse(commands, replies)
            self._until = math.inf
            accepted = self._judge(replies, wanted, outcomes)
            if replies[-1].code == 354 and len(replies) == len(commands) + 1:
                if accepted:
                    outcomes.update(dict.fromkeys(accepted, await self._body(source, first)))
                elif any(reply.kind == 2 for reply in replies[1:-1]):
                    self.abort()  # no to the sender, yes to a recipient: a dot might be taken for a message
                else:
                    # RFC 2920 §3.1: DATA may be accepted although no recipient was; then nothing but the dot is sent.
                    await self._ask(b".\r\n", self.timeouts.end_s)
                self._dirty = False
        except Trouble as trouble:
            trouble.is_stale = self.sent > 1 and not replies
            self._judge(replies, wanted, trouble.decided)
            raise

    async def _converse(self, commands: list[bytes], replies: list[Reply]) -> None:
        """Send MAIL, RCPT… and DATA, in one go where the server lets us; *replies* grows by one for each that was answered."""
        wait = self.timeouts.command_s
        reset, self._dirty = self._dirty, True
        if self.offered.pipelining:
            await self._write(b"".join([smtp.RSET if reset else b"", *commands, smtp.DATA]))
            if reset:
                await self._reply(wait)
            for _ in commands:
                replies.append(await self._reply(wait))  # noqa: PERF401  (those before count when one fails)
            replies.append(await self._reply(self.timeouts.data_s))
            return
        if reset:
            await self._ask(smtp.RSET, wait)
        for command in commands:
            replies.append(await self._ask(command, wait))
            if replies[0].kind != 2:
                return
        if any(reply.kind == 2 for reply in replies[1:]):
            replies.append(await self._ask(smtp.DATA, self.timeouts.data_s))

    def _judge(self, replies: list[Reply], wanted: list[int], outcomes: dict[int, Outcome]) -> list[int]:
        """Put what *replies* to MAIL, RCPT…, DATA decide into *outcomes*; return the positions that may have the message."""
        if not replies:
            return []
        remote = self.hop.remote
        mail, *rest = replies
        if mail.kind != 2:
            outcomes.update(dict.fromkeys(wanted, _no(mail, remote)))
            return []
        accepted = []
        for position, reply in zip(wanted, rest, strict=False):
            if reply.kind == 2:
                accepted.append(position)
            else:
                outcomes[position] = _no(reply, remote)
        if len(rest) > len(wanted) and rest[-1].code != 354:
            outcomes.update(dict.fromkeys(accepted, _no(rest[-1], remote)))
            return []
        return accepted

    async def _body(self, source: Source, first: bytes) -> Outcome:
        """The message after 354, and what the answer to the final dot means for all who may have it."""
        remote = self.hop.remote
        stuffer = smtp.Stuffer()
        at, piece = len(first), stuffer.stuff(first)
        while at < source.size:
            if not await self._write(piece):
                return _no(await self._reply(self.timeouts.block_s), remote)
            try:
                octets = await source.read(at, min(at + BLOCK, source.size))
            except BaseException:
                self.abort()  # half a message: only the end of the connection can say so
                raise
            at, piece = at + len(octets), stuffer.stuff(octets)
        try:
            return of_reply(await self._ask(piece + stuffer.finish(), self.timeouts.end_s), remote)
        except Trouble as trouble:
            # It may have taken the message and lost only its answer: asking another host now could double it.
            trouble.elsewhere = trouble.outcome.code == 421
            raise

    # --- the end --------------------------------------------------------------------------------------------------

    async def quit(self) -> None:
        """Say goodbye and close. Never raises for the peer's faults."""
        if not self.is_open:
            return
        try:
            await self._ask(smtp.QUIT, self.timeouts.quit_s)
            self.is_open = False
            await self._stream.close()
        except Trouble:
            return
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self.is_open = False
        self._stream.abort()


async def open_session(hop: Hop, hostname: str, contexts: ClientContexts, timeouts: Timeouts) -> Session:
    """A session with *hop*, ready for mail. Where TLS is only wished for and fails, once more in clear. Raises Trouble."""
    try:
        return await _open(hop, hostname, contexts, timeouts)
    except Trouble as trouble:
        if not trouble.is_tls or hop.tls is not TlsMode.OPPORTUNISTIC:
            raise
        log.info("TLS failed, going on in clear", host=hop.remote, reason=trouble.outcome.text)
    session = await _open(replace(hop, tls=TlsMode.NONE), hostname, contexts, timeouts)
    session.hop = hop
    return session


async def _open(hop: Hop, hostname: str, contexts: ClientContexts, timeouts: Timeouts) -> Session:
    try:
        stream = await connect(hop.address, hop.port, timeout_s=timeouts.connect_s)
    except TimeoutError:
        raise Trouble(deferred("4.4.1", f"no connection within {timeouts.connect_s:.0f} seconds", remote=hop.remote)) from None
    except OSError as error:
        raise Trouble(deferred("4.4.1", f"no connection: {_why(error)}", remote=hop.remote)) from error
    session = Session(hop, stream, timeouts)
    try:
        await session.greet(hostname, contexts)
    except BaseException:
        session.abort()
        raise
    return session


def _no(reply: Reply, remote: str) -> Outcome:
    """A reply that is not a yes: 2yz and 3yz where they mean nothing are confusion, so not final."""
    outcome = of_reply(reply, remote)
    return outcome if outcome.kind is not OutcomeKind.DELIVERED else replace(outcome, kind=OutcomeKind.DEFERRED, status="4.5.0")


async def _is_seven_bit(source: Source, first: bytes) -> bool:
    if not first.isascii():
        return False
    for at in range(len(first), source.size, BLOCK):
        if not (await source.read(at, min(at + BLOCK, source.size))).isascii():
            return False
    return True


def _needs_smtputf8(envelope: Envelope, first: bytes) -> bool:
    """Does the message itself, or its sender, need SMTPUTF8? RFC 6531 §3.1: an ASCII one may leave without it."""
    if envelope.sender is not None and not envelope.sender.is_ascii:
        return True
    return envelope.smtputf8 and not first.partition(b"\r\n\r\n")[0].isascii()


def _why(error: BaseException) -> str:
    """The system's words, without numbers and addresses."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS error"
    if isinstance(error, TimeoutError):
        return "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
