"""So many messages a minute and no more: a bucket that fills steadily. Pure; times are the loop's."""

from __future__ import annotations

BURST_S = 10
"""So many seconds' worth may go at once after a pause, and always one."""


class Pace:
    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate * BURST_S)
        self._left = self._most
        self._at: float | None = None

    def take(self, now: float) -> float:
        """0: one may go, and is counted. Else nothing is counted, and one may go in so many seconds."""
        if self._at is not None:
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left > 1 - 1e-9:
            self._left -= 1
            return 0
        return (1 - self._left) / self._rate

    def is_rested(self, now: float) -> bool:
        """Whether it is as if nothing had ever gone."""
        return self._at is None or self._left + (now - self._at) * self._rate >= self._most


class Backlog:
    """Those who were sent away by a pace, so that not all of them come again at the same moment."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._waiting = 0.0
        self._at: float | None = None

    def place(self, wait_s: float, now: float) -> float:
        """When one more, who would have to wait *wait_s* if he were alone, had better come again, in seconds."""
        if self._at is not None:
            self._waiting = max(0.0, self._waiting - (now - self._at) * self._rate)
        self._at = now
        place_s = wait_s + self._waiting / self._rate
        self._waiting += 1
        return place_s
