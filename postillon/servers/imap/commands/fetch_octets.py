"""Sections of FETCH: octets of messages and their parts (RFC 9051 §6.4.5, RFC 3501 §6.4.5; BINARY: RFC 3516).

Where a part lies was worked out on arrival, so only what is asked for is read: many small ranges in one go, a large one in
pieces that go out before the next is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....message import transfer
from ....message.header import header_fields
from ....message.part import Part, decode_structure, find, section
from ....model.mail import Email
from ....protocols.imap import responses
from ....protocols.imap.fetch_attributes import Kind, Section
from ....storage.store import Rope
from .. import pieces
from ..answers import No
from ..fetch_items import Batch, Plan
from ..pieces import PIECE, Pieces
from ..snapshots import Key
from ..url_octets import KINDS

if TYPE_CHECKING:
    from ..session import Session

TOGETHER = 1 << 20
"""Octets read in one go, unless one message alone has more."""
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A section of one message."""

    section: Section
    range: Range | None
    """What is to be read, in message coordinates; None: there is no such part."""
    encoding: bytes = b"7bit"
    """Of the part, for BINARY."""

    @property
    def is_raw(self) -> bool:
        """The octets go out as they are."""
        return not self.section.binary and self.section.kind not in (Kind.FIELDS, Kind.FIELDS_NOT)


async def send_octets(session: Session, batch: Batch, plan: Plan, mailbox: Key) -> None:
    """Send the responses for *batch*, whose emails of *mailbox* are read. Raises No for an encoding that we do not know."""
    ropes = [session.store.octets(email) for email in batch.emails]
    wanted = [[_wanted(email, rope, item) for item in plan.sections] for email, rope in zip(batch.emails, ropes, strict=True)]
    start = 0
    while start < len(ropes):
        stop, total = start, 0
        while stop < len(ropes) and (stop == start or total + _size(wanted[stop]) <= TOGETHER):
            total += _size(wanted[stop])
            stop += 1
        part = _cut(batch, start, stop)
        if total > TOGETHER:
            await _send_large(session, part, plan, ropes[start], wanted[start])
        else:
            await _send_together(session, part, plan, ropes[start:stop], wanted[start:stop], mailbox)
        await session.dialogue.breathe()
        start = stop


def _cut(batch: Batch, start: int, stop: int) -> Batch:
    part = Batch(batch.view, batch.keywords, batch.slots[start:stop], by_uid=batch.by_uid)
    part.take_emails(batch.emails[start:stop])
    part.previews = batch.previews[start:stop]
    return part


def _wanted(email: Email, rope: Rope, item: Section) -> Wanted:
    if not item.part and item.kind is Kind.ALL:
        return Wanted(item, _partial(item, (0, rope.size)) if not item.binary else (0, rope.size), b"binary")
    structure = decode_structure(email.structure)
    place = section(structure, item.part, KINDS[item.kind], rope.size - email.blob_size)
    if place is None:
        return Wanted(item, None)
    if item.binary:
        return Wanted(item, place, _encoding(find(structure, item.part)))
    raw = item.kind not in (Kind.FIELDS, Kind.FIELDS_NOT)
    return Wanted(item, _partial(item, place) if raw else place)


def _encoding(part: Part | None) -> bytes:
    # RFC 2045 §6.4: a composite type has none but the identity.
    return b"binary" if part is None or part.children else part.encoding


def _partial(item: Section, place: Range) -> Range:
    if item.partial is None:
        return place
    first, count = item.partial
    start = min(place[0] + first, place[1])
    return start, min(start + count, place[1])


def _size(wanted: list[Wanted]) -> int:
    return sum(one.range[1] - one.range[0] for one in wanted if one.range is not None)


async def _send_together(
    session: Session, batch: Batch, plan: Plan, ropes: list[Rope], wanted: list[list[Wanted]], mailbox: Key
) -> None:
    ranges: dict[tuple[int, Range], None] = {}
    for at, sections in enumerate(wanted):
        for one in sections:
            if one.range is not None:
                ranges[at, one.range] = None
    octets = await session.store.read_many([(ropes[at], start, stop) for at, (start, stop) in ranges])
    if len(plan.sections) == 1 and len(octets) == len(ropes) and wanted[0][0].is_raw:
        send_frames(session, batch, plan, octets)
        return
    found = dict(zip(ranges, octets, strict=True))
    for column, item in enumerate(plan.sections):
        batch.octets[item.label] = [
            _value(one := wanted[at][column], b"" if one.range is None else found[at, one.range]) for at in range(len(ropes))
        ]
    session.dialogue.write(plan.lines(batch, texts(session, mailbox, batch, plan)))


def send_frames(session: Session, batch: Batch, plan: Plan, octets: Sequence[bytes]) -> None:
    """The responses for *batch*, of whose one section *octets* go out as they are."""
    batch.octets[plan.sections[0].label] = [b"{%d}\r\n" % len(one) for one in octets]
    frames = plan.frames(batch, plan.attributes.index(plan.sections[0]))
    session.dialogue.write_all([piece for (first, last), one in zip(frames, octets, strict=True) for piece in (first, one, last)])


def texts(session: Session, mailbox: Key, batch: Batch, plan: Plan) -> list[list[bytes]]:
    """What never changes of the messages in *batch*, for `Plan.lines`; kept for the next time where it is worth it."""
    made = [group.texts(batch) for group in plan.groups]
    if plan.is_kept:
        for group, values in zip(plan.groups, made, strict=True):
            session.server.answers.put(mailbox, group.template, batch.uids, values)
    return made


def _value(wanted: Wanted, octets: bytes) -> bytes:
    """What stands behind the section's name."""
    item = wanted.section
    if wanted.range is None:
        return b"0" if item.size_only else b"NIL"
    if wanted.is_raw:
        return responses.literal(octets)
    if not item.binary:
        octets = header_fields(octets, item.fields, negate=item.kind is Kind.FIELDS_NOT)
        if not octets:
            octets = b"\r\n"  # RFC 3501 §6.4.5: the empty line is always there
    else:
        if wanted.encoding not in transfer.ENCODINGS:
            raise No("Content-transfer-encoding is not known", b"UNKNOWN-CTE")
        octets = transfer.decode(octets, wanted.encoding)
        if item.size_only:
            return b"%d" % len(octets)
    if item.partial is not None:
        first, count = item.partial
        octets = octets[first : first + count]
    return responses.literal8(octets) if item.binary and b"\0" in octets else responses.literal(octets)


async def _send_large(session: Session, batch: Batch, plan: Plan, rope: Rope, wanted: list[Wanted]) -> None:
    """One message with more than TOGETHER: octets pass through in pieces, those of BINARY decoded on the way."""
    streamed: dict[Section, Range] = {}
    decoded: dict[Section, tuple[Wanted, int]] = {}
    for one in wanted:
        is_large = one.range is not None and one.range[1] - one.range[0] > PIECE
        if is_large and one.is_raw:
            assert one.range is not None
            streamed[one.section] = one.range
        elif is_large and one.section.binary:
            size = await pieces.size_of(_decoded(session, rope, one))
            if one.section.size_only:
                batch.octets[one.section.label] = [b"%d" % size]
            else:
                decoded[one.section] = one, size
        else:
            octets = b"" if one.range is None else await session.store.read_octets(rope, *one.range)
            batch.octets[one.section.label] = [_value(one, octets)]
    dialogue = session.dialogue
    dialogue.write(b"* %d %b (" % (batch.numbers()[0], b"UIDFETCH" if batch.by_uid else b"FETCH"))
    for at, attribute in enumerate(plan.attributes):
        if at:
            dialogue.write(b" ")
        if isinstance(attribute, Section) and attribute in streamed:
            start, stop = streamed[attribute]
            dialogue.write(b"%b {%d}\r\n" % (attribute.label, stop - start))
            await pieces.send(session, pieces.read(session.store, rope, start, stop))
        elif isinstance(attribute, Section) and attribute in decoded:
            await _send_decoded(session, rope, *decoded[attribute])
        else:
            dialogue.write(plan.piece(at, batch))
    dialogue.write(b")\r\n")


def _decoded(session: Session, rope: Rope, one: Wanted) -> Pieces:
    """The decoded octets of a part: never the whole of it in memory."""
    if one.encoding not in transfer.ENCODINGS:
        raise No("Content-transfer-encoding is not known", b"UNKNOWN-CTE")
    assert one.range is not None
    return pieces.decoded(pieces.read(session.store, rope, *one.range), one.encoding)


async def _send_decoded(session: Session, rope: Rope, one: Wanted, size: int) -> None:
    """Decode once more, now that the size is known which has to be told first."""
    first, count = one.section.partial or (0, size)
    count = max(0, min(count, size - first))
    # A literal8 whether or not there is a NUL: to know that, everything would have to be looked at before.
    session.dialogue.write(b"%b ~{%d}\r\n" % (one.section.label, count))
    await pieces.send(session, pieces.cut(_decoded(session, rope, one), first, count))
