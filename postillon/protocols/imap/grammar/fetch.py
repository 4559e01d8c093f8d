"""FETCH (RFC 3501 §6.4.5, RFC 9051 §6.4.5), BINARY (RFC 3516), CONDSTORE and QRESYNC modifiers (RFC 7162), PARTIAL (RFC 9394)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .. import commands
from ..fetch_attributes import ALL, FAST, FULL, Attribute, FetchAttribute, Kind, Section
from ..responses import astring
from .reader import MAX_63, Bad, Reader
from .results import partial_range

MAX_ATTRIBUTES = 256
"""Different ones in one FETCH."""
MAX_PART_DEPTH = 100

_CACHED_SIZE = 400
_SECTION = re.compile(rb"(BODY|BINARY)(\.PEEK|\.SIZE)?\[([1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*)?(\.?)", re.IGNORECASE)
_KIND = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_PARTIAL = re.compile(rb"<([0-9]{1,19})\.([0-9]{1,19})>")
_NAME = re.compile(rb"[A-Za-z0-9.]+")
_FIELD_NAME = re.compile(rb"[!-9;-~]+")

_MACROS: dict[bytes, tuple[FetchAttribute, ...]] = {b"ALL": ALL, b"FAST": FAST, b"FULL": FULL}
_SIMPLE: dict[bytes, FetchAttribute] = {
    **{attribute.value: attribute for attribute in Attribute if attribute is not Attribute.PREVIEW_LAZY},
    # RFC 3501 §6.4.5: these are functionally the sections, under a name of their own.
    b"RFC822": Section(b"RFC822", peek=False),
    b"RFC822.HEADER": Section(b"RFC822.HEADER", kind=Kind.HEADER),
    b"RFC822.TEXT": Section(b"RFC822.TEXT", kind=Kind.TEXT, peek=False),
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    attributes: tuple[FetchAttribute, ...]
    changed_since: int | None = None
    vanished: bool = False
    partial: commands.Partial | None = None


def fetch(reader: Reader, uid: bool = False) -> commands.Fetch:
    reader.space()
    numbers = reader.message_set()
    reader.space()
    rest = reader.data[reader.pos :]
    if len(rest) <= _CACHED_SIZE and b"{" not in rest:
        wanted = _known(rest)
        reader.pos = len(reader.data)
    else:
        wanted = _wanted(reader)
    if wanted.vanished and not uid:
        raise Bad("VANISHED is for UID FETCH")  # RFC 7162 §3.2.6
    return commands.Fetch(uid, numbers, wanted.attributes, wanted.changed_since, wanted.vanished, wanted.partial)


@lru_cache(maxsize=512)
def _known(rest: bytes) -> _Wanted:
    """Programs ask for the same few lists of attributes again and again, so what they mean is remembered."""
    reader = Reader(rest)
    wanted = _wanted(reader)
    reader.end()
    return wanted


def _wanted(reader: Reader) -> _Wanted:
    attributes = _attributes(reader)
    if reader.at_end():
        return _Wanted(attributes)
    reader.expect(b" (")
    return _modifiers(reader, attributes)


def _attributes(reader: Reader) -> tuple[FetchAttribute, ...]:
    if not reader.skip(b"("):
        macro = _MACROS.get(reader.data[reader.pos : reader.pos + 4].upper().rstrip(b" "))
        if macro is None:
            return (attribute(reader),)
        reader.match(_NAME)
        return macro
    found = {attribute(reader): None}
    while not reader.skip(b")"):
        reader.space()
        found[attribute(reader)] = None
        if len(found) > MAX_ATTRIBUTES:
            raise Bad("too many attributes in one FETCH")
    return tuple(found)


def attribute(reader: Reader) -> FetchAttribute:
    """One fetch-att."""
    section = reader.match(_SECTION)
    if section is not None:
        return _section(reader, section)
    simple = _SIMPLE.get(reader.take(_NAME, "FETCH attribute")[0].upper())
    if simple is None:
        raise Bad("there is no such FETCH attribute")
    if simple is Attribute.PREVIEW and reader.skip(b" ("):
        if reader.word("PREVIEW modifier") != b"LAZY":
            raise Bad("there is no such PREVIEW modifier")
        reader.expect(b")")
        return Attribute.PREVIEW_LAZY
    return simple


def _section(reader: Reader, start: re.Match[bytes]) -> Section:
    word, suffix, part, dot = start[1].upper(), (start[2] or b"").upper(), start[3] or b"", start[4]
    binary = word == b"BINARY"
    if suffix == b".SIZE" and not binary:
        raise Bad("there is no BODY.SIZE")
    if part.count(b".") >= MAX_PART_DEPTH:
        raise Bad("part number is nested too deeply")
    kind, text = Kind.ALL, part
    fields: tuple[bytes, ...] = ()
    if not binary and (dot or not part) and not reader.data.startswith(b"]", reader.pos):
        kind, fields, written = _section_text(reader)
        text = part + dot + written
        if kind is Kind.MIME and not part:
            raise Bad("MIME needs a part number before it")
    elif dot:
        raise Bad("section is not complete")
    reader.expect(b"]")
    partial = None if suffix == b".SIZE" else _partial(reader)
    label = b"%b[%b]" % (b"BINARY.SIZE" if suffix == b".SIZE" else word, text)
    if partial is not None:
        label += b"<%d>" % partial[0]
    numbers = tuple(map(int, part.split(b"."))) if part else ()
    return Section(label, numbers, kind, fields, partial, bool(suffix), binary, suffix == b".SIZE")


def _section_text(reader: Reader) -> tuple[Kind, tuple[bytes, ...], bytes]:
    """(kind, field names in lower case, how the response writes it)."""
    written = reader.take(_KIND, "section")[0].upper()
    kind = Kind(written)
    if kind not in (Kind.FIELDS, Kind.FIELDS_NOT):
        return kind, (), written
    reader.expect(b" (")
    names = [_field_name(reader)]
    while not reader.skip(b")"):
        reader.space()
        names.append(_field_name(reader))
    fields = tuple(dict.fromkeys(name.lower() for name in names))
    return kind, fields, b"%b (%b)" % (written, b" ".join(map(astring, names)))


def _field_name(reader: Reader) -> bytes:
    name = reader.astring("header field name")
    if not _FIELD_NAME.fullmatch(name):
        raise Bad("that is no header field name")  # RFC 5322 §2.2
    return name


def _partial(reader: Reader) -> tuple[int, int] | None:
    found = reader.match(_PARTIAL)
    if found is None:
        return None
    start, size = int(found[1]), int(found[2])
    if start > MAX_63 or not 1 <= size <= MAX_63:
        raise Bad("octet range is out of range")
    return start, size


def _modifiers(reader: Reader, attributes: tuple[FetchAttribute, ...]) -> _Wanted:
    """RFC 4466 §2.4 fetch-modifiers, after their parenthesis."""
    changed_since: int | None = None
    vanished, partial = False, None
    while True:
        word = reader.word("FETCH modifier")
        if word == b"CHANGEDSINCE":
            reader.space()
            changed_since = reader.number("mod-sequence", 1, MAX_63)
        elif word == b"VANISHED":
            vanished = True
        elif word == b"PARTIAL":
            reader.space()
            partial = partial_range(reader)
        else:
            raise Bad("there is no such FETCH modifier")
        if reader.skip(b")"):
            break
        reader.space()
    if vanished and changed_since is None:
        raise Bad("VANISHED needs CHANGEDSINCE")  # RFC 7162 §3.2.6
    return _Wanted(attributes, changed_since, vanished, partial)


PARSERS = {b"FETCH": fetch, b"UID FETCH": lambda reader: fetch(reader, uid=True)}
