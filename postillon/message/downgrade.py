"""A message made fit for servers that take less, part by part: no binary, no line beyond 998 octets, and no 8-bit octets.

RFC 2045 §6, RFC 6152 §3, RFC 3030 §3, RFC 5321 §4.5.3.1.6. Only for mail of our own people, before it is signed: each change
breaks signatures over the old octets. What a signature inside covers (multipart/signed) and what has no encoding is left alone; a
message that is not fit then cannot be converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .build import fold
from .header import Field, fields
from .part import Part
from .structure import scan
from .transfer import IDENTITY, decode, encode_base64, encode_quoted_printable

MAX_LINE = 998
_QUOTED_MAX = 256 * 1024
"""Octets of text up to which people may read it as it is; beyond, base64 is much quicker."""
_SPACE = re.compile(rb"\r\n(?=[ \t])")
Change = tuple[int, int, bytes]
"""Octets from, to, and what comes in their place."""


class Unconvertible(ValueError):
    """The message cannot be made fit; why."""


def has_long_line(data: bytes) -> bool:
    """Is a line longer than 998 octets, CRLF not counted? RFC 5321 §4.5.3.1.6, RFC 5322 §2.1.1."""
    return len(data) > MAX_LINE and max(map(len, data.split(b"\n"))) > MAX_LINE + 1


def is_binary(data: bytes) -> bool:
    """Is there a NUL, or a CR or LF that is no line end? RFC 2045 §2.9."""
    pairs = data.count(b"\r\n")
    return b"\0" in data or data.count(b"\n") != pairs or data.count(b"\r") != pairs


def converted(data: bytes, *, seven_bit: bool) -> bytes:
    """*data*, a whole message, as every server takes it; *seven_bit*: also one without 8BITMIME. Raises Unconvertible."""
    changes: list[Change] = []
    work = [(scan(data), True)]
    while work:
        part, is_top = work.pop()
        changes += _changed(data, part, seven_bit, is_top)
        if _is_open(part):
            work += [(child, False) for child in (part.children or (part.message,)) if child is not None]
    return b"".join(_applied(data, changes))


def _applied(data: bytes, changes: list[Change]) -> Iterator[bytes]:
    at = 0
    for start, stop, octets in sorted(changes):
        yield data[at:start]
        yield octets
        at = stop
    yield data[at:]


def _is_open(part: Part) -> bool:
    """Does it hold other parts as they are?"""
    return bool(part.children) or (part.message is not None and part.encoding in IDENTITY)


def _is_unfit(octets: bytes, seven_bit: bool) -> bool:
    return (seven_bit and not octets.isascii()) or has_long_line(octets) or is_binary(octets)


def _changed(data: bytes, part: Part, seven_bit: bool, is_top: bool) -> Iterator[Change]:
    header, body = data[part.header_start : part.body_start], data[part.body_start : part.body_end]
    mended = _folded(header)
    if _is_unfit(mended, seven_bit):
        raise Unconvertible("its header needs SMTPUTF8, or has a line that cannot be folded")
    if _is_open(part):
        if not _is_unfit(body, seven_bit):
            encoding = None
        elif part.content_type == b"multipart/signed":
            raise Unconvertible("a signature inside covers what would have to be changed")
        else:
            encoding = b"7bit" if seven_bit else b"8bit"
            _check_between(data, part, seven_bit)
    elif _is_unfit(body, seven_bit):
        if part.type in (b"message", b"multipart"):
            raise Unconvertible(f"{part.content_type.decode('latin-1')} has no encoding")
        octets = decode(body, part.encoding)
        encoding = _encoding_for(part, octets)
        ends = b"\r\n" if encoding == b"quoted-printable" and body.endswith(b"\r\n") and not octets.endswith(b"\r\n") else b""
        encoded = encode_quoted_printable(octets) if encoding == b"quoted-printable" else encode_base64(octets)
        yield part.body_start, part.body_end, encoded + ends
    else:
        encoding = None
    if encoding is not None:
        mended = _labelled(mended, encoding, body if is_top or not _is_open(part) else b"", is_top)
    if mended != header:
        yield part.header_start, part.body_start, mended


def _check_between(data: bytes, part: Part, seven_bit: bool) -> None:
    """What stands between the parts of a multipart, before and behind them, belongs to nobody and has no encoding."""
    inside = part.children or ((part.message,) if part.message is not None else ())
    edges = [part.body_start, *(edge for child in inside for edge in (child.header_start, child.body_end)), part.body_end]
    if any(_is_unfit(data[start:stop], seven_bit) for start, stop in zip(edges[::2], edges[1::2], strict=True)):
        raise Unconvertible("there is text outside of its parts that would have to be changed")


def _encoding_for(part: Part, octets: bytes) -> bytes:
    if part.type != b"text" or is_binary(octets) or len(octets) > _QUOTED_MAX:
        return b"base64"
    # Mostly ASCII stays readable; each of the others takes three octets.
    others = len(octets) - len(octets.translate(None, bytes(range(128, 256))))
    return b"quoted-printable" if others * 3 < len(octets) else b"base64"


def _folded(header: bytes) -> bytes:
    """The header section with fields folded anew that have a line too long (RFC 5322 §2.2.3)."""
    if not has_long_line(header):
        return header
    pieces, at = [], 0
    for field in fields(header):
        octets = header[field.start : field.stop]
        if has_long_line(octets):
            octets = fold(_SPACE.sub(b"", octets.removesuffix(b"\r\n"))) + b"\r\n"
        pieces += [header[at : field.start], octets]
        at = field.stop
    return b"".join([*pieces, header[at:]])


def _labelled(header: bytes, encoding: bytes, body: bytes, is_top: bool) -> bytes:
    """*header* with *encoding* as its Content-Transfer-Encoding, and with what makes it MIME if it was not."""
    found = fields(header)
    names = {field.name.lower() for field in found}
    ends = header.endswith(b"\r\n\r\n") or header == b"\r\n"
    kept = b"".join(header[field.start : field.stop] for field in found if field.name.lower() != b"content-transfer-encoding")
    if kept and not kept.endswith(b"\r\n"):
        kept += b"\r\n"
    more = b""
    if is_top and b"mime-version" not in names:
        more += b"MIME-Version: 1.0\r\n"
    if is_top and b"content-type" not in names and not body.isascii():
        more += b"Content-Type: text/plain; charset=" + (b"utf-8" if _is_utf8(body) else b"unknown-8bit") + b"\r\n"
    return kept + more + b"Content-Transfer-Encoding: " + encoding + b"\r\n" + (b"\r\n" if ends or body else b"")


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def without_signatures(header: bytes) -> bytes:
    """*header* without DKIM signatures, which do not hold any more."""
    kept: list[Field] = [field for field in fields(header) if field.name.lower() != b"dkim-signature"]
    return b"".join(header[field.start : field.stop] for field in kept) + b"\r\n"
