"""LIST in its plain and extended form, LSUB (RFC 3501 §6.3.8, RFC 9051 §6.3.9, RFC 5258, 5819, 6154, 8440, 9590)."""

from __future__ import annotations

from typing import Any

from .. import commands
from .mailbox import status_attributes
from .metadata import entries
from .reader import Bad, Reader

_SELECTION = {
    b"SUBSCRIBED": "select_subscribed",
    b"REMOTE": "select_remote",
    b"RECURSIVEMATCH": "recursive_match",
    b"SPECIAL-USE": "select_special_use",
}
_RETURN = {
    b"SUBSCRIBED": "return_subscribed",
    b"CHILDREN": "return_children",
    b"SPECIAL-USE": "return_special_use",
    b"MYRIGHTS": "return_myrights",
}


def list_(reader: Reader) -> commands.List:
    reader.space()
    options: dict[str, Any] = {}
    extended = reader.skip(b"(")
    if extended:
        _selection(reader, options)
        reader.space()
    reference = reader.mailbox()
    reader.space()
    if reader.skip(b"("):
        extended = True
        patterns = _patterns(reader)
    else:
        patterns = (reader.list_mailbox(),)
    if not reader.at_end():
        extended = True
        reader.space()
        if reader.word("RETURN") != b"RETURN":
            raise Bad("RETURN expected")
        reader.expect(b" (")
        _returns(reader, options)
    return commands.List(reference, patterns, extended, **options)


def _selection(reader: Reader, options: dict[str, Any]) -> None:
    first = True
    while not reader.skip(b")"):
        if not first:
            reader.space()
        first = False
        name = _SELECTION.get(reader.word("LIST selection option"))
        if name is None:
            raise Bad("there is no such LIST selection option")
        options[name] = True
    # RFC 5258 §3.1: RECURSIVEMATCH needs an option beside it that can match; REMOTE is none.
    if options.get("recursive_match") and not (options.get("select_subscribed") or options.get("select_special_use")):
        raise Bad("RECURSIVEMATCH needs SUBSCRIBED or another selection option beside it")


def _patterns(reader: Reader) -> tuple[str, ...]:
    patterns = [reader.list_mailbox()]
    while not reader.skip(b")"):
        reader.space()
        patterns.append(reader.list_mailbox())
    return tuple(dict.fromkeys(patterns))


def _returns(reader: Reader, options: dict[str, Any]) -> None:
    first = True
    while not reader.skip(b")"):
        if not first:
            reader.space()
        first = False
        word = reader.word("LIST return option")
        if word == b"STATUS":
            reader.space()
            options["return_status"] = status_attributes(reader)
        elif word == b"METADATA":
            reader.space()
            options["return_metadata"] = entries(reader)
        elif word in _RETURN:
            options[_RETURN[word]] = True
        else:
            raise Bad("there is no such LIST return option")


def lsub(reader: Reader) -> commands.Lsub:
    reader.space()
    reference = reader.mailbox()
    reader.space()
    return commands.Lsub(reference, reader.list_mailbox())


PARSERS = {b"LIST": list_, b"LSUB": lsub}
