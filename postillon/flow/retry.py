"""When to try again (RFC 5321 §4.5.4.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds. The RFC wants at least 30 minutes between tries, and four to five days of them."""

    first_wait_s: int = 30 * 60
    longest_wait_s: int = 4 * 3600
    give_up_s: int = 5 * 86400
    """After this long a message expires: whoever enqueues adds it to the moment of acceptance."""


def next_try(attempts: int, expires: int, now: int, schedule: RetrySchedule | None = None) -> int | None:
    """When to try a deferred recipient again, or None once it is time to give up.

    *attempts* counts those made, from 1. Times are epoch seconds, UTC. The wait doubles with each attempt up to the longest;
    a try that would come after *expires* is not made.
    """
    schedule = schedule or RetrySchedule()
    # An exponent beyond 30 has long passed the longest wait; it only makes large numbers.
    at = now + min(schedule.first_wait_s * 2 ** min(max(attempts - 1, 0), 30), schedule.longest_wait_s)
    return at if at <= expires else None
