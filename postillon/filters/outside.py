"""What the filters that other programs are have in common: an address, a time limit, and what happens when they are down."""

from __future__ import annotations

import asyncio
from enum import Enum

from ..log import Log
from ..model.errors import Refusal, Unavailable
from ..model.verdict import NO_OPINION, Opinion, finding

log = Log("filter")

REST_S = 10.0
"""A program that did not answer in time is left alone for so long: not every message waits for it again."""


class WhenDown(Enum):
    """What becomes of mail while the program gives no answer."""

    CONTINUE = "continue"
    """The message goes on, with a finding."""
    TEMPFAIL = "tempfail"
    REFUSE = "refuse"
    QUARANTINE = "quarantine"


class Health:
    """Whether one program answers, seen from this worker."""

    def __init__(self, name: str, when_down: WhenDown) -> None:
        self.name = name
        self.when_down = when_down
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """It failed a moment ago; do not ask it now."""
        return self._rests_until > asyncio.get_running_loop().time()

    def failed(self, error: BaseException) -> None:
        """It gave no answer, or none that can be understood."""
        is_late = isinstance(error, TimeoutError)
        self._rests_until = asyncio.get_running_loop().time() + REST_S
        log.warning(
            "filter is down", filter=self.name, reason="no answer in time" if is_late else str(error) or type(error).__name__
        )

    def answered(self) -> None:
        self._rests_until = 0.0

    def refusal(self) -> Refusal | None:
        """How the client hears of it, if that is wanted."""
        if self.when_down is WhenDown.TEMPFAIL:
            return Unavailable("A check of the message is not available now; try again later", status="4.7.1", detail=self.name)
        if self.when_down is WhenDown.REFUSE:
            return Refusal("A check of the message is not available", status="5.7.1", detail=self.name)
        return None

    def opinion(self) -> Opinion:
        """On a message that it could not look at."""
        return Opinion(
            (finding("filter.down", name=self.name),),
            refusal=self.refusal(),
            quarantine=self.when_down is WhenDown.QUARANTINE,
        )


__all__ = ["NO_OPINION", "REST_S", "Health", "WhenDown", "log"]
