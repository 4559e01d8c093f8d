"""What becomes of a message that has many recipients and one answer. Pure.

DATA has one answer for all recipients (RFC 5321 §3.3), so: the message is refused only if every recipient refuses it; in a
mixed result a refusal as spam becomes the junk mailbox, and a refusal by a rule of the recipient becomes a discard. What can
be told at RCPT (unknown, over quota, greylisted) was told there and never comes here.

| every recipient             | answer                   |
|-----------------------------|--------------------------|
| wants it (inbox, junk)      | 250                      |
| refuses it                  | the first refusal; a temporary one if any is temporary |
| mixed, refused as spam      | 250, filed as junk there |
| mixed, refused by a rule    | 250, discarded there     |
| mixed, cannot be filed now  | 250, queued to be filed  |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ..model.errors import Refusal


class Wish(Enum):
    """What is wanted for one recipient, before the others are heard."""

    FILE = "file"
    JUNK = "junk"
    REFUSE_SPAM = "refuse as spam"
    REFUSE_RULE = "refuse by rule"
    DISCARD = "discard"
    LATER = "later"
    """Cannot be filed at the moment."""


class Fate(Enum):
    """What is done for one recipient once the message is accepted."""

    FILE = "file"
    JUNK = "junk"
    DISCARD = "discard"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Opinion:
    wish: Wish
    refusal: Refusal | None = None
    """The words, for REFUSE_SPAM, REFUSE_RULE and LATER."""


_MIXED = {
    Wish.FILE: Fate.FILE,
    Wish.JUNK: Fate.JUNK,
    Wish.REFUSE_SPAM: Fate.JUNK,
    Wish.REFUSE_RULE: Fate.DISCARD,
    Wish.DISCARD: Fate.DISCARD,
    Wish.LATER: Fate.QUEUE,
}
_NO = {Wish.REFUSE_SPAM, Wish.REFUSE_RULE, Wish.LATER}


def decide(opinions: Sequence[Opinion]) -> tuple[Fate, ...]:
    """A fate for each recipient, or raises the Refusal that answers for all of them."""
    refusals = [
        opinion.refusal or Refusal("The message is refused", status="5.7.1") for opinion in opinions if opinion.wish in _NO
    ]
    if opinions and len(refusals) == len(opinions):
        raise next((refusal for refusal in refusals if refusal.is_temporary), refusals[0])
    return tuple(_MIXED[opinion.wish] for opinion in opinions)
