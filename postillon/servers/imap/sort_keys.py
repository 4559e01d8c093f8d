"""By what SORT puts messages in order (RFC 5256 §2.2, §3; SORT=DISPLAY: RFC 5957), from stored columns. Plain functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...message.encoded_words import decode
from ...message.folding import fold
from ...message.prepare import base_subject, unpack_overview
from ...protocols.imap.commands import SortField

Row = Sequence[Any]
"""Of `store.email_sizes`: (uid, received, zone, size, saved, sent, email id, thread id)."""
Value = bytes | int

_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"|\{([0-9]+)\}\r\n|(NIL)|([()])', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)

Node = Any
"""None (NIL), octets, or a list of nodes."""

SUBJECT, FROM, TO, CC = 1, 2, 5, 6
"""Places in ENVELOPE (RFC 9051 §7.5.2)."""

PLACES: dict[SortField, int] = {
    "SUBJECT": SUBJECT,
    "FROM": FROM,
    "TO": TO,
    "CC": CC,
    "DISPLAYFROM": FROM,
    "DISPLAYTO": TO,
}
"""Fields that the envelope answers."""


def collated(text: str) -> str:
    """What texts are compared by: i;unicode-casemap (RFC 5051), whose letters are capitals."""
    return text.upper() if text.isascii() else fold(text).upper()


def envelope_nodes(envelope: bytes, last: int) -> list[Node]:
    """The values of a stored ENVELOPE up to place *last*: None, octets, or lists."""
    root: list[Node] = []
    open_lists = [root]
    for node in _nodes(envelope):
        if node == b"(" and isinstance(node, _Mark):
            inner: list[Node] = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif isinstance(node, _Mark):
            open_lists.pop()
            if len(open_lists) == 2 and len(open_lists[1]) > last:
                break
        else:
            open_lists[-1].append(node)
    found: list[Node] = root[0]
    return found


class _Mark(bytes):
    """A parenthesis, which is no string."""


_OPEN, _CLOSE = _Mark(b"("), _Mark(b")")


def _nodes(text: bytes) -> Iterator[bytes | None]:
    at = 0
    while match := _TOKEN.search(text, at):
        quoted, size, nil, mark = match.groups()
        at = match.end()
        if mark is not None:
            yield _OPEN if mark == b"(" else _CLOSE
        elif nil is not None:
            yield None
        elif size is not None:
            at += int(size)
            yield text[match.end() : at]
        else:
            yield _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted


def _text(value: bytes | None) -> str:
    return "" if not value else decode(value)


_DATE_AND_SUBJECT = re.compile(rb'\((?:"(?:[^"\\]|\\.)*+"|NIL) (?:"((?:[^"\\]|\\.)*+)"|NIL) ')
"""Where neither is a literal."""


def subject_of(envelope: bytes) -> str:
    """The decoded subject."""
    usual = _DATE_AND_SUBJECT.match(envelope)
    if usual is not None:
        return _text(_ESCAPED.sub(rb"\1", usual[1] or b""))
    return _text(envelope_nodes(envelope, SUBJECT)[SUBJECT])


def _first_mailbox(envelope: bytes, place: int) -> str:
    """addr-mailbox of the first address; of a group its name."""
    addresses = envelope_nodes(envelope, place)[place]
    return _text(addresses[0][2]) if addresses else ""


def _display(envelope: bytes, place: int) -> str:
    """RFC 5957 §3: the display name, or else the address."""
    addresses = envelope_nodes(envelope, place)[place]
    if not addresses:
        return ""
    name, _, local, domain = addresses[0]
    if domain is None or not local:  # the beginning of a group
        return _text(local) or _text(name)
    return _text(name) or f"{_text(local)}@{_text(domain)}"


def _by_envelope(field: SortField) -> Callable[[bytes], str]:
    if field == "SUBJECT":
        return lambda envelope: base_subject(subject_of(envelope))
    place = PLACES[field]
    if field.startswith("DISPLAY"):
        return lambda envelope: _display(envelope, place)
    return lambda envelope: _first_mailbox(envelope, place)


_ROWS: dict[SortField, Callable[[Row], int]] = {
    "ARRIVAL": lambda row: row[1],
    # RFC 5256 §2.2: where there is no sent date, INTERNALDATE.
    "DATE": lambda row: row[5] or row[1],
    "SIZE": lambda row: row[3],
    "RELEVANCY": lambda row: 0,  # everything that is found is found exactly
}


def row_values(field: SortField, rows: Sequence[Row]) -> list[Value]:
    value = _ROWS[field]
    return [value(row) for row in rows]


def overview_values(field: SortField, overviews: Sequence[bytes]) -> list[bytes]:
    """Made to run in a thread. *overviews*: stored columns. Octets of UTF-8 compare as their characters do."""
    value = _by_envelope(field)
    return [collated(value(unpack_overview(stored)[0])).encode("utf-8", "surrogatepass") for stored in overviews]
