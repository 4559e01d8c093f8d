"""The wire side of an IMAP session: events come in one by one, answers are gathered and go out together.

Events are pulled, so a command that needs more from the client (AUTHENTICATE, APPEND, IDLE) just asks for the next event.
Whatever was answered leaves before we wait: pipelined commands are answered in one packet (RFC 9051 §5.5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...net.stream import Stream
from ...protocols.imap.events import Continue, Event
from ...protocols.imap.server import ServerEngine
from .answers import Goodbye
from .compression import BrokenStream, Compression

FLUSH_AT = 64 << 10
"""Octets gathered before `breathe` sends them."""


class Hangup(Exception):
    """The client is gone, or takes nothing from us any more."""


class Alarm:
    """The one flag (a `seams.Waker`) that a session waits for besides octets: it gathers the reasons.

    News of mail wakes only a session that idles; that accounts changed wakes every one. (That we are to stop, the stream
    tells by itself.)
    """

    __slots__ = ("_callback", "accounts", "idle", "news", "others", "watching")

    def __init__(self) -> None:
        self.news = False
        self.accounts = False
        self.others = False
        """News that mailboxes other than the selected one were not yet looked at for."""
        self.idle = False
        self.watching = False
        """News wake the session at any time (RFC 5465)."""
        self._callback: Callable[[], None] | None = None

    def set(self, *, news: bool = False, accounts: bool = False) -> None:
        self.news |= news
        self.others |= news
        self.accounts |= accounts
        if self._callback is not None and self.is_set():
            self._callback()

    def is_set(self) -> bool:
        return self.accounts or (self.idle and self.news) or (self.watching and (self.news or self.others))

    def clear(self) -> None:
        """Forget all reasons. (Who was woken clears each one as it deals with it.)"""
        self.news = self.accounts = self.others = False

    def on_set(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if callback is not None and self.is_set():
            callback()

    def close(self) -> None:
        self._callback = None


class Dialogue:
    """One connection: a stream, the engine that reads it, and what is to be written."""

    __slots__ = ("_flushing", "_out", "_size", "alarm", "compression", "engine", "stream")

    def __init__(self, stream: Stream, engine: ServerEngine) -> None:
        self.stream = stream
        self.engine = engine
        self.alarm = Alarm()
        self.compression: Compression | None = None
        """RFC 4978, once it is in force."""
        self._flushing = False
        self._out: list[bytes] = []
        self._size = 0

    async def next(self, timeout_s: float, alarm: Alarm | None = None, *, wake_after_s: float | None = None) -> Event | None:
        """The next event; None when *alarm* rang, or *wake_after_s* passed, and nothing that was received waits.

        Raises Hangup, and Goodbye after *timeout_s* of silence.
        """
        while True:
            for event in self.engine:
                if not isinstance(event, Continue):
                    return event
                self.write(event.response)
            if self.compression is not None and self.compression.has_more:
                self.engine.receive(self._inflated(self.compression))
                await asyncio.sleep(0)
                continue
            await self.flush()
            try:
                data = await self.stream.receive(alarm, timeout_s if wake_after_s is None else wake_after_s)
            except TimeoutError:
                if wake_after_s is not None:
                    return None
                raise Goodbye("Idle for too long") from None
            except OSError as error:
                raise Hangup from error
            if data is None:
                return None
            if not data:
                raise Hangup
            if self.compression is None:
                self.engine.receive(data)
            else:
                self.compression.feed(data)

    @staticmethod
    def _inflated(compression: Compression) -> bytes:
        try:
            return compression.step()
        except BrokenStream:
            raise Goodbye("Compressed data is broken") from None

    def write(self, data: bytes) -> None:
        """Gather *data*, one or more whole lines."""
        self._out.append(data)
        self._size += len(data)

    def write_all(self, pieces: Sequence[bytes]) -> None:
        self._out += pieces
        self._size += sum(map(len, pieces))

    async def breathe(self) -> None:
        """Between slices of a long answer: send what has gathered, and let the others have a turn."""
        if self._size >= FLUSH_AT:
            await self.flush()
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """Send what has gathered, as fast as the client takes it. Raises Hangup."""
        if not self._out:
            return
        self._flushing = True
        try:
            while self._out:
                out, self._out, self._size = self._out, [], 0
                if self.compression is None:
                    await self.stream.send(out)
                else:
                    await self._send_deflated(self.compression, b"".join(out))
        except OSError as error:  # TimeoutError too: a client that takes nothing for minutes
            raise Hangup from error
        finally:
            self._flushing = False

    async def _send_deflated(self, compression: Compression, data: bytes) -> None:
        for at in range(0, len(data), FLUSH_AT):
            await self.stream.send(compression.deflate(data[at : at + FLUSH_AT]))
            await asyncio.sleep(0)

    def send_now(self, line: bytes) -> None:
        """Write a whole line without waiting, behind whatever has gathered: for who is not the one that answers."""
        self.write(line)
        if self._flushing:
            return  # it takes this along
        out, self._out, self._size = b"".join(self._out), [], 0
        self.stream.write(out if self.compression is None else self.compression.deflate(out))
