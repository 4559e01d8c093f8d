"""POP3, the server's side: octets to commands and answers to octets (RFC 1939; CAPA and response codes RFC 2449, RFC 3206;
STLS RFC 2595; AUTH RFC 5034; UTF8 and LANG RFC 6856).

Only the grammar and the order of commands: what a maildrop holds and whether a login is right is the session's business. No
APOP, which would need passwords in clear on the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum

from .lines import LineBuffer, LineTooLong
from .sasl import MAX_MESSAGE, encode_base64

MAX_COMMAND = 512
"""Octets of a command line with CRLF. RFC 2449 §4 asks for 255; long names and passwords need more."""
MAX_SASL_LINE = MAX_MESSAGE * 4 // 3 + 64
MAX_ERRORS_BEFORE_LOGIN, MAX_ERRORS = 5, 100

LANGUAGES = {b"en": b"English", b"i-default": b"English"}
"""RFC 6856 §3: our only one, under both of its names."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HTTP = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PRI"}


class State(Enum):
    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Command:
    """One command. *number* is a message number, 0 where the command came without one."""

    verb: str
    number: int = 0
    lines: int = 0
    """TOP: how many lines of the body."""
    text: bytes = field(default=b"", repr=False)
    """USER, PASS: the argument; AUTH: the mechanism, in capitals; LANG: the tag."""
    initial: bytes | None = field(default=None, repr=False)
    """AUTH: the initial response as it stands on the line."""


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """A line of an AUTH exchange, without CRLF (`sasl.decode_response` reads it)."""

    line: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """The client broke the rules; *reply* is the whole answer. *close*: and is not worth listening to any longer."""

    reply: bytes
    close: bool = False


Event = Command | AuthResponse | ProtocolError
Arguments = Callable[[bytes], Command | None]
"""Reads what follows the verb (None: it is malformed); the verb is put in by the engine's table."""


def _none(verb: str) -> Arguments:
    return lambda rest: Command(verb) if not rest else None


def _number(text: bytes, least: int) -> int | None:
    if not text.isdigit() or len(text) > 9 or int(text) < least:
        return None
    return int(text)


def _message(verb: str) -> Arguments:
    def read(rest: bytes) -> Command | None:
        number = _number(rest, 1)
        return None if number is None else Command(verb, number)

    return read


def _maybe_message(verb: str) -> Arguments:
    one = _message(verb)
    return lambda rest: one(rest) if rest else Command(verb)


def _top(rest: bytes) -> Command | None:
    first, _, second = rest.partition(b" ")
    number, lines = _number(first, 1), _number(second, 0)
    return None if number is None or lines is None else Command("TOP", number, lines)


def _text(verb: str) -> Arguments:
    # RFC 1939 §7: blanks in PASS belong to the password.
    return lambda rest: Command(verb, text=rest) if rest else None


def _auth(rest: bytes) -> Command | None:
    """RFC 5034 §4: mechanism, then perhaps an initial response; without any, old clients ask for the list."""
    mechanism, _, initial = rest.partition(b" ")
    if not mechanism.replace(b"-", b"").replace(b"_", b"").isalnum() and rest:
        return None
    return Command("AUTH", text=mechanism.upper(), initial=initial or None)


def _language(rest: bytes) -> Command | None:
    return Command("LANG", text=rest.lower()) if len(rest) <= 64 and b" " not in rest else None


_BEFORE, _AFTER, _BOTH = {State.AUTHORIZATION}, {State.TRANSACTION}, {State.AUTHORIZATION, State.TRANSACTION}

# verb -> (states that allow it, how its arguments are read). The whole dialogue is in this table; `accepted` has what moves it.
_TABLE: dict[bytes, tuple[Collection[State], Arguments]] = {
    b"CAPA": (_BOTH, _none("CAPA")),
    b"USER": (_BEFORE, _text("USER")),
    b"PASS": (_BEFORE, _text("PASS")),
    b"AUTH": (_BEFORE, _auth),
    b"STLS": (_BEFORE, _none("STLS")),
    b"UTF8": (_BEFORE, _none("UTF8")),
    b"LANG": (_BOTH, _language),
    b"STAT": (_AFTER, _none("STAT")),
    b"LIST": (_AFTER, _maybe_message("LIST")),
    b"UIDL": (_AFTER, _maybe_message("UIDL")),
    b"RETR": (_AFTER, _message("RETR")),
    b"DELE": (_AFTER, _message("DELE")),
    b"TOP": (_AFTER, _top),
    b"RSET": (_AFTER, _none("RSET")),
    b"NOOP": (_AFTER, _none("NOOP")),
    b"QUIT": (_BOTH, _none("QUIT")),
}


class ServerEngine:
    """One connection's dialogue, up to STLS: after it the session makes a new engine."""

    def __init__(self) -> None:
        self.state = State.AUTHORIZATION
        self._buffer = LineBuffer()
        self._in_exchange = False
        self._user_given = False
        self._errors = 0
        self._stopped = False

    @property
    def pending(self) -> int:
        """Octets read and not yet understood. After STLS anything but 0 was injected (or a broken client)."""
        return self._buffer.pending

    def receive(self, data: bytes) -> Iterator[Event]:
        """The events in *data* and what waited before it, each worked out when it is asked for."""
        self.feed(data)
        while (event := self.next()) is not None:
            yield event

    def feed(self, data: bytes) -> None:
        self._buffer.feed(data)

    def next(self) -> Event | None:
        """The next event, or None until more has arrived."""
        if self._stopped or self.state is State.ENDED:
            return None
        limit = MAX_COMMAND
        if self.state is State.AUTHORIZATION:
            at, data = self._buffer.at, self._buffer.data
            if data[at : at + 2] == b"\x16\x03":
                return self._close(b"-ERR This is not the port for implicit TLS\r\n")
            if self._in_exchange or data[at : at + 5].upper() == b"AUTH ":
                limit = MAX_SASL_LINE
        try:
            line = self._buffer.line(limit)
        except LineTooLong:
            self._in_exchange = False
            return self._error("Line is too long")
        if line is None:
            return None
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if self._in_exchange:
            self._in_exchange = False
            return AuthResponse(line)
        return self._command(line)

    def _command(self, line: bytes) -> Event:
        verb, _, rest = line.partition(b" ")
        verb = verb.upper()
        allowed, read = _TABLE.get(verb, ((), None))
        if read is None:
            if verb in _HTTP or b"HTTP/" in rest:
                return self._close(b"-ERR This is a mail server\r\n")
            return self._error("Unknown command")  # never with the command itself: it may be meant for a browser
        if _CONTROL.search(line):
            return self._error("Command has a control character")
        if self.state not in allowed:
            return self._error("Log in first" if self.state is State.AUTHORIZATION else "Not possible after login")
        if verb not in (b"USER", b"PASS"):
            rest = rest.rstrip(b" ")
        command = read(rest)
        if command is None:
            return self._error("Malformed arguments")
        if verb == b"PASS" and not self._user_given:
            return self._error("USER comes first")
        self._user_given = False  # RFC 1939 §7: PASS only directly after USER
        if verb == b"STLS":
            self._stopped = True
        return command

    def _error(self, text: str) -> ProtocolError:
        self._errors += 1
        limit = MAX_ERRORS_BEFORE_LOGIN if self.state is State.AUTHORIZATION else MAX_ERRORS
        if self._errors >= limit:
            return self._close(b"-ERR Too many errors\r\n")
        return ProtocolError(err(text))

    def _close(self, reply: bytes) -> ProtocolError:
        self.state = State.ENDED
        return ProtocolError(reply, close=True)

    # --- what the session says about events ------------------------------------------------------------------------

    def accepted(self, command: Command) -> None:
        """The session answered *command* with +OK."""
        if command.verb == "USER":
            self._user_given = True
        elif command.verb in ("PASS", "AUTH"):
            self.state = State.TRANSACTION
            self._errors = 0
        elif command.verb == "QUIT":
            self.state = State.ENDED

    def refused(self, command: Command) -> None:
        """The session answered *command* with -ERR; after a refused STLS the dialogue goes on as it was."""
        if command.verb == "STLS":
            self._stopped = False

    def challenge(self, message: bytes) -> bytes:
        """The line that asks for the next response of an AUTH exchange; the next event is an `AuthResponse`."""
        self._in_exchange = True
        return b"+ " + encode_base64(message) + b"\r\n"


# --- answers ------------------------------------------------------------------------------------------------------------


def ok(text: str = "") -> bytes:
    return b"+OK " + text.encode() + b"\r\n" if text else b"+OK\r\n"


def err(text: str, code: str = "") -> bytes:
    """*code*: a response code (RFC 2449 §8) such as `IN-USE` or `SYS/TEMP`."""
    return b"-ERR " + (f"[{code}] {text}" if code else text).encode() + b"\r\n"


def listing(first: str, lines: Collection[bytes]) -> bytes:
    """A multi-line answer. The lines come without CRLF and do not begin with a dot."""
    return ok(first) + b"".join([line + b"\r\n" for line in lines]) + b".\r\n"


def capabilities(
    state: State, mechanisms: Collection[str], *, user_allowed: bool, tls_offered: bool, implementation: str
) -> list[bytes]:
    """RFC 2449 §5, true for this connection now."""
    found = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER", "LANG"]
    if state is State.AUTHORIZATION:
        if user_allowed:
            found.append("USER")
        if mechanisms:
            found.append("SASL " + " ".join(mechanisms))
        if tls_offered:
            found.append("STLS")
    found.append(f"IMPLEMENTATION {implementation}")
    return [line.encode() for line in found]


class DotStuffer:
    """A message in pieces of any size, each made ready to be sent (RFC 1939 §3)."""

    def __init__(self) -> None:
        self._tail = b"\r\n"
        """The last octets before the next piece, two at most."""

    def feed(self, piece: bytes) -> bytes:
        if not piece:
            return piece
        tail, self._tail = self._tail, (self._tail + piece[-2:])[-2:]
        if piece.startswith(b".") and tail == b"\r\n":
            piece = b"." + piece
        elif piece.startswith(b"\n.") and tail.endswith(b"\r"):
            piece = b"\n." + piece[1:]
        return piece.replace(b"\r\n.", b"\r\n..") if b"\r\n." in piece else piece

    def end(self) -> bytes:
        """The end of the answer; a last line without CRLF gets one."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


class TopCutter:
    """Cuts a message after its header, the blank line and *lines* lines of the body (RFC 1939 §7, TOP)."""

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_header = True
        self._tail = b"\r\n"  # so that a message without header fields ends its header at once
        self.is_complete = False

    def feed(self, piece: bytes) -> bytes:
        """What of *piece* belongs to the answer."""
        end = 0
        if self._in_header:
            seam = self._tail
            found = (seam + piece).find(b"\r\n\r\n")
            if found < 0:
                self._tail = (seam + piece)[-3:]
                return piece
            self._in_header = False
            end = found + 4 - len(seam)
        while self._left:
            following = piece.find(b"\n", end) + 1
            if not following:
                return piece
            end = following
            self._left -= 1
        self.is_complete = True
        return piece[:end]
