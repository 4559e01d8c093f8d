"""The server's side of IMAP without I/O: octets in, events out (RFC 3501 §2.2, RFC 9051 §2.2, literals by RFC 7888).

The engine reads lines and literals, keeps the limits, and hands whole commands to the grammar. It knows nothing of
mailboxes and states: which command is allowed when is the session's word. Events come lazily, so a command that was sent
ahead is read only once the one before it has been answered; what the session sets in between (`authenticated`, `utf8`, the
consents below) holds for it.

    engine.receive(data)            iterator of events; the engine itself is that iterator, so nested loops share it
    engine.literal_go()             -> octets to send; the octets of a LiteralStart come
    engine.literal_refuse(answer)   -> octets to send; up to LiteralEnd: ends the command
    engine.challenge(data)          -> octets to send; an AuthResponse comes
    engine.idle_go()                -> octets to send; an IdleDone comes
    engine.bad(tag, text)           -> ProtocolError; the session's own BADs count, too
    engine.resume()                 after a STARTTLS or COMPRESS that was refused

After STARTTLS and COMPRESS nothing more is yielded; `pending` counts the octets that came too early.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Callable, Iterator

from . import events, responses
from .commands import Compress, StartTls
from .events import Event, ProtocolError
from .grammar import append
from .grammar.auth import from_base64
from .grammar.reader import Bad, Incomplete, No, Reader
from .grammar.table import PARSERS
from .limits import ImapLimits
from .octets_in import BrokenLine, Flood, OctetsIn

_TAG_CHARS = rb"!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~"  # RFC 3501 §9: ASTRING-CHAR without "+"
_HEAD = re.compile(rb"([%b]{1,255}) ((?:UID )?[A-Z][A-Z0-9-]{0,30})(?= |\Z)" % _TAG_CHARS, re.IGNORECASE)
_TAG = re.compile(rb"([%b]{1,255})(?: |\Z)" % _TAG_CHARS)
_ANNOUNCED = re.compile(rb"\{([0-9]{1,19})(\+?)\}\Z")
_ANNOUNCED_SIZE = 24
_HTTP = re.compile(rb"[A-Z]{3,7} \S{1,2000} HTTP/[0-9]")
_START = 300
"""Enough of a broken line to find its tag."""
_CHECKED_LITERALS = 8
"""For so many literals of a command the text before is checked before `+` is said; more would make long commands quadratic."""
_NO_BROWSER = "this is an IMAP server"
_AHEAD = "octets of a literal came without leave"


class ServerEngine:
    """One connection, from its greeting (or from STARTTLS, which takes a new engine) to its end."""

    def __init__(self, limits: ImapLimits | None = None, *, authenticated: bool = False) -> None:
        self.authenticated = authenticated
        """To be set by the session; decides which limits hold."""
        self.utf8 = False
        """To be set by the session after ENABLE IMAP4rev2 or UTF8=ACCEPT."""
        self._limits = limits or ImapLimits()
        self._input = OctetsIn()
        self._step: Callable[[], Event | None] = self._command
        """Reads on in the present mode. None: there is no event yet; more octets are needed, or the mode has changed."""
        self._ready: deque[Event] = deque()
        self._collected = b""
        """The command so far (or APPEND's segment), if literals split it."""
        self._literals = 0
        self._left = 0
        """Octets of the present literal still to come."""
        self._tag = b"*"
        self._append: _Append | None = None
        self._bads = 0
        self._closed = False

    # --- what the session uses

    def receive(self, data: bytes) -> Iterator[Event]:
        """Take *data*, and iterate over the events that can be read by now."""
        if not self._closed:
            self._input.feed(data)
        return self

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while True:
            if self._ready:
                return self._ready.popleft()
            step = self._step
            event = step()
            if event is not None:
                return event
            if self._step == step:
                raise StopIteration

    @property
    def pending(self) -> int:
        """Octets received and not read yet."""
        return len(self._input)

    def resume(self) -> None:
        """Go on reading after a STARTTLS or COMPRESS that was refused, or a COMPRESS that is in force."""
        if self._step == self._halted and not self._closed:
            self._step = self._command

    def challenge(self, data: bytes = b"") -> bytes:
        """Ask for the next response of AUTHENTICATE (RFC 3501 §6.2.2)."""
        self._step = self._auth_response
        return b"+ %b\r\n" % binascii.b2a_base64(data, newline=False)

    def idle_go(self) -> bytes:
        """Let IDLE begin (RFC 2177 §3)."""
        self._step = self._idle
        return b"+ idling\r\n"

    def literal_go(self) -> bytes:
        """Let the octets of the announced literal come."""
        append = self._append
        assert append is not None and append.announced is not None, "no literal waits for leave"
        announced, append.announced = append.announced, None
        self._left, append.has_nul, append.binary = announced.size, False, announced.binary
        self._step = self._stream
        return responses.continuation() if announced.synchronising else b""

    def literal_refuse(self, answer: bytes) -> bytes:
        """End APPEND or REPLACE with *answer*, its tagged NO. Octets that come all the same are read over."""
        present = self._append
        if present is None:
            if self._ready and isinstance(self._ready[0], events.Command):
                self._ready.clear()  # CATENATE of nothing but URLs: the whole command waits already
            return answer
        announced, left = present.announced, self._left if self._step == self._stream else 0
        self._ready.clear()
        self._forget()
        if announced is not None:
            self._turn_away(announced.size, announced.synchronising)
        else:
            self._turn_away(left, False)  # also after the last octet: the line goes on behind the literal
        return answer

    def bad(self, tag: bytes, text: str, code: bytes = b"") -> ProtocolError:
        """A tagged BAD (untagged with *tag* `*`). It counts: the last one allowed ends in BYE."""
        self._bads += 1
        response = responses.bad(tag, text, code)
        if self._bads < self._limits.bads:
            return ProtocolError(response)
        return ProtocolError(response + self._hang_up("too many broken commands").response, True)

    # --- lines and commands

    def _command(self) -> Event | None:
        try:
            line = self._input.line(self._room())
        except BrokenLine as error:
            append = self._append
            tag = _tag(self._collected + self._input.start(_START)) if append is None else append.tag
            return self._broken_line(tag, error)
        if line is None:
            return None
        if line.endswith(b"}"):
            found = _ANNOUNCED.search(line, max(0, len(line) - _ANNOUNCED_SIZE))
            if found is not None:
                return self._announced(self._collected + line + responses.CRLF, int(found[1]), not found[2])
        return self._whole(self._collected + line if self._collected else line)

    def _room(self) -> int:
        limits = self._limits
        room = (limits.command if self.authenticated else limits.early_command) - len(self._collected)
        return room if self._append is None else min(room, limits.append_lines - self._append.size)

    def _broken_line(self, tag: bytes, reason: BrokenLine) -> Event:
        self._forget()
        error = self.bad(tag, str(reason))
        if not error.close:
            self._skip(0)
        return error

    def _whole(self, data: bytes) -> Event | None:
        """A command is there up to the end of its last line."""
        if self._append is not None:
            return self._segment(data, None)
        self._forget()
        head = _HEAD.match(data)
        if head is None:
            tag = _tag(data)
            return self._no_command(data, tag, "there must be a tag first" if tag == b"*" else "there is no command")
        tag, word = head[1], head[2].upper()
        known = PARSERS.get(word)
        if known is None:
            if word in append.NAMES:
                return self._begin_append(head, data, None)
            return self._no_command(data, tag, "there is no such command")
        name, parser = known
        reader = Reader(data, head.end(), self.utf8)
        try:
            request = parser(reader)
            reader.end()
        except (Bad, No, Incomplete) as error:
            # A browser that was made to speak to this port must not get further than its first line.
            return self._hang_up(_NO_BROWSER) if _HTTP.match(data) else self._complaint(tag, name, error)
        self._tag = tag
        if self.authenticated:
            self._bads = 0
        if isinstance(request, StartTls | Compress):
            self._step = self._halted
        return events.Command(tag, name, request)

    def _no_command(self, data: bytes, tag: bytes, text: str) -> ProtocolError:
        return self._hang_up(_NO_BROWSER) if _HTTP.match(data) else self.bad(tag, text)

    def _complaint(self, tag: bytes, name: str, error: Exception) -> ProtocolError:
        if isinstance(error, No):
            return ProtocolError(responses.no(tag, f"{name}: {error}", error.code))
        return self.bad(tag, f"{name}: {error}")

    # --- literals of ordinary commands

    def _announced(self, data: bytes, size: int, synchronising: bool) -> Event | None:
        """A line ended in a literal's announcement; *data* is the command (or APPEND's segment) up to there."""
        literal = (size, synchronising)
        if self._append is not None:
            return self._segment(data, literal)
        head = _HEAD.match(data)
        if head is None:
            return self._refuse(self.bad(_tag(data), "there is no command"), literal)
        tag, word = head[1], head[2].upper()
        if word in append.NAMES:
            return self._begin_append(head, data, literal)
        if word not in PARSERS:
            return self._refuse(self.bad(tag, "there is no such command"), literal)
        if synchronising and self._literals < _CHECKED_LITERALS:
            name, parser = PARSERS[word]
            try:
                parser(Reader(data, head.end(), self.utf8, open_ended=True))
                return self._refuse(self.bad(tag, f"{name}: no literal may stand here"), literal)
            except (Bad, No) as error:
                return self._refuse(self._complaint(tag, name, error), literal)
            except Incomplete:
                pass
        return self._collect(tag, data, literal)

    def _collect(self, tag: bytes, data: bytes, literal: tuple[int, bool]) -> Event | None:
        """Let the literal come into memory, if it fits."""
        size, synchronising = literal
        limits = self._limits
        room = (limits.command if self.authenticated else limits.early_command) - len(data)
        if self._literals >= limits.literals or size > (room if self.authenticated else min(room, limits.early_literal)):
            return self._refuse(self.bad(tag, "literal is too large", b"TOOBIG"), literal)
        self._collected, self._left = data, size
        self._literals += 1
        self._step = self._collecting
        return events.Continue(responses.continuation()) if synchronising else None

    def _collecting(self) -> Event | None:
        octets = self._input.take(self._left)
        if octets is not None:
            self._collected += octets
            self._step = self._command
        return None

    # --- APPEND and REPLACE

    def _begin_append(self, head: re.Match[bytes], data: bytes, literal: tuple[int, bool] | None) -> Event | None:
        tag = head[1]
        if not self.authenticated:
            error = self.bad(tag, "log in first")
            return error if literal is None else self._refuse(error, literal)
        self._append = _Append(tag, append.NAMES[head[2].upper()], head.end())
        return self._segment(data, literal)

    def _segment(self, data: bytes, literal: tuple[int, bool] | None) -> Event | None:
        """Read from the start of the command, or from the last streamed literal, to *literal* or to the end."""
        present = self._append
        assert present is not None
        reader = Reader(data, present.position, self.utf8, literal is not None)
        try:
            progress = present.progress or append.begin(reader, present.name)
            progress, announced = append.proceed(progress, reader)
        except Incomplete as error:
            if literal is not None:
                return self._collect(present.tag, data, literal)
            return self._end_append(self._complaint(present.tag, present.name, error))
        except (Bad, No) as error:
            complaint = self._complaint(present.tag, present.name, error)
            return self._end_append(complaint) if literal is None else self._refuse(complaint, literal)
        first, present.progress, present.announced = present.progress is None, progress, announced
        present.position = 0
        present.size += len(data)
        self._collected, self._literals = b"", 0
        return self._append_event(present, first, announced)

    def _append_event(self, present: _Append, first: bool, announced: append.Announced | None) -> Event:
        assert present.progress is not None
        if announced is None:
            self._forget()
            self._bads = 0
            self._tag = present.tag
            self._ready.append(events.Command(present.tag, present.name, present.progress.finished()))
        else:
            self._step = self._undecided
            size, synchronising, message, part = announced.size, announced.synchronising, announced.message, announced.part
            catenated = present.progress.form == "CATENATE"
            self._ready.append(events.LiteralStart(size, synchronising, announced.binary, message, part, catenated))
        if first:
            return events.AppendStart(present.tag, present.name, present.progress.request)
        return self._ready.popleft()

    def _end_append(self, error: ProtocolError) -> ProtocolError:
        self._forget()
        return error

    def _undecided(self) -> Event | None:
        """The session asked for the next event without an answer to LiteralStart."""
        assert self._append is not None
        return ProtocolError(self.literal_refuse(responses.no(self._append.tag, "not now", b"CANNOT")))

    def _stream(self) -> Event | None:
        present = self._append
        assert present is not None
        if not self._left:
            self._step = self._command
            return events.LiteralEnd(present.has_nul)
        data = self._input.some(self._left)
        if not data:
            return None
        self._left -= len(data)
        if not present.binary and b"\0" in data:
            present.has_nul = True
        return events.LiteralChunk(data)

    # --- IDLE, AUTHENTICATE

    def _idle(self) -> Event | None:
        line = self._answer_line(self._limits.early_command)
        if not isinstance(line, bytes):
            return line
        return events.IdleDone(self._tag) if line.upper() == b"DONE" else self.bad(self._tag, "DONE expected")

    def _auth_response(self) -> Event | None:
        line = self._answer_line(self._limits.auth_line)
        if not isinstance(line, bytes):
            return line
        if line == b"*":
            return events.AuthResponse(None)
        try:
            return events.AuthResponse(from_base64(line))
        except Bad as error:
            return self.bad(self._tag, str(error))

    def _answer_line(self, room: int) -> bytes | Event | None:
        """A line that is no command; with it (or with its fault) the mode is over."""
        try:
            line = self._input.line(room)
        except BrokenLine as error:
            return self._broken_line(self._tag, error)
        if line is not None:
            self._step = self._command
        return line

    # --- turning away

    def _forget(self) -> None:
        """Nothing of a command is under way."""
        self._collected, self._literals, self._append = b"", 0, None
        if not self._closed:
            self._step = self._command

    def _refuse(self, error: ProtocolError, literal: tuple[int, bool]) -> ProtocolError:
        """The command ends with *error* at its *literal* (size, synchronising)."""
        self._forget()
        if not error.close:
            self._turn_away(*literal)
        return error

    def _turn_away(self, size: int, synchronising: bool) -> None:
        """A literal is not wanted. RFC 7888 §4: if the client does not wait for leave, its octets come nevertheless."""
        if not synchronising:
            self._skip(size)
        elif self._input:
            # Who does not wait where it must would have the literal's text taken for commands.
            self._ready.append(self._hang_up(_AHEAD))

    def _skip(self, octets: int) -> None:
        limits = self._limits
        self._input.skip(octets, limits.discard if self.authenticated else limits.early_discard)
        self._step = self._skipping

    def _skipping(self) -> Event | None:
        try:
            if self._input.skipped():
                self._step = self._command
        except Flood:
            return self._hang_up("too much that nobody asked for")
        return None

    def _hang_up(self, text: str) -> ProtocolError:
        self._closed = True
        self._step = self._halted
        self._input.clear()
        return ProtocolError(responses.bye(text), True)

    def _halted(self) -> Event | None:
        return None


class _Append:
    """An APPEND or REPLACE under way."""

    __slots__ = ("announced", "binary", "has_nul", "name", "position", "progress", "size", "tag")

    def __init__(self, tag: bytes, name: str, position: int) -> None:
        self.tag = tag
        self.name = name
        self.position = position
        """Where the arguments begin in the segment."""
        self.progress: append.Progress | None = None
        self.announced: append.Announced | None = None
        """Waits for the session's leave."""
        self.size = 0
        """Octets of the segments so far."""
        self.binary = False
        self.has_nul = False


def _tag(data: bytes) -> bytes:
    found = _TAG.match(data)
    return found[1] if found else b"*"
