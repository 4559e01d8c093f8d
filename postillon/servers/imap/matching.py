"""Whether a message's text has what SEARCH looks for: substrings of decoded, folded text (RFC 9051 §6.4.4). Plain functions
over octets, made to run in a thread."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...message.encoded_words import decode
from ...message.header import unfold, values
from ...message.part import Part, decode_structure
from ...message.text import header_text, messages, part_text, text_parts
from ...model.mail import Email
from ...protocols.imap.search_keys import Body, Header, Text
from ...storage.store import Rope


def fold(text: str) -> str:
    """The form in which texts are compared: no case, no compatibility variants, marks after their letters (as RFC 5051)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", text.casefold())


def _needle(text: str) -> str:
    # Text parts have LF, unfolded headers no line ends at all.
    return fold(text.replace("\r\n", "\n"))


def match_headers(keys: Sequence[Header], headers: Sequence[bytes]) -> list[set[Header]]:
    """For each header block the keys that it meets."""
    needles = [(key, _needle(key.text)) for key in keys]
    return [{key for key, needle in needles if _has(header, key.field, needle)} for header in headers]


def _has(header: bytes, field: bytes, needle: str) -> bool:
    if not _may_have(header, field, needle):
        return False
    found = values(header).get(field)
    if found is None:
        return False
    return not needle or any(needle in fold(decode(unfold(value))) for value in found)


def _may_have(header: bytes, field: bytes, needle: str) -> bool:
    """A cheap no for most: what is not in the raw octets is not in the text, if nothing there is encoded or broken over lines."""
    if not needle.isascii() or needle.split() != [needle] or b"=?" in header or not header.isascii():
        return True
    return needle.encode() in header.lower()


def match_text(
    keys: Sequence[Body | Text], header: bytes, parts: Iterable[tuple[Part, bytes]], inner: Iterable[bytes]
) -> set[Body | Text]:
    """The keys that one message meets. *parts*: its text parts with their octets; *inner*: headers of embedded messages."""
    missing = {key: _needle(key.text) for key in keys}
    found: set[Body | Text] = set()

    def look(text: str, *, is_body: bool) -> None:
        for key, needle in list(missing.items()):
            if (is_body or isinstance(key, Text)) and needle in text:
                found.add(key)
                del missing[key]

    if any(isinstance(key, Text) for key in keys):
        look(fold(header_text(header)), is_body=False)
    for block in inner:
        if missing:
            look(fold(header_text(block)), is_body=True)
    for part, octets in parts:
        if missing:
            look(fold(part_text(part, octets)), is_body=True)
    return found


@dataclass(frozen=True, slots=True)
class TextPlan:
    """What to read of one message: its header, headers of embedded messages, text parts, in this order."""

    rope: Rope
    ranges: list[tuple[Rope, int, int]]
    inner: int
    parts: list[Part]


def text_plan(email: Email, rope: Rope) -> TextPlan:
    structure, delta = decode_structure(email.structure), rope.size - email.blob_size
    _, *embedded = messages(structure)
    parts = list(text_parts(structure))
    places = [(0, structure.body_start + delta)]
    places += [(one.header_start + delta, one.body_start + delta) for one in embedded]
    places += [(one.body_start + delta, one.body_end + delta) for one in parts]
    return TextPlan(rope, [(rope, start, stop) for start, stop in places], len(embedded), parts)


def match_plans(wanted: Sequence[Body | Text], plans: Iterable[TextPlan], octets: Iterable[bytes]) -> list[set[Body | Text]]:
    """In a thread: the keys that each message meets. *octets* are those of all plans in a row."""
    each = iter(octets)
    met = []
    for plan in plans:
        header, *rest = [next(each) for _ in plan.ranges]
        met.append(match_text(wanted, header, zip(plan.parts, rest[plan.inner :], strict=True), rest[: plan.inner]))
    return met
