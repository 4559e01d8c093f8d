"""GETMETADATA, SETMETADATA (RFC 5464) and LIST RETURN (METADATA …) (RFC 9590)."""

from __future__ import annotations

import re
from typing import Any

from .. import extension_commands
from .reader import Bad, Reader

_OPTIONS_FOLLOW = re.compile(rb"\((?=[A-Za-z])")  # an entry begins with a slash, a quote or a brace


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


def getmetadata(reader: Reader) -> extension_commands.GetMetadata:
    """The options stand before the mailbox in the grammar of RFC 5464 §5 and behind it in its examples; both are taken."""
    reader.space()
    options: dict[str, Any] = {}
    if reader.skip(b"("):
        _options(reader, options)
        reader.space()
    mailbox = reader.mailbox()
    reader.space()
    if not options and reader.match(_OPTIONS_FOLLOW):
        _options(reader, options)
        reader.space()
    return extension_commands.GetMetadata(mailbox, entries(reader), **options)


def _options(reader: Reader, options: dict[str, Any]) -> None:
    """After the parenthesis."""
    while True:
        word = reader.word("GETMETADATA option")
        reader.space()
        if word == b"MAXSIZE":
            options["max_size"] = reader.number("MAXSIZE")
        elif word == b"DEPTH":
            depth = reader.word("DEPTH").decode("ascii").lower()
            if depth not in ("0", "1", "infinity"):
                raise Bad("DEPTH is 0, 1 or infinity")
            options["depth"] = depth
        else:
            raise Bad("there is no such GETMETADATA option")
        if reader.skip(b")"):
            return
        reader.space()


def setmetadata(reader: Reader) -> extension_commands.SetMetadata:
    """RFC 5464 §4.3."""
    reader.space()
    mailbox = reader.mailbox()
    reader.expect(b" (")
    values: dict[str, bytes | None] = {}
    while not values or not reader.skip(b")"):
        if values:
            reader.space()
        name = entry(reader)
        reader.space()
        values[name] = reader.nstring8()
    return extension_commands.SetMetadata(mailbox, tuple(values.items()))


PARSERS = {b"GETMETADATA": getmetadata, b"SETMETADATA": setmetadata}
