"""What two programs may read differently in one message: a filter sees the harmless reading, the victim the other one. Pure.

The scanner (`message.structure`) tells what it met while it built its tree; the rest is looked for here, in the header, in the
names of parts and in how they are encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..message.encoded_words import decode, decode_parameters
from ..message.header import Buffer, Field
from ..message.part import Part
from ..message.transfer import ENCODINGS

MAX_PARTS = 200
"""Parts whose names and encodings are compared."""
MAX_LOOKED = 1 << 20
"""Octets of a part's encoded text."""

_ODD_FOLD = re.compile(rb"\n[ \t]+\r?(?:\n|\Z)")
_MIDDLE_PADDING = re.compile(rb"=[\r\n \t]*[A-Za-z0-9+/]")
_NESTED = re.compile(rb"\([^()]*\(")
_ONCE = (
    b"content-type", b"content-transfer-encoding", b"content-disposition", b"mime-version", b"subject", b"date", b"sender",
    b"message-id", b"to", b"cc", b"reply-to",
)  # fmt: skip


def in_header(header: bytes, by_name: Mapping[bytes, Sequence[Field]], is_multipart: bool) -> Iterator[str]:
    """Phrases about the header section, which is given with its fields by lower-case name."""
    if b"\0" in header:
        yield "NUL in the header"
    if header.count(b"\r") != header.count(b"\r\n"):
        yield "bare CR in the header"
    if header.count(b"\n") != header.count(b"\r\n"):
        yield "bare LF in the header"
    if _ODD_FOLD.search(header[:-2]):
        yield "folded line without text"
    if b"" in by_name:
        yield "line in the header that is no field"
    for name in _ONCE:
        if len(by_name.get(name, ())) > 1:
            yield f"{name.decode()} occurs twice"
    for name in by_name:
        if name.startswith(b"content-") or name in (b"mime-version", b"from"):
            yield from _in_field(header, name, by_name[name][0])
    if is_multipart and b"mime-version" not in by_name:
        yield "MIME without MIME-Version"


def _in_field(header: bytes, name: bytes, field: Field) -> Iterator[str]:
    if header[field.start + len(name) : field.start + len(name) + 1] != b":":
        yield "space before the colon"
    if b"(" in field.value and name != b"from":
        yield "nested comment in a MIME field" if _NESTED.search(field.value) else "comment in a MIME field"


def in_parts(octets: Buffer, leaves: Iterable[Part]) -> Iterator[str]:
    """Phrases about the parts that hold something."""
    told: set[str] = set()
    for _, part in zip(range(MAX_PARTS), leaves, strict=False):
        for phrase in (*_names(part), *_encoding(octets, part)):
            if phrase not in told:
                told.add(phrase)
                yield phrase


def names_of(part: Part) -> list[str]:
    """Every name that a program may give the file, each once: of the disposition and of the type, in both forms."""
    if not part.params and not part.disposition_params:
        return []
    found: list[str] = []
    for params, word in ((part.disposition_params, "filename"), (part.params, "name")):
        key = word.encode()
        plain = [decode(value) for name, value in params if name == key]
        extended = []
        if any(name.startswith(key + b"*") for name, _ in params):
            one = decode_parameters(tuple((name, value) for name, value in params if name != key)).get(word)
            extended = [one] if one else []
        found += [*extended, *plain]
    return list(dict.fromkeys(found))


def _names(part: Part) -> Iterator[str]:
    if len(part.params) < 2 and not part.disposition_params:
        return
    for params, word in ((part.disposition_params, b"filename"), (part.params, b"name"), (part.params, b"charset")):
        if sum(name == word for name, _ in params) > 1:
            yield f"{word.decode()} is given twice"
    names = names_of(part)
    if len({_ending(name) for name in names}) > 1:
        yield "names with different endings"


def _ending(name: str) -> str:
    return name.rpartition(".")[2].strip().lower()


def _encoding(octets: Buffer, part: Part) -> Iterator[str]:
    if part.encoding not in ENCODINGS:
        yield "unknown transfer encoding"
    if part.encoding == b"base64":
        text = octets[part.body_start : min(part.body_end, part.body_start + MAX_LOOKED)]
        inner = text.rstrip(b"= \t\r\n-")
        if b"=" in inner and _MIDDLE_PADDING.search(inner):
            yield "base64 that goes on after its end"
    elif part.type == b"text" and b"\0" in octets[part.body_start : min(part.body_end, part.body_start + MAX_LOOKED)]:
        yield "NUL in a text"
