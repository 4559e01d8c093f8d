"""How messages look in a FETCH response (RFC 9051 §7.5.2): a template for a list of attributes, filled from columns.

A list of attributes is compiled once into a `Plan`: a bytes template and, for each hole in it, a function that gives the
values of a whole batch of messages. So nothing is parsed, and what of a message never changes is put together once: a `Group`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from itertools import chain, groupby
from typing import Any

from ...message.prepare import unpack_overview
from ...model.mail import Email
from ...protocols.imap.dates import date_time
from ...protocols.imap.fetch_attributes import Attribute, FetchAttribute, Kind, Section
from .answers import BadCommand
from .keywords import Keywords
from .objectid import email_id, thread_id
from .view import View


class Level(IntEnum):
    """How far we must go for an attribute."""

    SNAPSHOT = 0
    NARROW = 1
    """`store.email_sizes`."""
    WIDE = 2
    """`store.overviews`."""
    OCTETS = 3
    """`store.emails`, and then what they say."""


class Batch:
    """Messages that are answered together; all columns run parallel."""

    __slots__ = (
        "_overviews",
        "_unpacked",
        "by_uid",
        "emails",
        "keywords",
        "narrow",
        "octets",
        "previews",
        "slots",
        "uids",
        "view",
    )

    def __init__(self, view: View, keywords: Keywords, slots: Sequence[int], *, by_uid: bool = False) -> None:
        self.by_uid = by_uid
        """UIDFETCH, see `Selected.by_uid`."""
        self.view = view
        self.keywords = keywords
        self.slots: Sequence[int] = slots
        uids = view.snapshot.uids
        self.uids: list[int] = [uids[slot] for slot in slots]
        self.narrow: list[tuple[Any, ...]] = []
        """(received, zone, size, saved, email id, thread id)."""
        self.emails: list[Email] = []
        self.octets: dict[bytes, list[bytes]] = {}
        """Values of sections by their labels."""
        self.previews: list[bytes] = []
        """Values of PREVIEW."""
        self._overviews: list[bytes] = []
        self._unpacked: list[tuple[bytes, bytes, bytes]] = []

    def take_rows(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Rows of `store.email_sizes`; messages without one drop out, True if there are any."""
        self.narrow = [(row[1], row[2], row[3], row[4], row[6], row[7]) for row in rows]
        return self._keep([row[0] for row in rows])

    def take_overviews(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Rows of `store.overviews`, the same way."""
        self._overviews = [row[7] for row in rows]
        self.narrow = [row[1:7] for row in rows]
        return self._keep([row[0] for row in rows])

    def take_emails(self, emails: list[Email]) -> bool:
        """Rows of `store.emails`, the same way."""
        self.emails = emails
        self._overviews = [email.overview for email in emails]
        self.narrow = [(e.received, e.zone, e.size, e.saved, e.id, e.thread) for e in emails]
        return self._keep([email.uid for email in emails])

    def _keep(self, uids: list[int]) -> bool:
        missing = len(uids) != len(self.uids)
        if missing:
            there = set(uids)
            self.slots = [slot for slot, uid in zip(self.slots, self.uids, strict=True) if uid in there]
            self.uids = list(uids)
        return missing

    def numbers(self) -> list[int]:
        """What stands before FETCH or UIDFETCH."""
        return self.uids if self.by_uid else self.view.numbers_of(self.slots)

    def flags(self) -> list[bytes]:
        snapshot, text = self.view.snapshot, self.keywords.text
        words, codes = snapshot.words, snapshot.codes
        texts = {code: text(words[code]) for code in {codes[slot] for slot in self.slots}}
        return [texts[codes[slot]] for slot in self.slots]

    def modseqs(self) -> list[int]:
        modseqs = self.view.snapshot.modseqs
        return [modseqs[slot] for slot in self.slots]

    def overviews(self, which: int) -> list[bytes]:
        """0 ENVELOPE, 1 BODYSTRUCTURE, 2 BODY."""
        if not self._unpacked:
            self._unpacked = [unpack_overview(stored) for stored in self._overviews]
        return [overview[which] for overview in self._unpacked]


Column = Callable[[Batch], Sequence[int | bytes]]

_ATTRIBUTES: dict[Attribute, tuple[Level, bytes, Column]] = {
    Attribute.UID: (Level.SNAPSHOT, b"UID %d", lambda batch: batch.uids),
    Attribute.FLAGS: (Level.SNAPSHOT, b"FLAGS %b", lambda batch: batch.flags()),
    Attribute.MODSEQ: (Level.SNAPSHOT, b"MODSEQ (%d)", lambda batch: batch.modseqs()),
    Attribute.INTERNALDATE: (Level.NARROW, b"INTERNALDATE %b", lambda batch: [date_time(r[0], r[1]) for r in batch.narrow]),
    Attribute.RFC822_SIZE: (Level.NARROW, b"RFC822.SIZE %d", lambda batch: [row[2] for row in batch.narrow]),
    Attribute.SAVEDATE: (Level.NARROW, b"SAVEDATE %b", lambda batch: [date_time(row[3], 0) for row in batch.narrow]),
    Attribute.EMAILID: (Level.NARROW, b"EMAILID (%b)", lambda batch: [email_id(row[4]) for row in batch.narrow]),
    Attribute.THREADID: (Level.NARROW, b"THREADID (%b)", lambda batch: [thread_id(row[5]) for row in batch.narrow]),
    Attribute.PREVIEW: (Level.OCTETS, b"PREVIEW %b", lambda batch: batch.previews),
    Attribute.PREVIEW_LAZY: (Level.OCTETS, b"PREVIEW %b", lambda batch: batch.previews),
    Attribute.ENVELOPE: (Level.WIDE, b"ENVELOPE %b", lambda batch: batch.overviews(0)),
    Attribute.BODYSTRUCTURE: (Level.WIDE, b"BODYSTRUCTURE %b", lambda batch: batch.overviews(1)),
    Attribute.BODY: (Level.WIDE, b"BODY %b", lambda batch: batch.overviews(2)),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring attributes whose values never change: together they are one piece of a response."""

    template: bytes
    """Also the name under which the pieces are kept."""
    columns: tuple[Column, ...]

    def texts(self, batch: Batch) -> list[bytes]:
        """The piece for each message."""
        template = self.template
        return [template % row for row in zip(*[column(batch) for column in self.columns], strict=True)]


def _filled(template: bytes, *columns: Sequence[int | bytes]) -> bytes:
    """*template* filled and repeated for each row: it is parsed by C, and once."""
    return (template * len(columns[0])) % tuple(chain.from_iterable(zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a list of attributes means. See the module."""

    level: Level
    template: bytes
    """Of the whole response, with a hole for the number, each changing attribute and each group."""
    holes: tuple[Column | Group, ...]
    pieces: tuple[bytes, ...]
    """How each attribute looks, with a hole for its value."""
    columns: tuple[Column, ...]
    """The values of each attribute."""
    sections: tuple[Section, ...]
    attributes: tuple[FetchAttribute, ...]
    groups: tuple[Group, ...]

    def piece(self, at: int, batch: Batch) -> bytes:
        """What the response says of attribute *at* for the one message in *batch*."""
        (value,) = self.columns[at](batch)
        return self.pieces[at] % value

    @property
    def sets_seen(self) -> bool:
        return any(not section.peek for section in self.sections)

    @property
    def is_kept(self) -> bool:
        """What never changes is small enough to be worth keeping: of the sections only whole lists of header fields."""
        return (
            self.level > Level.NARROW
            and not self.needs_previews
            and all(
                section.kind in (Kind.FIELDS, Kind.FIELDS_NOT) and section.partial is None and not section.part
                for section in self.sections
            )
        )

    @property
    def is_whole(self) -> bool:
        """Whole messages and nothing that takes more than a row to know: what programs ask for when they copy a mailbox."""
        if len(self.sections) != 1 or replace(self.sections[0], label=b"", peek=True) != Section(b""):
            return False
        others = (attribute for attribute in self.attributes if not isinstance(attribute, Section))
        return all(_ATTRIBUTES[attribute][0] <= Level.NARROW for attribute in others)

    @property
    def needs_previews(self) -> bool:
        return Attribute.PREVIEW in self.attributes or Attribute.PREVIEW_LAZY in self.attributes

    @property
    def needs_flags(self) -> bool:
        return Attribute.FLAGS in self.attributes

    def lines(self, batch: Batch, kept: Sequence[list[bytes]]) -> bytes:
        """The untagged responses for *batch*, whose unchanging parts are *kept*, one list for each group."""
        parts = iter(kept)
        columns = [next(parts) if isinstance(hole, Group) else hole(batch) for hole in self.holes]
        template = self.template.replace(b" FETCH (", b" UIDFETCH (", 1) if batch.by_uid else self.template
        return _filled(template, batch.numbers(), *columns)

    def frames(self, batch: Batch, at: int) -> list[tuple[bytes, bytes]]:
        """The same cut behind the value of attribute *at*: so what is large can stand between and is not copied."""
        columns = [column(batch) for column in self.columns]
        first = (b"* %d UIDFETCH (" if batch.by_uid else b"* %d FETCH (") + b" ".join(self.pieces[: at + 1])
        last = b"".join([b" " + piece for piece in self.pieces[at + 1 :]]) + b")\r\n"
        cut = at + 2
        return [(first % row[:cut], last % row[cut:]) for row in zip(batch.numbers(), *columns, strict=True)]


@lru_cache(maxsize=512)
def plan_of(attributes: tuple[FetchAttribute, ...]) -> Plan:
    """Compile *attributes*. Raises BadCommand for what we do not offer."""
    pieces: list[bytes] = []
    columns: list[Column] = []
    sections: list[Section] = []
    level = Level.SNAPSHOT
    for attribute in attributes:
        if isinstance(attribute, Section):
            sections.append(attribute)
            level = Level.OCTETS
            pieces.append(attribute.label.replace(b"%", b"%%") + b" %b")
            columns.append(_section_column(attribute))
        elif attribute in _ATTRIBUTES:
            needed, piece, column = _ATTRIBUTES[attribute]
            level = max(level, needed)
            pieces.append(piece)
            columns.append(column)
        else:
            raise BadCommand("FETCH attribute is not supported")
    outer, holes = _grouped(attributes, pieces, columns)
    template = b"* %d FETCH (" + b" ".join(outer) + b")\r\n"
    groups = tuple(hole for hole in holes if isinstance(hole, Group))
    return Plan(level, template, tuple(holes), tuple(pieces), tuple(columns), tuple(sections), attributes, groups)


_CHEAP = {attribute for attribute, (level, _, _) in _ATTRIBUTES.items() if level is Level.SNAPSHOT}


def _grouped(
    attributes: Sequence[FetchAttribute], pieces: Sequence[bytes], columns: Sequence[Column]
) -> tuple[list[bytes], list[Column | Group]]:
    """The outer template's pieces and what fills them: neighbours that never change are one."""
    outer: list[bytes] = []
    holes: list[Column | Group] = []
    for is_cheap, run in groupby(range(len(pieces)), lambda at: attributes[at] in _CHEAP):
        chosen = list(run)
        if is_cheap:
            outer += [pieces[at] for at in chosen]
            holes += [columns[at] for at in chosen]
        else:
            outer.append(b"%b")
            holes.append(Group(b" ".join([pieces[at] for at in chosen]), tuple(columns[at] for at in chosen)))
    return outer, holes


def _section_column(section: Section) -> Column:
    return lambda batch: batch.octets[section.label]
