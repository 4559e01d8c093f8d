"""How many attempts a destination gets at once: carefully at first, more while it goes well, less as soon as it does not.

And when nobody has answered several times in a row, a rest, in which what comes due is put off with the last trouble's words
instead of waiting for another time-out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from ..model.queue import Outcome, OutcomeKind, QueueEntry
from ..relay.outcome import is_trouble
from ..relay.pace import Pace
from ..relay.replies import Cause, cause_of

MAX_NAMES = 50
Group = list[QueueEntry]
"""Entries that make one attempt."""


@dataclass(frozen=True, slots=True)
class ConcurrencySettings:
    start: int = 2
    most: int = 20
    troubles_before_rest: int = 3
    rest_s: float = 60


@dataclass(slots=True)
class Destination:
    """One next hop, as far as this worker is concerned."""

    settings: ConcurrencySettings
    limit: float = 0
    running: int = 0
    waiting: deque[Group] = field(default_factory=deque)
    """Leased, and next in line."""
    names: set[str] = field(default_factory=set)
    """Destinations of the queue that lead there, as far as seen; at most MAX_NAMES."""
    has_more: bool = False
    """It was passed over in the last lease: there may be more due."""
    troubles: int = 0
    """Attempts in a row in which the hop itself was the trouble."""
    trouble: Outcome | None = None
    rests_until: float = 0
    """Loop time."""
    put_off_next: float = 0
    """Loop time at which what is due while it rests may be deferred again."""
    has_to_put_off: bool = False
    """The last time there was something to defer."""
    pace: Pace | None = None
    """How many messages a minute it gets; None: as many as it takes."""
    timer: asyncio.TimerHandle | None = None
    """Set while what waits does so for its pace."""

    def __post_init__(self) -> None:
        self.limit = self.limit or self.settings.start

    @property
    def has_room(self) -> bool:
        return self.running < int(self.limit)

    @property
    def is_full(self) -> bool:
        """It has as much in line as it can run in the next round: lease no more of it."""
        return len(self.waiting) >= int(self.limit)

    def is_idle(self, at: float) -> bool:
        """Nothing worth remembering is known about it."""
        is_rested = self.pace is None or self.pace.is_rested(at)
        return not self.running and not self.waiting and self.rests_until <= at and is_rested

    def resting(self, at: float) -> Outcome | None:
        """While it rests: what an attempt made now would end in."""
        return self.trouble if self.rests_until > at else None

    def seen(self, name: str) -> None:
        if len(self.names) < MAX_NAMES:
            self.names.add(name)

    def ended(self, outcomes: list[Outcome], at: float) -> None:
        """An attempt ended at loop time *at*."""
        settings = self.settings
        trouble = next((outcome for outcome in outcomes if is_trouble(outcome)), None)
        if trouble is None:
            self.troubles, self.rests_until = 0, 0
            if any(_is_slow_down(outcome) for outcome in outcomes):
                self.limit = max(1, self.limit / 2)
            elif any(outcome.kind is OutcomeKind.DELIVERED for outcome in outcomes):
                # One more when all that run at once have succeeded.
                self.limit = min(settings.most, self.limit + 1 / self.limit)
            return
        self.troubles += 1
        self.trouble = trouble
        self.limit = max(1, self.limit / 2)
        if self.troubles >= settings.troubles_before_rest:
            self.rests_until = at + settings.rest_s


def _is_slow_down(outcome: Outcome) -> bool:
    """They want less from us at a time."""
    return outcome.code >= 400 and cause_of(outcome.status, outcome.text) is Cause.RATE_LIMITED
