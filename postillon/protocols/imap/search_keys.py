"""What SEARCH looks for: a small tree of values (RFC 3501 §6.4.4, RFC 9051 §6.4.4, RFC 5032, 6203, 7162, 8474, 8514)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import Enum

from .sequence import SavedResult, SequenceSet


class SearchKey:
    """The base of all keys."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class All(SearchKey):
    """Every message."""


@dataclass(frozen=True, slots=True)
class And(SearchKey):
    keys: tuple[SearchKey, ...]
    """At least two; never an And directly inside an And."""


@dataclass(frozen=True, slots=True)
class Or(SearchKey):
    left: SearchKey
    right: SearchKey


@dataclass(frozen=True, slots=True)
class Not(SearchKey):
    key: SearchKey


@dataclass(frozen=True, slots=True)
class Fuzzy(SearchKey):
    """RFC 6203: *key* may match loosely."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class HasFlag(SearchKey):
    """ANSWERED, UNSEEN, KEYWORD x …: whether *flag* is on (or, with *on* False, off)."""

    flag: bytes
    """`\\Seen` in model.mail's spelling, or a keyword as written (compare without case)."""
    on: bool = True


@dataclass(frozen=True, slots=True)
class Recent(SearchKey):
    """RECENT; OLD with *on* False; NEW is And((Recent(), HasFlag(\\Seen, False)))."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class Header(SearchKey):
    """FROM, TO, CC, BCC, SUBJECT and HEADER: a field contains *text*; empty *text*: the field exists."""

    field: bytes
    """Lower case."""
    text: str


@dataclass(frozen=True, slots=True)
class Body(SearchKey):
    text: str


@dataclass(frozen=True, slots=True)
class Text(SearchKey):
    """Header or body."""

    text: str


class Moment(Enum):
    """Which date of a message."""

    RECEIVED = "received"
    """INTERNALDATE: BEFORE ON SINCE."""
    SENT = "sent"
    """The Date field, without regard to time and zone: SENTBEFORE SENTON SENTSINCE."""
    SAVED = "saved"
    """SAVEDATE (RFC 8514)."""


class Side(Enum):
    BEFORE = "before"
    ON = "on"
    SINCE = "since"
    """On that day or later."""


@dataclass(frozen=True, slots=True)
class Dated(SearchKey):
    moment: Moment
    side: Side
    day: datetime.date


@dataclass(frozen=True, slots=True)
class SaveDateSupported(SearchKey):
    """RFC 8514 §4.3."""


@dataclass(frozen=True, slots=True)
class Larger(SearchKey):
    """More octets than *size* (RFC822.SIZE)."""

    size: int


@dataclass(frozen=True, slots=True)
class Smaller(SearchKey):
    size: int


@dataclass(frozen=True, slots=True)
class Younger(SearchKey):
    """INTERNALDATE within the last *seconds* (RFC 5032 §3)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Older(SearchKey):
    """INTERNALDATE *seconds* ago or longer."""

    seconds: int


@dataclass(frozen=True, slots=True)
class ModSeqFrom(SearchKey):
    """MODSEQ: mod-sequence of *modseq* or above (RFC 7162 §3.1.5). The entry names are of no effect for us but kept."""

    modseq: int
    entry: bytes = b""
    scope: bytes = b""
    """`priv`, `shared`, `all` or empty."""


@dataclass(frozen=True, slots=True)
class HasEmailId(SearchKey):
    id: bytes


@dataclass(frozen=True, slots=True)
class HasThreadId(SearchKey):
    id: bytes


@dataclass(frozen=True, slots=True)
class Uids(SearchKey):
    numbers: SequenceSet | SavedResult


@dataclass(frozen=True, slots=True)
class Numbers(SearchKey):
    """Message sequence numbers; `$` too, which means messages and not numbers."""

    numbers: SequenceSet | SavedResult
