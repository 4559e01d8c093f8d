"""STORE, COPY, MOVE, EXPUNGE (RFC 3501 §6.4, RFC 9051 §6.4, RFC 4315, 6851, 7162)."""

from __future__ import annotations

import re
from typing import Literal

from .. import commands
from .reader import MAX_63, Bad, Reader

_OPERATION = re.compile(rb"([+-]?)FLAGS(\.SILENT)?", re.IGNORECASE)
_OPERATIONS: dict[bytes, Literal["add", "remove", "replace"]] = {b"+": "add", b"-": "remove", b"": "replace"}


def store(reader: Reader, uid: bool = False) -> commands.Store:
    reader.space()
    numbers = reader.message_set()
    reader.space()
    unchanged_since: int | None = None
    if reader.skip(b"("):
        if reader.word("STORE modifier") != b"UNCHANGEDSINCE":
            raise Bad("there is no such STORE modifier")
        reader.space()
        unchanged_since = reader.number("mod-sequence", 0, MAX_63)  # RFC 7162 §3.1.3: 0 is allowed here
        reader.expect(b") ")
    found = reader.take(_OPERATION, "FLAGS, +FLAGS or -FLAGS")
    reader.space()
    return commands.Store(uid, numbers, _OPERATIONS[found[1]], _flags(reader), found[2] is not None, unchanged_since)


def _flags(reader: Reader) -> tuple[bytes, ...]:
    """A list in parentheses, or flags without them (RFC 3501 §9 store-att-flags)."""
    if reader.data.startswith(b"(", reader.pos):
        return reader.flag_list()
    flags = [reader.flag()]
    while reader.skip(b" "):
        flags.append(reader.flag())
    return tuple(dict.fromkeys(flags))


def copy(reader: Reader, uid: bool = False) -> commands.Copy:
    return commands.Copy(uid, *_destination(reader))


def move(reader: Reader, uid: bool = False) -> commands.Move:
    return commands.Move(uid, *_destination(reader))


def _destination(reader: Reader) -> tuple[commands.MessageSet, str]:
    reader.space()
    numbers = reader.message_set()
    reader.space()
    return numbers, reader.mailbox()


def uid_expunge(reader: Reader) -> commands.Expunge:
    """RFC 4315 §2.1."""
    reader.space()
    return commands.Expunge(reader.message_set())


_EXPUNGE = commands.Expunge()

PARSERS = {
    b"STORE": store,
    b"UID STORE": lambda reader: store(reader, uid=True),
    b"COPY": copy,
    b"UID COPY": lambda reader: copy(reader, uid=True),
    b"MOVE": move,
    b"UID MOVE": lambda reader: move(reader, uid=True),
    b"EXPUNGE": lambda reader: _EXPUNGE,
    b"UID EXPUNGE": uid_expunge,
}
