"""The client's half of SMTP (RFC 5321): commands as bytes, replies from bytes, a message's octets made fit for DATA.

Sans-I/O: a session owns the socket and the time-outs, this module knows the words. It speaks the extensions PIPELINING
(RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), DSN (3461), STARTTLS (3207), AUTH (4954), CHUNKING and BINARYMIME
(3030), DELIVERBY (2852), MT-PRIORITY (6710), NO-SOLICITING (3865), LIMITS (9422) and enhanced status codes (2034). It decides
nothing: which reply means what for a recipient is `postillon.relay.session`'s business.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ...model.address import Address
from ...model.envelope import Envelope, Recipient
from .grammar import encode_orcpt, encode_xtext
from .reply import Reply, ReplyError, ReplyLine, assemble, parse_line

MAX_REPLY_LINE = 2048
"""RFC 5321 §4.5.3.1.5 says 512; many say more."""
MAX_REPLY = 64 * 1024
"""All lines of one reply, octets."""

_BARE = re.compile(rb"\r\n|\r|\n")


class BadReply(Exception):
    """What came is not an SMTP reply, or one without end. The connection is of no more use."""


class ClientEngine:
    """Replies out of bytes. Make a new one after STARTTLS: nothing that was read in clear may survive (RFC 3207 §4.2)."""

    __slots__ = ("_bad", "_buffer", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[ReplyLine] = []
        self._size = 0
        self._bad: BadReply | None = None

    @property
    def pending(self) -> int:
        """Octets that have arrived and belong to no complete reply."""
        return len(self._buffer) + self._size

    def receive(self, data: bytes) -> list[Reply]:
        """The replies that *data* completes, in order. Raises BadReply, but not before all that came right was returned."""
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        replies: list[Reply] = []
        try:
            if self._bad is not None:
                raise self._bad
            replies += (reply for line in lines if (reply := self._line(line.removesuffix(b"\r"))) is not None)
            if len(self._buffer) > MAX_REPLY_LINE:
                raise BadReply("reply line is too long")
        except BadReply as error:
            # A 250 for the final dot counts whatever follows it: losing it would send the message twice.
            self._bad = error
            self._size += 1
            if not replies:
                raise
        return replies

    def _line(self, octets: bytes) -> Reply | None:
        self._size += len(octets) + 1
        if len(octets) > MAX_REPLY_LINE or self._size > MAX_REPLY:
            raise BadReply("reply is too long")
        try:
            line = parse_line(octets)
        except ReplyError as error:
            raise BadReply(str(error)) from error
        if not line.last:
            self._lines.append(line)
            return None
        if not self._lines:
            self._size = 0
            return Reply(line.code, line.text, line.status)
        lines, self._lines, self._size = [*self._lines, line], [], 0
        return assemble(lines)


def words(reply: Reply) -> str:
    """The reply's text as one printable line of at most 500 characters; a stranger's words, so nothing else of them is kept."""
    return one_line(" ".join(reply.lines))


def one_line(text: str, limit: int = 500) -> str:
    """*text* with runs of blanks and control characters made one space, the unprintable made `?`, cut at *limit* characters."""
    if len(text) <= limit and text.isprintable() and "  " not in text:
        return text.strip()
    kept = "".join(char if char.isprintable() else " " if char.isspace() or char < " " else "?" for char in text[: 4 * limit])
    return " ".join(kept.split())[:limit]


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server's EHLO reply offers (RFC 5321 §4.1.1.1). The default is a server that knows only HELO."""

    esmtp: bool = False
    pipelining: bool = False
    eightbit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    requiretls: bool = False
    size: int = 0
    """The largest message it takes, octets; 0: it did not say."""
    has_size: bool = False
    auth: frozenset[str] = frozenset()
    """SASL mechanisms in capitals."""
    chunking: bool = False
    binary: bool = False
    """BINARYMIME, which is nothing without CHUNKING."""
    deliver_by: bool = False
    deliver_by_least: int = 0
    """The shortest time it takes on itself, seconds (RFC 2852 §3)."""
    priority: bool = False
    no_soliciting: bool = False
    mailmax: int = 0
    """Messages that one connection may carry (RFC 9422 §4.1); 0, here and below: it did not say."""
    rcptmax: int = 0
    """Recipients of one message."""
    rcptdomainmax: int = 0
    """Domains among them."""

    @classmethod
    def of(cls, reply: Reply) -> Extensions:
        """From the reply to EHLO; its first line is the greeting."""
        offers: dict[str, list[str]] = {}
        for line in reply.lines[1:]:
            # Old servers write `AUTH=PLAIN`; RFC 4954 §3 tells to take it too.
            keyword, *arguments = line.upper().replace("AUTH=", "AUTH ", 1).split() or [""]
            offers.setdefault(keyword, []).extend(arguments)
        limits = dict(word.partition("=")[::2] for word in offers.get("LIMITS", ()))
        return cls(
            esmtp=True,
            pipelining="PIPELINING" in offers,
            eightbit="8BITMIME" in offers,
            smtputf8="SMTPUTF8" in offers,
            dsn="DSN" in offers,
            starttls="STARTTLS" in offers,
            requiretls="REQUIRETLS" in offers,
            size=_number(offers.get("SIZE")),
            has_size="SIZE" in offers,
            auth=frozenset(offers.get("AUTH", ())),
            chunking="CHUNKING" in offers,
            binary="BINARYMIME" in offers and "CHUNKING" in offers,
            deliver_by="DELIVERBY" in offers,
            deliver_by_least=_number(offers.get("DELIVERBY")),
            priority="MT-PRIORITY" in offers,
            no_soliciting="NO-SOLICITING" in offers,
            mailmax=_number([limits.get("MAILMAX", "")]),
            rcptmax=_number([limits.get("RCPTMAX", "")]),
            rcptdomainmax=_number([limits.get("RCPTDOMAINMAX", "")]),
        )


def _number(words: list[str] | None) -> int:
    """The first word, if it is a number as it should be; else 0."""
    word = words[0] if words else ""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 20 else 0


def ehlo(name: str) -> bytes:
    return f"EHLO {name}\r\n".encode("ascii")


def helo(name: str) -> bytes:
    return f"HELO {name}\r\n".encode("ascii")


def lhlo(name: str) -> bytes:
    """RFC 2033 §4.1."""
    return f"LHLO {name}\r\n".encode("ascii")


def bdat(size: int, *, last: bool) -> bytes:
    """RFC 3030 §2; *size* octets must follow."""
    return b"BDAT %d LAST\r\n" % size if last else b"BDAT %d\r\n" % size


STARTTLS = b"STARTTLS\r\n"
DATA = b"DATA\r\n"
RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"


def mail(envelope: Envelope, offered: Extensions, *, size: int, eightbit: bool, smtputf8: bool) -> bytes:
    """MAIL FROM with the parameters that the server knows. *size* is the message's octets."""
    parts = [f"MAIL FROM:<{_path(envelope.sender)}>"]
    if offered.has_size:
        parts.append(f"SIZE={size}")
    if envelope.body == "BINARYMIME" and offered.binary:
        parts.append("BODY=BINARYMIME")
    elif eightbit and offered.eightbit:
        parts.append("BODY=8BITMIME")
    if smtputf8:
        parts.append("SMTPUTF8")
    if envelope.require_tls:
        parts.append("REQUIRETLS")
    if offered.dsn:
        if envelope.ret is not None:
            parts.append(f"RET={envelope.ret}")
        if envelope.envid is not None:
            parts.append(f"ENVID={encode_xtext(envelope.envid)}")
    if envelope.deliver_by is not None and offered.deliver_by:
        by = envelope.deliver_by
        parts.append(f"BY={by.seconds};{'R' if by.returns else 'N'}{'T' if by.traces else ''}")
    if envelope.priority and offered.priority:
        parts.append(f"MT-PRIORITY={envelope.priority}")
    if envelope.solicit and offered.no_soliciting:
        parts.append(f"SOLICIT={','.join(envelope.solicit)}")
    return " ".join(parts).encode("utf-8") + b"\r\n"


def rcpt(recipient: Recipient, offered: Extensions) -> bytes:
    """RCPT TO, with NOTIFY and ORCPT where the server knows DSN (RFC 3461 §4)."""
    line = f"RCPT TO:<{recipient.address}>"
    if offered.dsn:
        if recipient.notify:
            line += " NOTIFY=" + ",".join(sorted(wish.value for wish in recipient.notify))
        if recipient.original is not None:
            line += f" ORCPT={encode_orcpt(recipient.original)}"
    return line.encode("utf-8") + b"\r\n"


def _path(sender: Address | None) -> str:
    return "" if sender is None else str(sender)


def auth_plain(login: str, password: str) -> bytes:
    """RFC 4616 with the initial response (RFC 4954 §4)."""
    return b"AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()) + b"\r\n"


AUTH_LOGIN = b"AUTH LOGIN\r\n"


def auth_response(text: str) -> bytes:
    return base64.b64encode(text.encode()) + b"\r\n"


class Lines:
    """A message's octets for BDAT, piece by piece: a bare CR or LF becomes CRLF, and nothing else changes (RFC 3030 §2)."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = False

    def take(self, octets: bytes, *, last: bool) -> bytes:
        """*octets* as they leave; a CR at the end waits for what follows, unless they are the *last*."""
        if self._held:
            octets = b"\r" + octets
        self._held = octets.endswith(b"\r") and not last
        if self._held:
            octets = octets[:-1]
        if not octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r"):
            octets = _BARE.sub(b"\r\n", octets)
        return octets


class Stuffer:
    """Makes a message's octets fit for DATA, piece by piece (RFC 5321 §4.5.2, §2.3.8).

    Only CRLF leaves us: a bare CR or LF becomes CRLF, whatever the next server would have made of it. Lines that begin with
    a dot get another. `finish` ends the last line and the message.
    """

    __slots__ = ("_at_start", "_held")

    def __init__(self) -> None:
        self._at_start = True
        self._held = False
        """The last piece ended with a CR whose LF may come with the next."""

    def stuff(self, octets: bytes) -> bytes:
        if self._held:
            octets = b"\r" + octets
        self._held = octets.endswith(b"\r")
        if self._held:
            octets = octets[:-1]
        if not octets:
            return b""
        if not octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r"):
            octets = _BARE.sub(b"\r\n", octets)
        if self._at_start and octets.startswith(b"."):
            octets = b"." + octets
        self._at_start = octets.endswith(b"\n")
        return octets.replace(b"\r\n.", b"\r\n..") if b"\r\n." in octets else octets

    def finish(self) -> bytes:
        if self._held:
            return b"\r\n.\r\n"
        return b".\r\n" if self._at_start else b"\r\n.\r\n"
