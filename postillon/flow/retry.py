"""When to try again (RFC 5321 §4.5.4.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds. The RFC wants at least 30 minutes between tries. When a message expires stands with it in the queue."""

    first_wait_s: int = 30 * 60
    longest_wait_s: int = 4 * 3600
    delay_report_s: int = 4 * 3600
    """After this long the sender hears, once, that a recipient has not been reached; 0: never."""


def next_try(attempts: int, expires: int, now: int, schedule: RetrySchedule | None = None) -> int | None:
    """When to try a deferred recipient again, or None once it is time to give up.

    *attempts* counts those made, from 1. Times are epoch seconds, UTC. The wait doubles with each attempt up to the longest;
    a try that would come after *expires* is not made.
    """
    at = now + usual_wait(attempts, schedule or RetrySchedule())
    return at if at <= expires else None


def usual_wait(attempts: int, schedule: RetrySchedule) -> int:
    """Seconds to wait after so many attempts."""
    # An exponent beyond 30 has long passed the longest wait; it only makes large numbers.
    doublings = min(max(attempts - 1, 0), 30)
    return min(schedule.first_wait_s << doublings, schedule.longest_wait_s)


def is_late(made_at: int, now: int, schedule: RetrySchedule) -> bool:
    """Is it time to tell the sender that the message has not arrived yet?"""
    return 0 < schedule.delay_report_s <= now - made_at


def try_to_report(again: int, made_at: int, now: int, schedule: RetrySchedule) -> int:
    """*again*, the next try, or earlier: the attempt after which the sender is told of the delay comes when that is due."""
    at = made_at + schedule.delay_report_s
    return at if schedule.delay_report_s and now < at < again else again


def waits(schedule: RetrySchedule) -> list[int]:
    """`usual_wait` by the attempts made before the one that failed, from 0; the last one holds for all beyond."""
    found = [usual_wait(1, schedule)]
    while found[-1] < schedule.longest_wait_s and len(found) < 30:
        found.append(usual_wait(len(found) + 1, schedule))
    return found
