"""RETURN (…) of SEARCH, SORT and ESEARCH (RFC 4731, 5182, 5267, 6203, 9394)."""

from __future__ import annotations

import re
from typing import Any

from ..commands import Partial, SearchReturn
from .reader import MAX_32, Bad, Reader

_PARTIAL_RANGE = re.compile(rb"(-?)([0-9]{1,10}):(-?)([0-9]{1,10})")
_FLAGS = {
    b"MIN": "min",
    b"MAX": "max",
    b"ALL": "all",
    b"COUNT": "count",
    b"SAVE": "save",
    b"UPDATE": "update",
    b"CONTEXT": "context",
    b"RELEVANCY": "relevancy",
}


def returns(reader: Reader) -> SearchReturn | None:
    """`RETURN (…) ` with the space after it, or nothing."""
    if reader.data[reader.pos : reader.pos + 8].upper() != b"RETURN (":
        return None
    reader.pos += 8
    options: dict[str, Any] = {}
    while not reader.skip(b")"):
        if options:
            reader.space()
        word = reader.word("search return option")
        if word == b"PARTIAL":
            reader.space()
            options["partial"] = partial_range(reader)
        elif word in _FLAGS:
            options[_FLAGS[word]] = True
        else:
            raise Bad("there is no such search return option")
    reader.space()
    if "partial" in options and "all" in options:
        raise Bad("PARTIAL and ALL cannot be asked for together")  # RFC 9394 §3.1
    return SearchReturn(**options) if options else SearchReturn(all=True)


def partial_range(reader: Reader) -> Partial:
    """`1:500` or `-1:-500`; put in order: the first is the one nearer to the start it counts from."""
    found = reader.take(_PARTIAL_RANGE, "range")
    first, last = int(found[2]), int(found[4])
    if found[1] != found[3] or not 0 < first <= MAX_32 or not 0 < last <= MAX_32:
        raise Bad("range is out of range")
    first, last = min(first, last), max(first, last)
    return Partial(-first, -last) if found[1] else Partial(first, last)
