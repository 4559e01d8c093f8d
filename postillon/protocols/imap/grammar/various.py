"""Small extensions of one command each: LANGUAGE (RFC 5255), GETJMAPACCESS (RFC 9698), UIDBATCHES."""

from __future__ import annotations

import re

from ..extension_commands import GetJmapAccess, Language, UidBatches
from .reader import Bad, Reader

_BATCHES = re.compile(rb"([1-9][0-9]{0,9}):([1-9][0-9]{0,9})")


def language(reader: Reader) -> Language:
    return Language(_words(reader, "language"))


def _words(reader: Reader, what: str) -> tuple[str, ...]:
    found: list[str] = []
    while not reader.at_end():
        reader.space()
        found.append(reader.text(reader.astring(what)))
    return tuple(found)


def uidbatches(reader: Reader) -> UidBatches:
    reader.space()
    size = reader.number("batch size", 1)
    if reader.at_end():
        return UidBatches(size)
    reader.space()
    found = reader.take(_BATCHES, "range of batches")
    first, last = int(found[1]), int(found[2])
    if first > last:
        raise Bad("range of batches is upside down")
    return UidBatches(size, (first, last))


_GETJMAPACCESS = GetJmapAccess()

PARSERS = {
    b"LANGUAGE": language,
    b"GETJMAPACCESS": lambda reader: _GETJMAPACCESS,
    b"UIDBATCHES": uidbatches,
}
