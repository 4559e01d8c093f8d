"""The same signed message again and again: somebody sends copies of one genuine message to many (DKIM replay).

Each copy passes DKIM, so only their number tells. Counted in memory by each worker, for an hour, by the signature itself.
"""

from __future__ import annotations

from collections.abc import Callable

from ..mailauth.result import Result
from ..model.verdict import NO_OPINION, Opinion, finding
from .examined import Examined

WINDOW_S = 3600.0
MOST = 20_000
"""Signatures that are counted at the same time; when there are more, counting begins anew."""
STEPS = ((1000, 5.0), (200, 3.0), (50, 1.5))
"""From so many copies on, this score; half of it for mail of a list."""


class Repeats:
    name = "repeats"
    is_local = True

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._counts: dict[tuple[str, str], int] = {}

    async def examine(self, examined: Examined) -> Opinion:
        verdict = examined.verdict
        signed = [one for one in verdict.dkim if one.result is Result.PASS and one.octets] if verdict else []
        now = self._monotonic()
        if now - self._began > WINDOW_S or len(self._counts) > MOST:
            self._counts, self._began = {}, now
        most, domain = 0, ""
        for one in signed:
            key = (one.domain, one.octets)
            count = self._counts[key] = self._counts.get(key, 0) + len(examined.incoming.accepted)
            if count > most:
                most, domain = count, one.domain
        score = next((score for least, score in STEPS if most >= least), 0.0)
        if not score or _is_addressed(examined):
            return NO_OPINION
        if examined.content.named(b"list-id"):
            score /= 2
        return Opinion((finding("repeats.signature", score, count=most, domain=domain),))


def _is_addressed(examined: Examined) -> bool:
    """A recipient stands in To or Cc, as in a message that was written to him."""
    header = b" ".join(value for name in (b"to", b"cc") for value in examined.field_values(name)).lower()
    return any(str(one.recipient.address).lower().encode() in header for one in examined.incoming.accepted)
