"""GETMETADATA, SETMETADATA (RFC 5464) and LIST RETURN (METADATA …) (RFC 9590)."""

from __future__ import annotations

from ..commands import MetadataReturn
from .reader import Bad, Reader


def entry(reader: Reader) -> str:
    """An entry name in lower case. RFC 5464 §3.2: it starts with a slash, no `*`, `%`, double or final slash, ASCII only."""
    name = reader.astring("entry name")
    if not name.isascii() or not name.startswith(b"/") or name.endswith(b"/") or b"//" in name or set(name) & set(b"*%"):
        raise Bad("that is no entry name")
    text = name.decode("ascii").lower()
    if not text.isprintable():
        raise Bad("that is no entry name")
    return text


def entries(reader: Reader) -> tuple[str, ...]:
    """One entry, or several in parentheses."""
    if not reader.skip(b"("):
        return (entry(reader),)
    found = [entry(reader)]
    while not reader.skip(b")"):
        reader.space()
        found.append(entry(reader))
    return tuple(dict.fromkeys(found))


def metadata_return(reader: Reader) -> MetadataReturn:
    """What stands behind METADATA in LIST's RETURN: entries, in parentheses."""
    return MetadataReturn(entries(reader))
