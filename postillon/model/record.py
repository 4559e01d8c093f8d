"""What is written down about a message's way: one record for each stage, kept for a time, shown by `postillon trace`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .address import Address, AddressError
from .ids import BlobId


class Stage(StrEnum):
    """A stage of a message's way. The words are stored; whoever adds one adds its sentence to `admin.story`."""

    REFUSED = "refused"
    """In the dialogue, for good or for the moment: its facts have the command and the status."""
    GREYLISTED = "greylisted"
    BANNED = "banned"
    """A peer collected offences and is refused at accept for a time."""
    ACCEPTED = "accepted"
    REPEATED = "repeated"
    """The same message came again, since our answer had been lost; nothing was done again."""
    JUDGED = "judged"
    """What mail authentication and the filters found, and what was decided."""
    FILED = "filed"
    QUEUED = "queued"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"
    REPORTED = "reported"
    """Its sender was told; `report` names the message that tells it."""
    WITHHELD = "withheld"
    """Its sender was not told, and why."""
    QUARANTINED = "quarantined"
    """Kept from its recipients; `hold` names the entry."""
    HELD = "held"
    RELEASED = "released"
    REROUTED = "rerouted"
    RESCHEDULED = "rescheduled"
    DROPPED = "dropped"


Facts = Mapping[str, Any]
"""By word: text, integers, booleans, and lists and maps of those."""


@dataclass(frozen=True, slots=True)
class Record:
    stage: Stage
    at: int
    """Epoch seconds."""
    facts: Facts = field(default_factory=dict)
    """`account` and `mailbox` are ids, named when they are shown; `queue` and `report` are ids as text.

    A message is found by `message_id`, `sender`, `recipients` and `queue` of its records; what was refused or greylisted also
    by `peer` and `session`.
    """


@dataclass(frozen=True, slots=True)
class Traced:
    """A message's records, in order of time."""

    trail: BlobId
    """The message's id, as its answer and the log tell it; of a refusal, an id of its own."""
    records: tuple[Record, ...]


def name_of(text: str) -> str:
    """The form in which *text*, a Message-ID, an address or an id, is remembered and looked for."""
    if text.isascii():
        return text.strip(" <>").lower()
    name = unicodedata.normalize("NFC", text.strip().strip("<>")).casefold()
    if "@" not in name:
        return name
    try:
        return Address.parse(name).key
    except AddressError:
        return name
