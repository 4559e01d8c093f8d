"""A header with changes applied, as mail filters ask for them (milters, rspamd). Pure.

Names and values come from outside: nothing in them can begin another field or end the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..model.verdict import Edits, FieldEdit
from .header import fields

MAX_EDITS = 1000
MAX_VALUE = 64 * 1024
_NAME = re.compile(rb"[!-9;-~]{1,200}")
_LINE_END = re.compile(rb"(?:\r\n|\r|\n)[ \t]*")


def edited(header: bytes, edits: Sequence[FieldEdit], kept: bytes | None = None) -> bytes:
    """*header* (with its empty line) after *edits*, in their order. Fields that nobody touches keep their octets.

    *kept*: the same header with some fields left out; those count for the places that edits name, and are left out afterwards.
    An edit whose name is no field name is left out. One that changes a field which is not there adds it; one that removes
    it does nothing. Time is linear in the header for each edit, of which MAX_EDITS count.
    """
    pieces = _pieces(header, header if kept is None else kept)
    for edit in edits[:MAX_EDITS]:
        if _NAME.fullmatch(edit.name):
            _apply(pieces, edit)
    return b"".join(octets for _, octets in pieces) + b"\r\n"


def together(edits: Iterable[Edits]) -> Edits:
    """All of them as one; where two say different things, the later one counts."""
    whole = Edits()
    for one in edits:
        wanted = dict.fromkeys(whole.added, True) | dict.fromkeys(whole.removed, False)
        wanted |= dict.fromkeys(one.added, True) | dict.fromkeys(one.removed, False)
        whole = Edits(
            whole.fields + one.fields,
            whole.body if one.body is None else one.body,
            whole.sender if one.sender is None else one.sender,
            tuple(address for address, is_added in wanted.items() if is_added),
            tuple(address for address, is_added in wanted.items() if not is_added),
        )
    return whole


def field_octets(name: bytes, value: bytes) -> bytes:
    """A whole field with its CRLF. *value* is all after the colon; the line ends in it become folds (RFC 5322 §2.2.3)."""
    lines = [line for line in _LINE_END.split(value[:MAX_VALUE].replace(b"\0", b" ")) if line.strip(b" \t")]
    text = b"\r\n\t".join(lines)
    return name + b":" + (text if text.startswith((b" ", b"\t")) else b" " + text) + b"\r\n"


def _pieces(header: bytes, kept: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, octets) for each field and garbage line of *header*; without octets where *kept* lacks them."""
    pieces = []
    at = 0
    for one in fields(header, len(header)):
        octets = header[one.start : one.stop]
        if kept.startswith(octets, at):
            at += len(octets)
        else:
            octets = b""
        pieces.append((one.name.lower(), octets if not octets or octets.endswith(b"\n") else octets + b"\r\n"))
    return pieces


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
