"""PREVIEW (RFC 8970): the first words of a message's text, as a FETCH item. Always the same for the same message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...message.part import Part, decode_structure
from ...message.text import part_text, text_parts
from ...model.mail import Email
from ...protocols.imap import responses
from .fetch_items import Batch

if TYPE_CHECKING:
    from .session import Session

CHARACTERS = 200
"""RFC 8970 §3.3: about this many, never above 256."""
PLAIN_OCTETS, HTML_OCTETS = 4096, 32 << 10
"""Octets of a part that are read for it; HTML may begin with long styles."""
TOGETHER = 256
"""Messages whose texts are read in one go: at most 8 MiB."""


async def add_previews(session: Session, batch: Batch) -> None:
    """Put the previews of *batch*, whose emails are read, where its column finds them."""
    store, emails = session.store, batch.emails
    batch.previews = []
    for at in range(0, len(emails), TOGETHER):
        chosen = [_chosen(email) for email in emails[at : at + TOGETHER]]
        ropes = [store.octets(email) for email in emails[at : at + TOGETHER]]
        ranges = []
        for rope, part, email in zip(ropes, chosen, emails[at : at + TOGETHER], strict=True):
            if part is not None:
                start = part.body_start + rope.size - email.blob_size
                ranges.append((rope, start, min(start + _limit(part), start + part.size)))
        octets = iter(await store.read_many(ranges))
        batch.previews += [b'""' if part is None else _value(part, next(octets)) for part in chosen]


def _chosen(email: Email) -> Part | None:
    """The part that a reader sees first: plain text if there is any."""
    parts = [part for part in text_parts(decode_structure(email.structure)) if part.size and part.disposition != b"attachment"]
    plain = [part for part in parts if part.subtype != b"html"]
    return plain[0] if plain else parts[0] if parts else None


def _limit(part: Part) -> int:
    return HTML_OCTETS if part.subtype == b"html" else PLAIN_OCTETS


def _value(part: Part, octets: bytes) -> bytes:
    if len(octets) < part.size:
        octets = _whole_lines(octets)
    text = " ".join(_lines(part_text(part, octets)))
    return responses.string(shorten(text).encode("utf-8", "replace"))


def _whole_lines(octets: bytes) -> bytes:
    """Without the last line, which may be cut in a character or an escape; a single long line stays."""
    end = octets.rfind(b"\n") + 1
    return octets[:end] if end else octets


def _lines(text: str) -> list[str]:
    """The words of the message's own lines: what is quoted says nothing new, unless it is all there is."""
    lines = text.splitlines()
    own = [line for line in lines if not line.lstrip().startswith(">")]
    return " ".join(own).split() or " ".join(lines).split()


def shorten(text: str) -> str:
    """At most CHARACTERS, without controls, at the end of a word where there is one near."""
    text = "".join(character for character in text if character.isprintable())
    if len(text) <= CHARACTERS:
        return text
    cut = text[:CHARACTERS]
    return cut[: cut.rfind(" ")] if " " in cut[CHARACTERS // 2 :] else cut
