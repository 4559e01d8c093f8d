"""The header block of a message or a MIME part: where it ends, its fields, the raw octets of chosen ones (RFC 5322 §2.2, §3.6).

Nothing is refused here. Bare LF ends a line like CRLF, a line that is neither a field nor a continuation is *garbage* and
belongs to no field, and what lies past the limits is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

MAX_HEADER = 1 << 20
"""Octets of one header block that we look into."""
MAX_FIELD = 100 * 1024
"""Octets of one field's value that we look into."""

Buffer = bytes | mmap
"""What offsets point into: the octets themselves, or a file of them mapped into memory."""

_NEXT_FIELD = re.compile(rb"\n(?![ \t])")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_LINE_ENDS = re.compile(rb"[\r\n]+")
_NAME = re.compile(rb"[!-9;-~]+")


class Field(NamedTuple):
    """One field. *start* to *stop* are its octets in the header block, with the line end; a garbage line has an empty name."""

    name: bytes
    """As written, without the white space that obsolete syntax allows before the colon."""
    value: bytes
    """Raw: all after the colon, still folded, without the last line end."""
    start: int
    stop: int


def header_end(data: Buffer, start: int, stop: int) -> int:
    """The offset just past the empty line that ends the header block beginning at *start*; *stop* if there is none."""
    if data[start : start + 1] == b"\n" and start < stop:
        return start + 1
    if data[start : start + 2] == b"\r\n" and start + 2 <= stop:
        return start + 2
    match = _EMPTY_LINE.search(data, start, stop)
    return match.end() if match else stop


def _pieces(header: bytes, limit: int = MAX_HEADER) -> list[bytes]:
    """Fields and garbage lines, raw, each without its last LF. The empty line at the end gives an empty piece or a lone CR."""
    return _NEXT_FIELD.split(header[:limit] if len(header) > limit else header)


def fields(header: bytes, limit: int = MAX_HEADER) -> list[Field]:
    """All fields and garbage lines of *header* in order, up to *limit* octets of it."""
    found = []
    at = 0
    for piece in _pieces(header, limit):
        stop = min(at + len(piece) + 1, len(header))
        name, colon, value = piece.partition(b":")
        name = name.rstrip(b" \t")
        if not colon or not _NAME.fullmatch(name):
            if not piece.strip(b"\r"):
                at = stop
                continue
            name, value = b"", piece
        found.append(Field(name, value.removesuffix(b"\r"), at, stop))
        at = stop
    return found


def values(header: bytes) -> dict[bytes, list[bytes]]:
    """Raw values (still folded, at most MAX_FIELD octets each) by lower-case field name, in order of appearance."""
    found: dict[bytes, list[bytes]] = {}
    for piece in _pieces(header):
        name, colon, value = piece.partition(b":")
        if colon:
            key = name.rstrip(b" \t").lower()
            if key in found:
                found[key].append(value[:MAX_FIELD])
            else:
                found[key] = [value[:MAX_FIELD]]
    return found


def first(header: bytes, name: bytes) -> bytes | None:
    """The unfolded value of the first field called *name* (lower case), or None."""
    found = values(header).get(name)
    return unfold(found[0]) if found else None


def unfold(value: bytes) -> bytes:
    """One line, without white space at its ends (RFC 5322 §2.2.3). Stray CR and LF become a space."""
    value = value.strip(b" \t\r\n")
    if b"\n" in value or b"\r" in value:
        value = _LINE_ENDS.sub(b" ", _FOLD.sub(b"", value))
    return value


@lru_cache(maxsize=64)
def _pattern_of(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Whole fields with one of *names*, in a header that ends with an empty line."""
    return re.compile(rb"^(?:%b)[ \t]*+:.*+\n(?:[ \t].*+\n)*+" % b"|".join(map(re.escape, names)), re.IGNORECASE | re.MULTILINE)


def header_fields(header: bytes, names: Iterable[bytes], negate: bool = False) -> bytes:
    """The raw fields with one of *names* (any case), or with *negate* all others, and the empty line if *header* has it.

    RFC 3501 §6.4.5 HEADER.FIELDS and HEADER.FIELDS.NOT: the order is the header's, a name that occurs twice is given twice.
    """
    if not negate and header.endswith((b"\n\r\n", b"\n\n")):
        return b"".join(_pattern_of(tuple(names)).findall(header)) + b"\r\n"
    wanted = {name.lower() for name in names}
    *pieces, last = _NEXT_FIELD.split(header)  # after the last LF comes nothing, or a line that does not end
    has_empty_line = bool(pieces) and pieces[-1] in (b"", b"\r")
    if has_empty_line:
        pieces.pop()
    if last:
        pieces.append(last.removesuffix(b"\r") + b"\r")
    kept = [piece for piece in pieces if (piece.partition(b":")[0].rstrip(b" \t").lower() in wanted) is not negate]
    kept.append(b"\r\n" if has_empty_line else b"")
    return b"\n".join(kept)
