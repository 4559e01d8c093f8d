"""What only extensions' commands are answered with; the conventions are those of `responses`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .responses import CRLF, astring, literal8, mailbox, string

# --- access control (RFC 4314 §3) -------------------------------------------------------------------------------------


def acl(name: str, rights: Iterable[tuple[str, str]], utf8: bool = False) -> bytes:
    """(identifier, rights) pairs."""
    pairs = b"".join(b" %b %b" % (_text(identifier), string(right.encode("ascii"))) for identifier, right in rights)
    return b"* ACL %b%b\r\n" % (mailbox(name, utf8), pairs)


def list_rights(name: str, identifier: str, required: str, optional: Iterable[str], utf8: bool = False) -> bytes:
    """*optional*: rights that are tied to each other stand in one string."""
    groups = b" ".join(string(group.encode("ascii")) for group in (required, *optional))
    return b"* LISTRIGHTS %b %b %b\r\n" % (mailbox(name, utf8), _text(identifier), groups)


def my_rights(name: str, rights: str, utf8: bool = False) -> bytes:
    return b"* MYRIGHTS %b %b\r\n" % (mailbox(name, utf8), astring(rights.encode("ascii")))


def _text(text: str) -> bytes:
    return astring(text.encode("utf-8"))


# --- quota (RFC 9208 §4.2) --------------------------------------------------------------------------------------------


def quota(root: str, resources: Iterable[tuple[str, int, int]]) -> bytes:
    """(resource, usage, limit) triples."""
    triples = b" ".join(b"%b %d %d" % (name.encode("ascii"), usage, limit) for name, usage, limit in resources)
    return b"* QUOTA %b (%b)\r\n" % (_text(root), triples)


def quota_root(name: str, roots: Iterable[str], utf8: bool = False) -> bytes:
    return b" ".join((b"* QUOTAROOT", mailbox(name, utf8), *map(_text, roots))) + CRLF


# --- metadata (RFC 5464 §4.4) -----------------------------------------------------------------------------------------


def metadata(name: str, values: Iterable[tuple[str, bytes | None]], utf8: bool = False) -> bytes:
    """(entry, value) pairs, as the answer to GETMETADATA."""
    pairs = b" ".join(b"%b %b" % (_text(entry), _value(value)) for entry, value in values)
    return b"* METADATA %b (%b)\r\n" % (mailbox(name, utf8), pairs)


def metadata_changed(name: str, entries: Iterable[str], utf8: bool = False) -> bytes:
    """Unasked: these entries have changed."""
    return b" ".join((b"* METADATA", mailbox(name, utf8), *map(_text, entries))) + CRLF


def _value(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    return literal8(value) if b"\0" in value else string(value)


# --- THREAD (RFC 5256 §4) ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ThreadNode:
    number: int
    """0: a message that is not there, but has children."""
    children: tuple[ThreadNode, ...] = ()


def thread(roots: Sequence[ThreadNode]) -> bytes:
    """`* THREAD (2)(3 6 (4 23)(44 7 96))`. Written without recursion: a thread may be thousands of answers deep."""
    out: list[bytes] = []
    waiting: list[ThreadNode | bytes] = []
    for root in reversed(roots):
        waiting += (b")", root, b"(")
    while waiting:
        top = waiting.pop()
        if isinstance(top, bytes):
            out.append(top)
            continue
        if top.number:
            out.append(b"%d" % top.number)
        if top.children and top.number:
            out.append(b" ")
        if len(top.children) == 1:
            waiting.append(top.children[0])
        else:
            for child in reversed(top.children):
                waiting += (b")", child, b"(")
    return b"* THREAD%b%b\r\n" % (b" " if out else b"", b"".join(out))


# --- URLAUTH (RFC 4467 §7, RFC 5524 §3) -------------------------------------------------------------------------------


def generated_urls(urls: Iterable[bytes]) -> bytes:
    return b" ".join((b"* GENURLAUTH", *map(string, urls))) + CRLF


def no_url(url: bytes) -> bytes:
    """It may not be had, whatever the reason."""
    return b"* URLFETCH %b NIL\r\n" % astring(url)


def fetched_url(url: bytes, size: int) -> bytes:
    """The plain form up to its octets, of which *size* follow and then CRLF."""
    return b"* URLFETCH %b {%d}\r\n" % (astring(url), size)


def fetched_url_parts(url: bytes) -> bytes:
    """The extended form up to its parts: ` (name value)` each, and then CRLF."""
    return b"* URLFETCH %b" % astring(url)


# --- smaller ones -----------------------------------------------------------------------------------------------------


def esearch_in(
    tag: bytes, name: str, uidvalidity: int, results: Iterable[tuple[bytes, int | bytes]], utf8: bool = False
) -> bytes:
    """ESEARCH of one mailbox among several (RFC 7377 §2.1)."""
    line = b"* ESEARCH (TAG %b MAILBOX %b UIDVALIDITY %d) UID" % (string(tag), mailbox(name, utf8), uidvalidity)
    for word, value in results:
        line += b" %b %b" % (word, value if isinstance(value, bytes) else b"%d" % value)
    return line + CRLF


def uid_batches(tag: bytes, batches: Iterable[tuple[int, int]]) -> bytes:
    """(highest uid, lowest uid) pairs, newest batch first."""
    text = b",".join(b"%d:%d" % batch for batch in batches)
    return b"* UIDBATCHES (TAG %b)%b%b\r\n" % (string(tag), b" " if text else b"", text)


def language(names: Iterable[str]) -> bytes:
    """RFC 5255 §3.3."""
    return b"* LANGUAGE (%b)\r\n" % b" ".join(string(name.encode("ascii")) for name in names)
