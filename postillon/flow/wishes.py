"""What a sender wishes about time and rank, and what follows for the queue. Pure.

FUTURERELEASE (RFC 4865), DELIVERBY (RFC 2852), MT-PRIORITY (RFC 6710, RFC 6758), NO-SOLICITING (RFC 3865).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from ..message.header import first, values
from ..model.envelope import Envelope
from ..model.errors import NotPermitted, Refusal
from ..model.queue import Outcome, QueueEntry
from ..relay.outcome import failed
from .retry import RetrySchedule

AHEAD_S = 3600
"""A message goes before those of the rank below that came up to so many seconds earlier, so none waits for ever."""
BEHIND_S = 1
"""So many seconds for each rank below 0 a message waits for others to come."""
_RANK = re.compile(rb"[+-]?[0-9]")


def due(envelope: Envelope, now: int) -> int:
    """When a message that is accepted at *now* is tried first; its place in the line of its destination, too."""
    release = envelope.release_at(now)
    if release > now:
        return release
    return now - envelope.priority * (AHEAD_S if envelope.priority > 0 else BEHIND_S)


def expires(envelope: Envelope, now: int, lifetime_s: int) -> int:
    """When it is given up. The lifetime counts from its release; RFC 2852's time from the acceptance."""
    at = envelope.release_at(now) + lifetime_s
    by = envelope.deliver_by
    return min(at, now + by.seconds) if by is not None and by.returns else at


def check_hold(envelope: Envelope, longest_s: int, now: int) -> None:
    """Raises Refusal for a message that is to be held too long, or in two ways (RFC 4865 §5)."""
    if envelope.hold_for and envelope.hold_until:
        raise Refusal("Give HOLDFOR or HOLDUNTIL, not both", status="5.5.4", code=501)
    if envelope.release_at(now) > now + longest_s:
        raise Refusal(f"Messages are held for {longest_s} seconds at most", status="5.5.4", code=501)


def is_held(envelope: Envelope, now: int) -> bool:
    return envelope.release_at(now) > now


def schedule_of(entry: QueueEntry, schedule: RetrySchedule) -> RetrySchedule:
    """*schedule*, with the report of a delay when the sender's time is over (RFC 2852 §4, mode N)."""
    by = entry.envelope.deliver_by
    if by is None or by.returns:
        return schedule
    return replace(schedule, delay_report_s=max(1, by.seconds))


def too_late(entry: QueueEntry, now: int) -> Outcome | None:
    """The outcome if the time is over in which it had to be delivered (RFC 2852 §4, mode R)."""
    by = entry.envelope.deliver_by
    if by is None or not by.returns or now < entry.made_at + by.seconds:
        return None
    last = f"; the last answer was: {entry.last_answer}" if entry.last_answer else ""
    return failed("5.4.7", f"it could not be delivered within the {by.seconds} seconds that its sender gave{last}")


def handed_on(envelope: Envelope, made_at: int, now: int) -> Envelope:
    """As it goes to the next hop: of the time to deliver, what is left (RFC 2852 §5)."""
    by = envelope.deliver_by
    if by is None:
        return envelope
    return replace(envelope, deliver_by=replace(by, seconds=max(by.seconds - (now - made_at), -999_999_999)))


def ranked(envelope: Envelope, header: bytes) -> Envelope:
    """*envelope* with the priority that the header tells, where the client could not (RFC 6758 §3)."""
    if envelope.priority or b"mt-priority" not in header.lower():
        return envelope
    value = (first(header, b"mt-priority") or b"").strip()
    return replace(envelope, priority=int(value)) if _RANK.fullmatch(value) else envelope


def check_solicitation(header: bytes, refused: Collection[str]) -> None:
    """Raises NotPermitted for a message that says of itself what we do not take (RFC 3865 §2.6). *refused*: in lower case."""
    if not refused or b"solicitation" not in header.lower():
        return
    words = b",".join(values(header).get(b"solicitation", [])).decode("latin-1").lower()
    if not {word.strip() for word in words.split(",")}.isdisjoint(refused):
        raise NotPermitted("Solicitations of that kind are not taken here", status="5.7.1")
