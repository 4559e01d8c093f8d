"""Whether a message's text has what SEARCH looks for: substrings of decoded, folded text (RFC 9051 §6.4.4). Plain functions
over octets, made to run in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...message.encoded_words import decode
from ...message.folding import fold, needle_of
from ...message.header import unfold, values
from ...message.part import Part
from ...protocols.imap.search_keys import Body, Header, Text
from ...storage.search.documents import TextPlan, body_of, head_of


def match_headers(keys: Sequence[Header], headers: Sequence[bytes]) -> list[set[Header]]:
    """For each header block the keys that it meets."""
    needles = [(key, needle_of(key.text)) for key in keys]
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
    missing = {key: needle_of(key.text) for key in keys}
    found: set[Body | Text] = set()

    def look(text: str, *, is_body: bool) -> None:
        for key, needle in list(missing.items()):
            if (is_body or isinstance(key, Text)) and needle in text:
                found.add(key)
                del missing[key]

    if any(isinstance(key, Text) for key in keys):
        look(head_of(header), is_body=False)
    for piece in body_of(inner, parts):
        look(piece, is_body=True)
        if not missing:
            break
    return found


def match_plans(wanted: Sequence[Body | Text], plans: Iterable[TextPlan], octets: Iterable[bytes]) -> list[set[Body | Text]]:
    """In a thread: the keys that each message meets. *octets* are those of all plans in a row."""
    each = iter(octets)
    met = []
    for plan in plans:
        header, *rest = [next(each) for _ in plan.ranges]
        met.append(match_text(wanted, header, zip(plan.parts, rest[plan.inner :], strict=True), rest[: plan.inner]))
    return met
