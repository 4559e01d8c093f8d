"""What an IMAP URL names: the message found, and the octets of its section (RFC 5092 §6; RFC 4469 §4, RFC 4467 §3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from ...message.header import header_fields
from ...message.part import Part, SectionKind, decode_structure, find, section
from ...model.account import Principal
from ...model.mail import Email, Mailbox
from ...protocols.imap.fetch_attributes import Kind, Section
from ...protocols.imap.urls import BadUrl, MessageUrl
from ...storage.store import Rope, Store

PIECE = 256 << 10
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

    @property
    def size(self) -> int:
        """Octets that `octets` gives at most."""
        if self.section.partial is None:
            return self.stop - self.start
        first, count = self.section.partial
        return max(0, min(count, self.stop - self.start - first))


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
    return Located(email, rope, item, find(structure, item.part), *place)


async def octets(store: Store, located: Located) -> AsyncIterator[bytes]:
    """The octets in pieces, as they are stored."""
    item, start, stop = located.section, located.start, located.stop
    first, count = item.partial or (0, stop - start)
    if item.kind in (Kind.FIELDS, Kind.FIELDS_NOT):
        if stop - start > MAX_HEADER:
            raise BadUrl("the header is too large")
        header = await store.read_octets(located.rope, start, stop)
        fields = header_fields(header, item.fields, negate=item.kind is Kind.FIELDS_NOT) or b"\r\n"
        yield fields[first : first + count]
        return
    start = min(start + first, stop)
    stop = min(start + count, stop)
    for at in range(start, stop, PIECE):
        yield await store.read_octets(located.rope, at, min(at + PIECE, stop))
