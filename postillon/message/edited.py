"""A header with changes applied, as mail filters ask for them (milters, rspamd). Pure.

Names and values come from outside: nothing in them can begin another field or end the header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..model.verdict import FieldEdit
from .header import fields

MAX_EDITS = 1000
MAX_VALUE = 64 * 1024
_NAME = re.compile(rb"[!-9;-~]{1,200}")
_LINE_END = re.compile(rb"(?:\r\n|\r|\n)[ \t]*")


def edited(header: bytes, edits: Sequence[FieldEdit]) -> bytes:
    """*header* (with its empty line) after *edits*, in their order. Fields that nobody touches keep their octets.

    An edit whose name is no field name is left out. One that changes a field which is not there adds it; one that removes
    it does nothing. Time is linear in the header for each edit, of which MAX_EDITS count.
    """
    pieces, end = _pieces(header)
    for edit in edits[:MAX_EDITS]:
        if _NAME.fullmatch(edit.name):
            _apply(pieces, edit)
    return b"".join(octets for _, octets in pieces) + end


def field_octets(name: bytes, value: bytes) -> bytes:
    """A whole field with its CRLF. *value* is all after the colon; the line ends in it become folds (RFC 5322 §2.2.3)."""
    lines = [line for line in _LINE_END.split(value[:MAX_VALUE].replace(b"\0", b" ")) if line.strip(b" \t")]
    text = b"\r\n\t".join(lines)
    return name + b":" + (text if text.startswith((b" ", b"\t")) else b" " + text) + b"\r\n"


def _pieces(header: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """(name in lower case, octets) for each field and garbage line, and the empty line at the end."""
    found = fields(header, len(header))
    pieces = []
    for one in found:
        octets = header[one.start : one.stop]
        pieces.append((one.name.lower(), octets if octets.endswith(b"\n") else octets + b"\r\n"))
    return pieces, b"\r\n"


def _apply(pieces: list[tuple[bytes, bytes]], edit: FieldEdit) -> None:
    name = edit.name.lower()
    new = None if edit.value is None else (name, field_octets(edit.name, edit.value))
    if edit.nth:
        at = _nth(pieces, name, edit.nth)
        if at is not None:
            pieces[at : at + 1] = [] if new is None else [new]
            return
    if new is None:
        return
    if edit.nth or edit.at is None:
        pieces.append(new)
    else:
        pieces.insert(max(edit.at, 0), new)


def _nth(pieces: list[tuple[bytes, bytes]], name: bytes, nth: int) -> int | None:
    for at, (other, _) in enumerate(pieces):
        if other == name:
            nth -= 1
            if not nth:
                return at
    return None
