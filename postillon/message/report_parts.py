"""Aggregate reports as they come by mail (DMARC: RFC 7489 §7.2.1, TLS: RFC 8460 §5.3), unpacked within bounds. Pure.

Anybody may send such a message: no part is unpacked beyond MAX_REPORT octets, whatever it promises.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from . import transfer
from .encoded_words import decode_parameters
from .header import Buffer
from .part import Part
from .structure import scan

MAX_REPORT = 10 << 20
"""Octets of a report, unpacked."""
MAX_PACKED = 2 << 20
"""Octets of an attachment as it came, decoded."""
MAX_PARTS = 20
"""Parts of a message that are looked at."""
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BadReport(ValueError):
    """It cannot be unpacked, or would be too large; in words for the log."""


@dataclass(frozen=True, slots=True)
class ReportPart:
    """One attachment, unpacked."""

    content_type: str
    """Lower case."""
    name: str
    """The file name it was given, or empty; of a remote's choosing."""
    octets: bytes


def report_parts(data: Buffer) -> list[ReportPart]:
    """The attachments of the message *data* that may be reports, unpacked; what is broken or too large is left out."""
    found = []
    for part in _leaves(scan(data)):
        if part.type == b"text" and part.disposition != b"attachment":
            continue
        packed = transfer.decode(data[part.body_start : min(part.body_end, part.body_start + 2 * MAX_PACKED)], part.encoding)
        try:
            octets = unpacked(packed)
        except BadReport:
            continue
        if octets:
            found.append(ReportPart(part.content_type.decode("ascii", "replace"), _name(part), octets))
    return found


def unpacked(octets: bytes, limit: int = MAX_REPORT) -> bytes:
    """What *octets* hold: the one file of a ZIP archive, what was compressed with gzip, or themselves. Raises BadReport."""
    if len(octets) > MAX_PACKED:
        raise BadReport(f"it has {len(octets)} octets")
    if octets.startswith(_GZIP):
        return _gunzip(octets, limit)
    if octets.startswith(_ZIP):
        return _unzip(octets, limit)
    if len(octets) > limit:
        raise BadReport(f"it has {len(octets)} octets")
    return octets


def _gunzip(octets: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = unpacker.decompress(octets, limit + 1)
    except zlib.error as error:
        raise BadReport(f"bad gzip: {error}") from error
    if len(found) > limit:
        raise BadReport(f"it unpacks to more than {limit} octets")
    if not unpacker.eof:
        raise BadReport("its gzip data end too early")
    return found


def _unzip(octets: bytes, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1 or members[0].flag_bits & 1 or members[0].compress_type not in _METHODS:
                raise BadReport("the archive does not hold one readable file")
            # What the directory says about the size is the sender's word.
            with archive.open(members[0]) as file:
                found = file.read(limit + 1)
    except BadReport:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BadReport(f"bad archive: {error}") from error
    if len(found) > limit:
        raise BadReport(f"it unpacks to more than {limit} octets")
    return found


def _leaves(structure: Part) -> Iterator[Part]:
    """Parts that hold something themselves; embedded messages are not looked into."""
    work, seen = [structure], 0
    while work and seen < MAX_PARTS:
        part = work.pop()
        seen += 1
        if part.children:
            work += reversed(part.children[:MAX_PARTS])
        elif part.message is None:
            yield part


def _name(part: Part) -> str:
    for params in (part.disposition_params, part.params):
        named = decode_parameters(params)
        for key in ("filename", "name"):
            if key in named:
                return named[key][:200]
    return ""
