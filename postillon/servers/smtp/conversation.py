"""The two directions of one SMTP connection: events in, replies out, with the limits on time and on mistakes.

All replies to what came in one segment go out together (RFC 2920 §3.2). What a command means is in `session`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from ...directory.bans import Offence
from ...log import Log
from ...net.stream import Stream
from ...protocols.smtp.events import Event
from ...protocols.smtp.reply import Reply
from ...protocols.smtp.server import ServerEngine
from ...seams import Waker
from .patience import Patience, PatienceSettings

TIMED_OUT = Reply(421, "Waited too long; closing", "4.4.2")
STOPPING = Reply(421, "Service is stopping; try again", "4.3.2")
TOO_MANY_ERRORS = Reply(421, "Too many errors; closing", "4.7.0")


class Hangup(Exception):
    """The connection ends, with *reply* as the last word if there is one."""

    def __init__(self, reply: Reply | None = None) -> None:
        super().__init__()
        self.reply = reply


class Never:
    """A waker that nobody sets: with one, a receive still ends when the listener stops."""

    def is_set(self) -> bool:
        return False

    def clear(self) -> None: ...
    def on_set(self, callback: Callable[[], None] | None) -> None: ...
    def close(self) -> None: ...


_NEVER: Waker = Never()
_NO_EVENTS: Iterator[Event] = iter(())


class Conversation:
    """What is said on *stream*. The engine may change on the way (STARTTLS), and so may the waker (a login)."""

    def __init__(self, stream: Stream, engine: ServerEngine, patience: PatienceSettings, log: Log) -> None:
        self.stream = stream
        self.engine = engine
        self.patience = Patience(patience)
        self.log = log
        self.waker = _NEVER
        self.now = asyncio.get_running_loop().time
        """Seconds on the loop's clock."""
        self._events = _NO_EVENTS
        self._replies: list[bytes] = []

    # What the session knows

    async def woken(self) -> None:
        """`waker` was set. May raise Hangup."""

    def went_on(self) -> None:
        """The client sent something after our answers went out, or closed the connection once it had them all."""

    # In

    async def next_event(self) -> Event:
        """What the client means next; sends what waits before it waits itself. Raises Hangup when nothing more comes."""
        while True:
            for event in self._events:
                self.patience.answered()
                return event
            await self.flush()
            data = await self._receive()
            self.went_on()
            self._events = self.engine.receive(data)

    def start_again(self, engine: ServerEngine) -> None:
        """Nothing that was read before counts any more."""
        self._events = _NO_EVENTS
        self.engine = engine

    async def _receive(self) -> bytes:
        stream, in_message = self.stream, self.engine.is_reading_message
        while True:
            if stream.stopping and not in_message:
                raise Hangup(STOPPING)
            wait = self.patience.wait(self.now(), in_message)
            try:
                if wait <= 0:
                    raise TimeoutError
                data = await stream.receive(None if in_message else self.waker, wait)
            except TimeoutError:
                self.log.debug("client timed out", peer=stream.peer, in_message=in_message)
                raise Hangup(TIMED_OUT) from None
            if data:
                self.patience.received(len(data))
                return data
            if data is not None:
                if stream.ended_well:
                    self.went_on()
                raise Hangup
            if self.waker.is_set():
                self.waker.clear()
                await self.woken()

    # Out

    def say(self, reply: Reply) -> None:
        """Send *reply* together with those around it."""
        self._replies.append(reply.encode())

    def answer(self, reply: Reply, is_error: bool = False) -> None:
        """Answer a command, or end the connection if it was one mistake (or one idle command) too many."""
        if is_error:
            self.patience.errors += 1
            self.turn_away_banned()
        if self.patience.is_over:
            self.log.info("too many errors", peer=self.stream.peer, status=reply.status)
            self.offended(Offence.PERSISTENT)
            raise Hangup(TOO_MANY_ERRORS)
        if reply.code == 421:  # RFC 5321 §3.8: it means that we close
            raise Hangup(reply)
        self._replies.append(reply.encode())

    def offended(self, offence: Offence) -> None:
        """The client has done that."""

    def banned(self) -> str:
        """Why the client is not welcome any more, in words; empty: it is."""
        return ""

    def turn_away_banned(self) -> None:
        """Raises Hangup for a client that is not welcome any more."""
        if words := self.banned():
            raise Hangup(Reply(421, words, "4.7.0"))

    async def flush(self) -> None:
        """Send what waits."""
        if self._replies:
            if delay := self.patience.delay:
                await self.stream.until_ended(delay)  # who hangs up meanwhile holds nothing any more
            replies, self._replies = self._replies, []
            self.stream.write(replies[0] if len(replies) == 1 else b"".join(replies))
            await self.stream.drain()

    def end(self, last: Reply | None) -> None:
        """Send what waits and the *last* word, without waiting."""
        if last is not None:
            self.say(last)
        if self._replies:
            self.stream.write(b"".join(self._replies))
            self._replies = []
