"""IMAP URLs that name a message or a part of one (RFC 5092 §6, §7.1), with the access part of URLAUTH (RFC 4467 §3)."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace

from .fetch_attributes import Section
from .grammar.fetch import attribute
from .grammar.reader import MAX_32, MAX_63, Bad, Incomplete, Reader

MAX_URL = 4096
"""Octets."""

_URL = re.compile(
    rb"(?:imap://(?:(?P<user>[^@/;:\[\]]*)(?:;AUTH=[^@/]*)?@)?(?P<host>\[[0-9A-F:.]+\]|[^/@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?)?"
    rb"(?P<mailbox>[^;?]*)(?:;UIDVALIDITY=(?P<uidvalidity>[1-9][0-9]{0,9}))?/?;UID=(?P<uid>[1-9][0-9]{0,9})"
    rb"(?:/;SECTION=(?P<section>[^;]+?))?(?:/;PARTIAL=(?P<first>[0-9]{1,19})(?:\.(?P<count>[1-9][0-9]{0,18}))?)?"
    rb"(?:;EXPIRE=(?P<expire>[-+:.0-9TZ]{20,40}))?(?P<access>;URLAUTH=(?P<who>[^:;/?]+)(?::(?P<mechanism>[-.A-Z0-9]+):(?P<token>[0-9A-F]{32,256}))?)?",
    re.IGNORECASE,
)
_ESCAPE = re.compile(rb"%(?:([0-9A-Fa-f]{2})|.?.?)", re.DOTALL)
_CONTROLS = re.compile(rb"[\x00-\x20\x7f-\xff]")
_WHOLE = Section(b"")


class BadUrl(ValueError):
    """It is no IMAP URL of a message."""


@dataclass(frozen=True, slots=True)
class Access:
    """RFC 4467 §3: who may use the URL, and the proof that its owner allowed it."""

    who: str
    """`submit+fred`, `user+fred`, `authuser`, `anonymous`; the first word in lower case."""
    rump: bytes
    """The URL up to here: what is signed."""
    mechanism: str = ""
    """In capitals; empty for a URL that is yet to be signed."""
    token: bytes = b""
    """Decoded."""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """`imap://user@host:port/mailbox;UIDVALIDITY=v/;UID=n/;SECTION=s/;PARTIAL=f.c`, all but the uid optional."""

    uid: int
    mailbox: str | None = None
    """None: the selected one."""
    uidvalidity: int | None = None
    section: Section = _WHOLE
    """With *partial*, if the URL has one."""
    user: str = ""
    host: str = ""
    """Lower case; empty in a relative reference."""
    port: int = 143
    expires: int | None = None
    """Epoch seconds."""
    access: Access | None = None


def parse(url: bytes) -> MessageUrl:
    """Raises BadUrl."""
    found = None if len(url) > MAX_URL or _CONTROLS.search(url) else _URL.fullmatch(url)
    if found is None:
        raise BadUrl("not an IMAP URL of a message")
    if found["mailbox"][:1] not in (b"/", b"") or found["mailbox"].startswith(b"//"):
        raise BadUrl("neither absolute nor a path")
    mailbox = _text(found["mailbox"]).removeprefix("/").removesuffix("/")
    if found["host"] and not mailbox:
        raise BadUrl("no mailbox")
    uid, uidvalidity = int(found["uid"]), int(found["uidvalidity"] or 0)
    if uid > MAX_32 or uidvalidity > MAX_32:
        raise BadUrl("a number is too large")
    return MessageUrl(
        uid,
        ("INBOX" if mailbox.upper() == "INBOX" else mailbox) if found["mailbox"].strip(b"/") else None,
        uidvalidity or None,
        _section(found),
        _text(found["user"] or b""),
        (found["host"] or b"").decode("ascii").lower(),
        int(found["port"] or 143),
        _moment(found["expire"]),
        _access(url, found),
    )


def _section(found: re.Match[bytes]) -> Section:
    section = _WHOLE
    if found["section"]:
        # The words are those that stand between the brackets of BODY[…].
        reader = Reader(b"BODY.PEEK[%b]" % _unescaped(found["section"]))
        try:
            item = attribute(reader)
            reader.end()
        except (Bad, Incomplete) as error:
            raise BadUrl("no such section") from error
        assert isinstance(item, Section)
        section = item
    if not found["first"]:
        return section
    first, count = int(found["first"]), int(found["count"] or MAX_63)
    if first > MAX_63 or count > MAX_63:
        raise BadUrl("octet range is out of range")
    return replace(section, partial=(first, count))


def _access(url: bytes, found: re.Match[bytes]) -> Access | None:
    if not found["access"]:
        return None
    if not found["host"]:
        raise BadUrl("URLAUTH needs an absolute URL")
    who = _text(found["who"])
    word, plus, name = who.partition("+")
    rump = url[: found.start("mechanism") - 1] if found["mechanism"] else url
    if word.lower() in ("submit", "user"):
        if not name:
            raise BadUrl("a user is missing")
    elif who.lower() not in ("authuser", "anonymous"):
        raise BadUrl("no such access identifier")
    token = found["token"] or b""
    if len(token) % 2:
        raise BadUrl("the token is not complete")
    mechanism = (found["mechanism"] or b"").decode("ascii").upper()
    return Access(word.lower() + plus + name, rump, mechanism, bytes.fromhex(token.decode("ascii")))


def _moment(text: bytes | None) -> int | None:
    """RFC 3339 date-time."""
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.decode("ascii").upper())
    except ValueError as error:
        raise BadUrl("EXPIRE is no date-time") from error
    if moment.tzinfo is None:
        raise BadUrl("EXPIRE has no zone")
    return int(moment.timestamp())


def _unescaped(octets: bytes) -> bytes:
    """Percent-encoding taken off. Raises BadUrl for one that is not complete, and for controls."""

    def one(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise BadUrl("a percent sign that begins no escape")
        octet = int(found[1], 16)
        if octet < 0x20 or octet == 0x7F:
            raise BadUrl("control characters")
        return bytes((octet,))

    return _ESCAPE.sub(one, octets) if b"%" in octets else octets


def _text(octets: bytes) -> str:
    try:
        return _unescaped(octets).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadUrl("not UTF-8") from error
