"""Identifiers made here: time, worker and a counter, so that no database sequence is needed and rows arrive in order."""

from __future__ import annotations

import secrets
import time

_EPOCH_MS = 1_735_689_600_000  # 2025-01-01: 41 bits of milliseconds last until 2094


class IdSource:
    """63-bit ids: 41 bits of milliseconds, 10 bits of worker, 12 bits of counter. Ascending within a worker."""

    def __init__(self, worker: int = 0) -> None:
        self._worker = (worker & 0x3FF) << 12
        self._last = 0

    def next(self) -> int:
        at = (int(time.time() * 1000) - _EPOCH_MS) << 22 | self._worker
        # Within one millisecond (or when the clock steps back) we count on from the last id.
        self._last = at if at > self._last else self._step()
        return self._last

    def _step(self) -> int:
        following = self._last + 1
        if following & 0xFFF == 0:  # the counter is used up: borrow the next millisecond
            following = ((self._last >> 22) + 1) << 22 | self._worker
        return following

    @staticmethod
    def session() -> str:
        """An id for a connection in the log: 12 letters and digits."""
        return secrets.token_hex(6)


def second_of(made: int) -> int:
    """When an id was made, epoch seconds."""
    return ((made >> 22) + _EPOCH_MS) // 1000


def first_id_at(second: int) -> int:
    """No id that was made before *second* is as high as this; 0 for times before there were any."""
    return max(second * 1000 - _EPOCH_MS, 0) << 22
