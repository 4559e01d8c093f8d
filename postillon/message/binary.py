"""Messages with NUL octets or other binary content, made into text by base64 (RFC 3516 §4.4, RFC 2045 §6.8)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .header import Buffer
from .line_ends import LineEnds
from .part import Part
from .structure import scan
from .transfer import IDENTITY, encode_base64

_CHUNK = 57 * 16 * 1024
_ENCODING = re.compile(rb"^content-transfer-encoding[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n", re.IGNORECASE | re.MULTILINE)
_VERSION = re.compile(rb"^mime-version[ \t]*:", re.IGNORECASE | re.MULTILINE)


def as_text(data: Buffer) -> Iterator[bytes]:
    """The message *data* in pieces, without NUL and with CRLF at every line's end.

    A part that has NUL, or that says it is `binary` and has bare CR or LF, is encoded with base64 and says so; nothing else is
    changed but line ends. Raises ValueError for NUL where it cannot be encoded: in a header, between parts, in a body that
    claims another encoding.
    """
    whole = len(data)
    at = 0
    for part in sorted(_leaves(scan(data)), key=lambda part: part.header_start):
        if part.encoding not in IDENTITY or not _is_binary(data, part):
            continue
        yield from _lines(data, at, part.header_start)
        yield _header(data, part)
        yield from _encoded(data, part, is_last=part.body_end == whole)
        at = part.body_end
    yield from _lines(data, at, whole)


def _leaves(root: Part) -> Iterator[Part]:
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.children:
            waiting += part.children
        elif part.message is not None:
            waiting.append(part.message)
        else:
            yield part


def _chunks(data: Buffer, start: int, stop: int) -> Iterator[bytes]:
    for at in range(start, stop, _CHUNK):
        yield bytes(data[at : min(at + _CHUNK, stop)])


def _is_binary(data: Buffer, part: Part) -> bool:
    ends = LineEnds()
    for chunk in _chunks(data, part.body_start, part.body_end):
        if b"\0" in chunk:
            return True
        ends.feed(chunk)
    ends.finish()
    return part.encoding == b"binary" and not ends.is_clean


def _lines(data: Buffer, start: int, stop: int) -> Iterator[bytes]:
    ends = LineEnds()
    for chunk in _chunks(data, start, stop):
        if b"\0" in chunk:
            raise ValueError("NUL outside of a body that can be encoded")
        yield ends.feed(chunk)
    yield ends.finish()


def _header(data: Buffer, part: Part) -> bytes:
    """The part's header with the new encoding, and the empty line."""
    fields = b"".join(_lines(data, part.header_start, part.body_start))
    fields = fields.removesuffix(b"\r\n") if fields.endswith(b"\r\n\r\n") or fields == b"\r\n" else fields
    fields = _ENCODING.sub(b"", fields)
    if part.header_start == 0 and not _VERSION.search(fields):
        fields += b"MIME-Version: 1.0\r\n"  # RFC 2045 §4: else nobody reads the other fields
    return fields + b"Content-Transfer-Encoding: base64\r\n\r\n"


def _encoded(data: Buffer, part: Part, *, is_last: bool) -> Iterator[bytes]:
    encoded = b""
    for chunk in _chunks(data, part.body_start, part.body_end):
        yield encoded
        encoded = encode_base64(chunk)
    # The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
    yield encoded if is_last else encoded.removesuffix(b"\r\n")
