"""Builders of what the server says, as bytes ready to send (RFC 3501 §7, RFC 9051 §7).

Pure text: nothing here knows a mailbox. `utf8` everywhere means that IMAP4rev2 or UTF8=ACCEPT is enabled, so that
UTF-8 may stand in quoted strings and mailbox names are not in modified UTF-7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from . import utf7
from .commands import StatusAttribute

CRLF = b"\r\n"

_ATOM_CHARS = rb"!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~"
_ATOM = re.compile(rb"[%b\]]+" % _ATOM_CHARS)
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")
_QUOTABLE_UTF8 = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\xff]*")
_SPECIAL = re.compile(rb'(["\\])')
_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]+")
MAX_QUOTED = 1000
"""Longer strings go as literals, which every client reads without a limit on lines."""


# --- strings ----------------------------------------------------------------------------------------------------------


def literal(data: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(data), data)


def literal8(data: bytes) -> bytes:
    """RFC 3516 §4.2: for data with NUL."""
    return b"~{%d}\r\n%b" % (len(data), data)


def string(data: bytes, utf8: bool = False) -> bytes:
    """Quoted if it may be, else a literal. *utf8* True is only for data that is known to be valid UTF-8."""
    if len(data) <= MAX_QUOTED and (_QUOTABLE_UTF8 if utf8 else _QUOTABLE).fullmatch(data):
        return b'"%b"' % (_SPECIAL.sub(rb"\\\1", data) if b'"' in data or b"\\" in data else data)
    return literal(data)


def nstring(data: bytes | None, utf8: bool = False) -> bytes:
    return b"NIL" if data is None else string(data, utf8)


def astring(data: bytes, utf8: bool = False) -> bytes:
    """An atom where that is possible (and not the word NIL)."""
    if _ATOM.fullmatch(data) and data.upper() != b"NIL":
        return data
    return string(data, utf8)


def mailbox(name: str, utf8: bool = False) -> bytes:
    """A mailbox name as an astring."""
    return astring(name.encode("utf-8"), True) if utf8 else astring(utf7.encode(name))


def parenthesized(values: Iterable[bytes]) -> bytes:
    return b"(%b)" % b" ".join(values)


flag_list = parenthesized


# --- status responses -------------------------------------------------------------------------------------------------


def clean(text: str) -> bytes:
    """Human-readable text: one line without controls, whatever it came from."""
    return _UNPRINTABLE.sub(b" ", text.encode("ascii", "replace")).strip() or b"."


def tagged(tag: bytes, status: bytes, text: str, code: bytes = b"") -> bytes:
    """`a OK [code] text`. *status* is OK, NO or BAD; *code* without brackets (see `response_codes`)."""
    if code:
        return b"%b %b [%b] %b\r\n" % (tag, status, code, clean(text))
    words = clean(text)
    # Text that begins with a bracket would be read as a code.
    return b"%b %b %b%b\r\n" % (tag, status, b"- " if words.startswith(b"[") else b"", words)


def ok(tag: bytes, text: str, code: bytes = b"") -> bytes:
    return tagged(tag, b"OK", text, code)


def no(tag: bytes, text: str, code: bytes = b"") -> bytes:
    return tagged(tag, b"NO", text, code)


def bad(tag: bytes, text: str, code: bytes = b"") -> bytes:
    """*tag* `*` if the command had none."""
    return tagged(tag, b"BAD", text, code)


def bye(text: str, code: bytes = b"") -> bytes:
    return tagged(b"*", b"BYE", text, code)


def continuation(text: str = "go ahead") -> bytes:
    return b"+ %b\r\n" % clean(text)


# --- server and mailbox data ------------------------------------------------------------------------------------------


def capability(names: Iterable[str]) -> bytes:
    return b"* CAPABILITY %b\r\n" % " ".join(names).encode("ascii")


def enabled(names: Iterable[str]) -> bytes:
    """RFC 5161 §3.2; without names if nothing was enabled."""
    return " ".join(("* ENABLED", *names)).encode("ascii") + CRLF


def identification(fields: Sequence[tuple[str, str | None]]) -> bytes:
    """RFC 2971 §3.2."""
    if not fields:
        return b"* ID NIL\r\n"
    pairs = (
        b"%b %b" % (string(name.encode("ascii")), nstring(None if value is None else value.encode("ascii")))
        for name, value in fields
    )
    return b"* ID %b\r\n" % parenthesized(pairs)


def exists(count: int) -> bytes:
    return b"* %d EXISTS\r\n" % count


def recent(count: int) -> bytes:
    return b"* %d RECENT\r\n" % count


def expunge(number: int) -> bytes:
    return b"* %d EXPUNGE\r\n" % number


def vanished(uids: bytes, earlier: bool = False) -> bytes:
    """RFC 7162 §3.2.10; *uids* from `sequence.format_set`, not empty."""
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if earlier else b"", uids)


def flags(names: Iterable[bytes]) -> bytes:
    """The untagged FLAGS of SELECT."""
    return b"* FLAGS %b\r\n" % parenthesized(names)


def fetch(number: int, values: Iterable[bytes]) -> bytes:
    """*values* are names with their values, `FLAGS (\\Seen)`, in order."""
    return b"* %d FETCH (%b)\r\n" % (number, b" ".join(values))


def list_line(
    attributes: Iterable[bytes],
    name: str,
    *,
    utf8: bool = False,
    child_info: Sequence[bytes] = (),
    old_name: str | None = None,
    verb: bytes = b"LIST",
    separator: bytes = b"/",
) -> bytes:
    """LIST and LSUB. *child_info* are the selection options that children met (RFC 5258 §3.5); *old_name* as RFC 5465 §5.8."""
    extended = []
    if child_info:
        extended.append(b'"CHILDINFO" (%b)' % b" ".join(b'"%b"' % option for option in child_info))
    if old_name is not None:
        extended.append(b'"OLDNAME" (%b)' % mailbox(old_name, utf8))
    line = b'* %b (%b) "%b" %b' % (verb, b" ".join(attributes), separator, mailbox(name, utf8))
    return b"%b (%b)\r\n" % (line, b" ".join(extended)) if extended else line + CRLF


def status(name: str, values: Iterable[tuple[StatusAttribute, int | bytes | None]], utf8: bool = False) -> bytes:
    """RFC 3501 §7.2.4. None is NIL (APPENDLIMIT); a MAILBOXID is bytes with its parentheses."""
    pairs = (b"%b %b" % (attribute.value, _status_value(value)) for attribute, value in values)
    return b"* STATUS %b (%b)\r\n" % (mailbox(name, utf8), b" ".join(pairs))


def _status_value(value: int | bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    return value if isinstance(value, bytes) else b"%d" % value


def namespace(
    personal: Sequence[tuple[str, str]],
    others: Sequence[tuple[str, str]] = (),
    shared: Sequence[tuple[str, str]] = (),
    *,
    utf8: bool = False,
) -> bytes:
    """RFC 2342 §5: (prefix, separator) pairs."""
    return b"* NAMESPACE %b %b %b\r\n" % tuple(_namespaces(pairs, utf8) for pairs in (personal, others, shared))


def _namespaces(pairs: Sequence[tuple[str, str]], utf8: bool) -> bytes:
    if not pairs:
        return b"NIL"
    coded = ((prefix.encode("utf-8") if utf8 else utf7.encode(prefix), separator.encode("ascii")) for prefix, separator in pairs)
    return b"(%b)" % b"".join(b"(%b %b)" % (string(prefix, utf8), string(separator)) for prefix, separator in coded)


# --- search results ---------------------------------------------------------------------------------------------------


def search(numbers: Sequence[int], modseq: int | None = None) -> bytes:
    """The old `* SEARCH` line; *modseq* if a MODSEQ key was there and something was found (RFC 7162 §3.1.5)."""
    return _numbers(b"SEARCH", numbers, modseq)


def sort(numbers: Sequence[int], modseq: int | None = None) -> bytes:
    """RFC 5256 §4: in sorted order."""
    return _numbers(b"SORT", numbers, modseq)


def _numbers(word: bytes, numbers: Sequence[int], modseq: int | None) -> bytes:
    line = b"* " + word
    if numbers:
        line += b" " + " ".join(map(str, numbers)).encode("ascii")
    return b"%b (MODSEQ %d)\r\n" % (line, modseq) if modseq is not None else line + CRLF


def esearch(tag: bytes, uid: bool, results: Iterable[tuple[bytes, int | bytes]]) -> bytes:
    """RFC 4731 §3.1: *results* as (b"COUNT", 5), (b"ALL", b"1:3,5"), in order. Leave out what has no value (RFC 9051 §7.3.4)."""
    line = b'* ESEARCH (TAG "%b")%b' % (_SPECIAL.sub(rb"\\\1", tag), b" UID" if uid else b"")
    for name, value in results:
        line += b" %b %b" % (name, value if isinstance(value, bytes) else b"%d" % value)
    return line + CRLF
