"""A connection to a next hop, one question and one answer at a time (RFC 5321 §4.5.3.2): time-outs, loss, TLS, the end.

What is asked is `opening`'s and `session`'s business. Whatever goes wrong here is `Trouble`.
"""

from __future__ import annotations

import asyncio
import datetime
import math
import ssl
from collections import deque
from collections.abc import Sequence

from ..model.queue import Outcome
from ..net.stream import InjectedPlaintext, Stream
from ..protocols.smtp import client as smtp
from ..protocols.smtp.reply import Reply
from . import dane
from .hop import Hop, Timeouts
from .outcome import deferred, of_reply
from .tls_outcomes import result_of
from .tls_policy import ClientContexts, TlsMode


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
        self.result = ""
        """What a TLS report calls it (RFC 8460 §4.3); empty: it was not about TLS."""
        self.reason = ""
        """More about that."""
        self.source = ""
        """Our own address, where there is a result."""
        self.is_unrouted = False
        """There is no way from this machine to addresses of that kind: nothing that the hop could help."""
        self.has_answered = False
        """It could be connected to."""
        self.is_stale = False
        """A kept connection that turned out to be closed before it answered anything."""


class Conversation:
    """The connection, and what the other side can do. One user at a time."""

    __slots__ = ("_engine", "_replies", "_stream", "hop", "is_open", "offered", "timeouts", "until")

    def __init__(self, hop: Hop, stream: Stream, timeouts: Timeouts) -> None:
        self.hop = hop
        self.timeouts = timeouts
        self.offered = smtp.Extensions()
        self.is_open = True
        self.until = math.inf
        """Loop time at which patience ends whatever the single time-outs say: a hundred slow answers are a tarpit."""
        self._stream = stream
        self._engine = smtp.ClientEngine()
        self._replies: deque[Reply] = deque()

    @property
    def is_usable(self) -> bool:
        """May it be used again? Not after words that nobody asked for: its answers would belong to other questions."""
        return self.is_open and not self._replies and not self._engine.pending and not self._stream.unread

    @property
    def is_encrypted(self) -> bool:
        return self._stream.tls is not None

    @property
    def security(self) -> str:
        """How we are protected, in words for the operator."""
        tls = self._stream.tls
        words = "in clear" if tls is None else f"{tls.version}, {self.hop.tls.proof}{self.hop.because}"
        return words + self.hop.way

    @property
    def certificate(self) -> bytes | None:
        """Theirs, DER; None in clear."""
        return self._stream.peer_certificate() if self.is_encrypted else None

    async def reply(self, timeout_s: float) -> Reply:
        """The next reply. Raises Trouble: silence, a closed connection, garbage, or 421."""
        if not self._replies:
            await self._more(timeout_s)
        reply = self._replies.popleft()
        if reply.code == 421:  # RFC 5321 §3.8: it closes, whatever was asked
            raise self.trouble(of_reply(reply, self.hop.remote))
        return reply

    async def _more(self, timeout_s: float) -> None:
        remote = self.hop.remote
        loop = asyncio.get_running_loop()
        # One limit for the whole reply, or a server could spell it out letter by letter for ever.
        until = min(loop.time() + timeout_s, self.until)
        try:
            while not self._replies:
                data = await self._stream.receive(timeout_s=max(until - loop.time(), 0.001))
                if not data:
                    raise self.trouble(deferred("4.4.2", "the connection was closed", remote=remote))
                self._replies.extend(self._engine.receive(data))
        except TimeoutError:
            raise self.trouble(deferred("4.4.2", "no answer in time", remote=remote)) from None
        except OSError as error:
            raise self.trouble(deferred("4.4.2", f"the connection was lost: {why(error)}", remote=remote)) from error
        except smtp.BadReply as error:
            raise self.trouble(deferred("4.5.0", f"it does not speak SMTP: {error}", remote=remote)) from error

    def trouble(self, outcome: Outcome, *, elsewhere: bool = True, is_tls: bool = False) -> Trouble:
        self.abort()
        trouble = Trouble(outcome, elsewhere=elsewhere, is_tls=is_tls)
        trouble.has_answered = True
        return trouble

    def tls_trouble(self, outcome: Outcome, result: str, reason: str = "", *, is_tls: bool = True) -> Trouble:
        """TLS failed; *result* and *reason* are for a report."""
        trouble = self.trouble(outcome, is_tls=is_tls)
        trouble.result, trouble.reason, trouble.source = result, reason, self.source
        return trouble

    @property
    def source(self) -> str:
        """Our own address."""
        return self._stream.local

    async def ask(self, command: bytes, timeout_s: float) -> Reply:
        """Raises Trouble, also when an answer is there before the question: it would be taken for the answer to another one."""
        if not self.is_usable:
            raise self.trouble(deferred("4.5.0", "it answers more than it was asked", remote=self.hop.remote))
        await self.write(command)
        return await self.reply(timeout_s)

    async def write(self, data: bytes | Sequence[bytes]) -> bool:
        """False: they are gone. Then what they said last is still to be read, and reading finds the end too."""
        try:
            self._stream.write(data)
            await self._stream.drain(self.timeouts.block_s)
        except TimeoutError:
            raise self.trouble(deferred("4.4.2", "it stopped reading", remote=self.hop.remote)) from None
        except OSError:
            return False
        return True

    async def start_tls(self, contexts: ClientContexts) -> None:
        hop = self.hop
        name = hop.names[0] if hop.names else hop.name
        try:
            await self._stream.start_tls(
                contexts.of(hop.tls), server_side=False, server_hostname=name, timeout_s=self.timeouts.connect_s
            )
        except OSError as error:
            outcome = deferred("4.7.5", f"TLS could not be agreed on: {why(error)}", remote=self.hop.remote)
            raise self.tls_trouble(outcome, *result_of(error), is_tls=not isinstance(error, InjectedPlaintext)) from error
        self._engine = smtp.ClientEngine()
        if hop.tls is TlsMode.DANE and not dane.is_trusted(
            self._stream.peer_chain(), hop.tlsa, hop.names, datetime.datetime.now(datetime.UTC)
        ):
            text = "its certificate does not fit its TLSA records"
            raise self.tls_trouble(deferred("4.7.5", text, remote=hop.remote), "validation-failure", "no TLSA record fits")

    async def quit(self) -> None:
        """Say goodbye and close. Never raises for the peer's faults."""
        if not self.is_open:
            return
        try:
            await self.ask(smtp.QUIT, self.timeouts.quit_s)
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


def why(error: BaseException) -> str:
    """The system's words, without numbers and addresses."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS error"
    if isinstance(error, TimeoutError):
        return "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
