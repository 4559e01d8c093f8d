"""The server's side of an SMTP dialogue: octets in, events out (RFC 5321, 1870, 2920, 3030, 3207, 4954; LMTP RFC 2033).

The engine knows syntax and order. Whether a command is granted is the session's word: it answers each event, and tells
`accepted` when the answer was yes. Events come lazily, so a pipelined command is read in the light of the answer before it.
After a TLS handshake the session makes a new engine; nothing of an old one lives on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

from ..lines import LineBuffer, LineTooLong
from .content import TOO_LARGE, Content, DotReader
from .events import (
    Auth,
    AuthResponse,
    Bdat,
    BdatEnd,
    Burl,
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
)  # fmt: skip
from .grammar import GrammarError, decode_base64, parse_auth, parse_bdat, parse_burl, parse_hello, parse_mail, parse_rcpt
from .offers import XCLIENT, XFORWARD, Offers, parse_attributes, parse_etrn
from .reply import Reply


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Octets and counts. All are finite; there is no value for `unlimited`."""

    size: int = 50 << 20
    """A message; announced by SIZE."""
    recipients: int = 1000
    command_line: int = 2048
    """With its CR LF. RFC 5321 §4.5.3.1.4 asks for 512 and more with each extension."""
    auth_line: int = 12288
    """RFC 4954 §4."""


class State(Enum):
    NEW = "before EHLO"
    READY = "between transactions"
    MAIL = "sender known"
    RCPT = "a recipient known"
    BDAT = "between two BDATs of a message"
    LOST = "after a BDAT that failed"
    DATA = "inside the content after DATA"
    OCTETS = "inside the octets of a BDAT"
    ENDED = "the content is complete, its end not yet told"
    AUTH = "inside an authentication exchange"
    CLOSED = "nothing more is read"

    __hash__ = object.__hash__  # members are single, and Enum's own hash is slow Python


ANY = frozenset({State.NEW, State.READY, State.MAIL, State.RCPT, State.BDAT, State.LOST})


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a verb is allowed; whether it must be the last of a pipelined group; whether it takes an argument at all."""

    states: frozenset[State]
    is_last: bool = False
    takes_argument: bool = True


# The order of commands (RFC 5321 §4.1.4) and the points where a client has to wait for the answer (RFC 2920 §3.1). What a
# verb leads to is in `_AFTER`. BDAT is allowed everywhere here, because its octets follow even when it is refused.
TABLE = {
    b"EHLO": Rule(ANY, is_last=True),
    b"HELO": Rule(ANY, is_last=True),
    b"LHLO": Rule(ANY, is_last=True),
    b"MAIL": Rule(frozenset({State.READY})),
    b"RCPT": Rule(frozenset({State.MAIL, State.RCPT})),
    b"DATA": Rule(frozenset({State.RCPT}), is_last=True, takes_argument=False),
    b"BDAT": Rule(ANY),
    b"BURL": Rule(frozenset({State.RCPT, State.BDAT})),
    b"RSET": Rule(ANY, takes_argument=False),
    b"NOOP": Rule(ANY),
    b"HELP": Rule(ANY),
    b"VRFY": Rule(ANY),
    b"EXPN": Rule(ANY),
    b"QUIT": Rule(ANY),
    b"STARTTLS": Rule(frozenset({State.READY}), is_last=True, takes_argument=False),
    b"AUTH": Rule(frozenset({State.READY})),
    b"ETRN": Rule(frozenset({State.READY})),
    b"XCLIENT": Rule(frozenset({State.READY})),
    b"XFORWARD": Rule(frozenset({State.READY})),
}

_AFTER: dict[type[object], State] = {
    Mail: State.MAIL,
    Rcpt: State.RCPT,
    DataStart: State.DATA,
    BdatEnd: State.BDAT,
    Auth: State.AUTH,
    StartTls: State.CLOSED,
    Quit: State.CLOSED,
}

# ALPACA: a browser that was made to speak to us says one of these first, and must not get a second line in.
_HTTP = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"DELETE", b"TRACE", b"PATCH", b"PRI"})
_TLS_HANDSHAKE = b"\x16"
_CONTROL = bytes(range(32)) + b"\x7f"

NO_SMTP = Reply(554, "This is an SMTP server", "5.5.0")
PIPELINED = Reply(554, "Commands sent before their time", "5.5.0")
UNKNOWN = Reply(500, "Command not recognized", "5.5.1")
NOT_OFFERED = Reply(502, "Command not implemented here", "5.5.1")
BAD_LINE = Reply(500, "Command lines are text and end with CR LF", "5.5.2")
LINE_TOO_LONG = Reply(500, "Command line is too long", "5.5.2")
AUTH_LINE_TOO_LONG = Reply(500, "Authentication exchange line is too long", "5.5.6")
NO_ARGUMENT = Reply(501, "This command takes no argument", "5.5.4")
NO_REQUIRETLS = Reply(555, "REQUIRETLS is for connections that are encrypted", "5.7.10")  # RFC 8689 §4.1
TOO_MANY_RECIPIENTS = Reply(452, "Too many recipients; send the message again for the others", "4.5.3")
NEEDS_BDAT = Reply(503, "A message with BODY=BINARYMIME is sent by BDAT", "5.5.1")  # RFC 3030 §3
NO_BINARY = Reply(501, "Bad BODY parameter", "5.5.4")
NO_VALID_RECIPIENTS = Reply(554, "No valid recipients", "5.5.1")
LOST = Reply(503, "An earlier BDAT failed; send RSET", "5.5.1")

_OUT_OF_ORDER = {
    State.NEW: Reply(503, "Send EHLO first", "5.5.1"),
    State.READY: Reply(503, "Send MAIL first", "5.5.1"),
    State.MAIL: Reply(503, "Not between MAIL and RCPT", "5.5.1"),
    State.RCPT: Reply(503, "Not inside a transaction; send DATA or RSET", "5.5.1"),
    State.BDAT: Reply(503, "Not between two BDATs; send BDAT or RSET", "5.5.1"),
    State.LOST: LOST,
}


_Reader = Callable[["ServerEngine", bytes], "Event | None"]


class ServerEngine:
    """One dialogue from the greeting (which is the session's) to QUIT or STARTTLS.

    *normalise*: bare CR and LF in messages become CR LF instead of a refusal; None: as *submission*. *starttls*: the command
    is offered (never inside TLS). *requiretls*: the connection is encrypted (RFC 8689 §2). *lmtp*: LHLO takes the place of EHLO
    and HELO; the session answers each recipient. *burl*: which URLs can be opened, as EHLO tells it (RFC 4468 §3.2); empty:
    none, and there is no BURL. *offers*: extensions that not everybody gets.
    """

    def __init__(
        self,
        limits: SmtpLimits,
        *,
        lmtp: bool = False,
        submission: bool = False,
        starttls: bool = True,
        normalise: bool | None = None,
        requiretls: bool = False,
        burl: str = "",
        offers: Offers | None = None,
    ) -> None:
        self.state = State.NEW
        self.authenticated = False
        self._limits = limits
        self._normalise = submission if normalise is None else normalise
        self._requiretls = requiretls
        self._offers = offers or Offers()
        self._parameters = self._offers.parameters
        self._absent = _absent(submission, starttls, bool(burl), self._offers)
        self._burls = burl
        self._readers = _offered(lmtp)
        self._idle = State.NEW
        self._buffer = LineBuffer()
        self._smtputf8 = self._is_binary = False
        self._recipients = 0
        self._has_tried_recipient = False
        self._content = Content(0, False)
        self._dots = DotReader()
        self._size = self._remaining = 0
        self._is_last = False
        self._refused: Reply | None = None
        self._resume = State.NEW
        # Beyond its size a message is read and dropped for as long as this, so that the client hears the 552.
        self._patience = limits.size + max(limits.size, 16 << 20)

    @property
    def pending(self) -> int:
        """Octets that were received and not yet read."""
        return self._buffer.pending

    @property
    def is_reading_message(self) -> bool:
        """Whether what comes next is content and no command."""
        return self.state is State.DATA or self.state is State.OCTETS

    def extensions(self, mechanisms: Sequence[str] = (), now: int = 0) -> tuple[str, ...]:
        """What the answer to EHLO lists after the host name; *mechanisms* are those of AUTH that may be used now.

        *now*: epoch seconds, for what is told as a date.
        """
        offered = ["PIPELINING", f"SIZE {self._limits.size}", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN"]
        if b"STARTTLS" not in self._absent:
            offered.append("STARTTLS")
        if self._requiretls:
            offered.append("REQUIRETLS")
        if self._burls:
            # RFC 4468 §3.2: which URLs can be opened is told once it is known for whom.
            offered.append(f"BURL {self._burls}" if self.authenticated else "BURL")
        if mechanisms:
            offered.append("AUTH " + " ".join(mechanisms))
        return (*offered, *self._offers.lines(self._limits.recipients, now))

    def receive(self, data: bytes) -> Iterator[Event]:
        """What *data* means, after all that came before. Each event must be answered before the next is asked for."""
        self._buffer.feed(data)
        while (event := _BY_STATE.get(self.state, ServerEngine._command)(self)) is not None:
            if type(event) is ProtocolError and event.close:
                self.state = State.CLOSED
            yield event

    def accepted(self, event: Event) -> None:
        """The session said yes to *event*, the last one yielded."""
        kind = type(event)
        if kind is Ehlo:
            self._idle = State.READY
            self._forget()
        elif kind is Rset:
            self._forget()
        elif kind is XClient:
            self._idle = State.NEW
            self._forget()
        elif kind in _AFTER:
            self.state = _AFTER[kind]
        elif isinstance(event, Burl):
            self.state = State.ENDED if event.last else State.BDAT
        if isinstance(event, Mail):
            self._smtputf8 = event.envelope.smtputf8
            self._is_binary = event.envelope.body == "BINARYMIME"
        elif kind is Rcpt:
            self._recipients += 1
        elif kind is DataStart:
            self._content = Content(self._limits.size, self._normalise)
            self._dots = DotReader()

    def take(self, octets: bytes) -> bytes:
        """What to keep of *octets* that a Burl brought: checked and counted like all others."""
        return self._content.take(octets)

    @property
    def fault(self) -> Reply | None:
        """What is wrong with the message so far."""
        return self._content.refusal

    def auth_over(self, success: bool) -> None:
        """The exchange that an accepted Auth began has ended."""
        self.authenticated |= success
        if self.state is State.AUTH:
            self.state = self._idle

    def _forget(self) -> None:
        """RFC 5321 §4.1.1.5: no transaction is under way."""
        self.state = self._idle
        self._smtputf8 = self._is_binary = False
        self._recipients = 0
        self._has_tried_recipient = False

    # Commands

    def _command(self) -> Event | None:
        buffer = self._buffer
        if self.state is State.NEW and buffer.data.startswith(_TLS_HANDSHAKE, buffer.at):
            return ProtocolError(NO_SMTP, close=True)
        may_be_auth = self.state is State.READY and b"AUTH" not in self._absent
        try:
            line = buffer.line(self._limits.auth_line if may_be_auth else self._limits.command_line)
        except LineTooLong:
            return ProtocolError(LINE_TOO_LONG)
        if line is None:
            return None
        text = line.translate(None, _CONTROL)
        if len(text) != len(line) - 2 or not line.endswith(b"\r\n"):
            return ProtocolError(BAD_LINE)
        verb, _, argument = text.partition(b" ")
        verb = verb.upper()
        if len(line) > self._limits.command_line and verb != b"AUTH":
            return ProtocolError(LINE_TOO_LONG)
        found = self._readers.get(verb)
        if found is None:
            return ProtocolError(NO_SMTP, close=True) if verb in _HTTP else ProtocolError(UNKNOWN)
        return self._judge(verb, argument, *found)

    def _judge(self, verb: bytes, argument: bytes, rule: Rule, read: _Reader) -> Event | None:
        if rule.is_last and self._buffer.pending:
            return ProtocolError(PIPELINED, close=True)
        if verb in self._absent:
            return ProtocolError(NOT_OFFERED)
        if self.state not in rule.states:
            return ProtocolError(self._out_of_order(verb))
        if argument.strip(b" ") and not rule.takes_argument:
            return ProtocolError(NO_ARGUMENT)
        try:
            return read(self, argument)
        except GrammarError as error:
            return ProtocolError(error.reply, close=verb == b"BDAT")

    def _out_of_order(self, verb: bytes) -> Reply:
        if self.state is State.MAIL and verb in (b"DATA", b"BDAT", b"BURL") and self._has_tried_recipient:
            # RFC 5321 §3.3; RFC 2033 §4.2 wants 503
            return NO_VALID_RECIPIENTS if b"EHLO" in self._readers else replace(NO_VALID_RECIPIENTS, code=503)
        return _OUT_OF_ORDER[self.state]

    def _ehlo(self, argument: bytes) -> Event:
        return Ehlo(parse_hello(argument), True)

    def _helo(self, argument: bytes) -> Event:
        return Ehlo(parse_hello(argument), False)

    def _mail(self, argument: bytes) -> Event:
        envelope = parse_mail(argument, self._limits.size, self._parameters)
        if envelope.body == "BINARYMIME" and not self._offers.binary:
            return ProtocolError(NO_BINARY)
        if envelope.require_tls and not self._requiretls:
            return ProtocolError(NO_REQUIRETLS)
        return Mail(envelope)

    def _rcpt(self, argument: bytes) -> Event:
        self._has_tried_recipient = True
        event = Rcpt(parse_rcpt(argument, self._smtputf8))
        if self._recipients >= self._limits.recipients:
            return ProtocolError(TOO_MANY_RECIPIENTS)  # RFC 5321 §4.5.3.1.10
        return event

    def _auth(self, argument: bytes) -> Event:
        if self.authenticated:
            return ProtocolError(Reply(503, "Already authenticated", "5.5.1"))  # RFC 4954 §4
        return Auth(*parse_auth(argument))

    def _start_data(self, argument: bytes) -> Event:
        return ProtocolError(NEEDS_BDAT) if self._is_binary else DataStart()

    def _vrfy(self, argument: bytes) -> Event:
        return Vrfy() if argument.strip(b" ") else ProtocolError(Reply(501, "Give a name", "5.5.4"))

    # Content

    def _bdat(self, argument: bytes) -> Event | None:
        """RFC 3030 §2: the octets follow at once, so even a refusal comes after them. A size that cannot be read ends it all."""
        size, last = parse_bdat(argument)
        if self.state is State.RCPT:
            self._content = Content(self._limits.size, self._normalise, self._is_binary)
        is_in_order = self.state is State.RCPT or self.state is State.BDAT
        if size + (self._content.size if is_in_order else 0) > self._patience:
            return ProtocolError(TOO_LARGE, close=True)
        self._refused = None if is_in_order else self._out_of_order(b"BDAT")
        self._resume, self.state = self.state, State.OCTETS
        self._size = self._remaining = size
        self._is_last = last
        return Bdat(size, last) if is_in_order else self._octets()

    def _burl(self, argument: bytes) -> Event:
        url, last = parse_burl(argument)
        if self.state is State.RCPT:
            self._content = Content(self._limits.size, self._normalise)
        self.state = State.LOST  # until the session accepts it
        return Burl(url, last)

    def _octets(self) -> Event | None:
        data = self._buffer.take(self._remaining)
        self._remaining -= len(data)
        if self._refused is not None:
            if self._remaining:
                return None
            self.state = self._resume
            return ProtocolError(self._refused)
        kept = self._content.take(data) if data else b""
        if kept:
            return Chunk(kept)
        if self._remaining:
            return None
        if self._is_last:
            return self._ended()
        # Without the session's consent to what has come, the message is lost.
        self.state = State.LOST
        return BdatEnd(self._size)

    def _data(self) -> Event | None:
        octets, ended = self._dots.read(self._buffer)
        kept = self._content.take(octets) if octets else b""
        if ended:
            self.state = State.ENDED
        elif self._content.size > self._patience:
            return ProtocolError(TOO_LARGE, close=True)
        if kept:
            return Chunk(kept)
        return self._ended() if ended else None

    def _ended(self) -> Event:
        held = self._content.finish()
        if held:
            return Chunk(held)
        self._forget()
        return DataEnd(self._content.size, self._content.refusal)

    # Authentication

    def _response(self) -> Event | None:
        """RFC 4954 §4: a base64 line, or `*` to cancel. A line that is neither ends the exchange."""
        try:
            line = self._buffer.line(self._limits.auth_line)
            if line is None:
                return None
            if not line.endswith(b"\r\n"):
                raise GrammarError(500, "5.5.2", "Lines end with CR LF")
            return AuthResponse(None if line == b"*\r\n" else decode_base64(line[:-2]))
        except LineTooLong:
            self.auth_over(False)
            return ProtocolError(AUTH_LINE_TOO_LONG)
        except GrammarError as error:
            self.auth_over(False)
            return ProtocolError(error.reply)

    def _nothing(self) -> None:
        return None


_READERS: dict[bytes, _Reader] = {
    b"EHLO": ServerEngine._ehlo,
    b"HELO": ServerEngine._helo,
    b"LHLO": ServerEngine._ehlo,
    b"MAIL": ServerEngine._mail,
    b"RCPT": ServerEngine._rcpt,
    b"DATA": ServerEngine._start_data,
    b"BDAT": ServerEngine._bdat,
    b"BURL": ServerEngine._burl,
    b"RSET": lambda engine, argument: Rset(),
    b"NOOP": lambda engine, argument: Noop(),
    b"HELP": lambda engine, argument: Help(),
    b"VRFY": ServerEngine._vrfy,
    b"EXPN": lambda engine, argument: ProtocolError(NOT_OFFERED),
    b"QUIT": lambda engine, argument: Quit(),
    b"STARTTLS": lambda engine, argument: StartTls(),
    b"AUTH": ServerEngine._auth,
    b"ETRN": lambda engine, argument: Etrn(*parse_etrn(argument)),
    b"XCLIENT": lambda engine, argument: XClient(parse_attributes(argument, XCLIENT)),
    b"XFORWARD": lambda engine, argument: XForward(parse_attributes(argument, XFORWARD)),
}


@lru_cache(maxsize=2)
def _offered(lmtp: bool) -> dict[bytes, tuple[Rule, _Reader]]:
    """Rules and readers of the verbs that the protocol has."""
    foreign = {b"EHLO", b"HELO"} if lmtp else {b"LHLO"}
    return {verb: (rule, _READERS[verb]) for verb, rule in TABLE.items() if verb not in foreign}


@lru_cache(maxsize=64)
def _absent(submission: bool, starttls: bool, burl: bool, offers: Offers) -> frozenset[bytes]:
    """Verbs that this connection does not get."""
    missing = {b"AUTH": submission, b"STARTTLS": starttls, b"BURL": burl}
    return offers.absent | {verb for verb, is_offered in missing.items() if not is_offered}


_BY_STATE: dict[State, Callable[[ServerEngine], Event | None]] = {
    State.DATA: ServerEngine._data,
    State.OCTETS: ServerEngine._octets,
    State.ENDED: ServerEngine._ended,
    State.AUTH: ServerEngine._response,
    State.CLOSED: ServerEngine._nothing,
}
