"""What an IMAP URL names: the message found, and the octets of its section (RFC 5092 §6; RFC 4469 §4, RFC 4467 §3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...message import transfer
from ...message.header import header_fields
from ...message.part import Part, SectionKind, decode_structure, find, section
from ...model.account import Principal
from ...model.mail import Email, Mailbox
from ...protocols.imap.fetch_attributes import Kind, Section
from ...protocols.imap.urls import BadUrl, MessageUrl
from ...storage.store import Rope, Store
from . import pieces
from .pieces import Pieces

MAX_HEADER = 4 << 20
"""Octets of a header that single fields are taken out of."""

KINDS: dict[Kind, SectionKind | None] = {
    Kind.ALL: None,
    Kind.HEADER: "HEADER",
    Kind.FIELDS: "HEADER",
    Kind.FIELDS_NOT: "HEADER",
    Kind.TEXT: "TEXT",
    Kind.MIME: "MIME",
}


@dataclass(frozen=True, slots=True)
class Located:
    """*start* to *stop* of *rope*, the section without regard to its partial range."""

    email: Email
    rope: Rope
    section: Section
    part: Part | None
    """The part that the section's number names."""
    start: int
    stop: int

    fields: bytes | None = None
    """For HEADER.FIELDS: those of the header that lies there."""

    @property
    def size(self) -> int:
        """Octets that `octets` gives."""
        whole = self.stop - self.start if self.fields is None else len(self.fields)
        first, count = self.section.partial or (0, whole)
        return max(0, min(count, whole - first))


async def locate(store: Store, principal: Principal, mailbox: Mailbox, url: MessageUrl) -> Located:
    """Find what *url* names in *mailbox*. Raises BadUrl if it is not there."""
    if url.uidvalidity is not None and url.uidvalidity != mailbox.uidvalidity:
        raise BadUrl("the mailbox is another one now")
    found = await store.emails(principal, mailbox.account, mailbox.id, [url.uid])
    if not found:
        raise BadUrl("no such message")
    email, item = found[0], url.section
    rope, structure = store.octets(email), decode_structure(email.structure)
    place = section(structure, item.part, KINDS[item.kind], rope.size - email.blob_size)
    if place is None:
        raise BadUrl("no such section")
    fields = await _fields(store, rope, item, *place) if item.kind in (Kind.FIELDS, Kind.FIELDS_NOT) else None
    return Located(email, rope, item, find(structure, item.part), *place, fields)


async def _fields(store: Store, rope: Rope, item: Section, start: int, stop: int) -> bytes:
    if stop - start > MAX_HEADER:
        raise BadUrl("the header is too large")
    header = await store.read_octets(rope, start, stop)
    return header_fields(header, item.fields, negate=item.kind is Kind.FIELDS_NOT) or b"\r\n"


def octets(store: Store, located: Located) -> Pieces:
    """The octets, as they are stored."""
    item, start, stop = located.section, located.start, located.stop
    first, count = item.partial or (0, stop - start)
    if located.fields is not None:
        return _one(located.fields[first : first + count] if item.partial else located.fields)
    start = min(start + first, stop)
    return pieces.read(store, located.rope, start, min(start + count, stop))


async def _one(piece: bytes) -> Pieces:
    yield piece


def is_decodable(located: Located) -> bool:
    return _encoding(located) in transfer.ENCODINGS


def _encoding(located: Located) -> bytes:
    """Of a part as a whole; headers and texts of messages have none (RFC 3516 §4.3), nor have composite parts."""
    part = located.part
    if located.section.kind is not Kind.ALL or part is None or part.children or not located.section.part:
        return b"binary"
    return part.encoding


def decoded(store: Store, located: Located) -> Pieces:
    """The octets without the part's transfer encoding; a partial range counts decoded octets (RFC 5524 §3)."""
    partial = located.section.partial
    whole = replace(located, section=replace(located.section, partial=None))
    first, count = partial or (0, 1 << 62)
    return pieces.cut(pieces.decoded(octets(store, whole), _encoding(located)), first, count)
