"""What a remote's refusal is about, read from its status and words, and how long to wait after it. Pure.

RFC 3463 says less than servers do: greylisting, rate limits and block lists all come as 4.7.1, or without any status at all.
The table is what large and common servers write; what it does not know is `OTHER`, and waits as usual.
"""

from __future__ import annotations

import re
from enum import Enum

from ..model.queue import Outcome


class Cause(Enum):
    """In words for an operator."""

    GREYLISTED = "greylisted"
    RATE_LIMITED = "rate limited"
    BLOCKED = "blocked"
    OVER_QUOTA = "mailbox full"
    BAD_ADDRESS = "no such address"
    POLICY = "refused by policy"
    OTHER = ""


# The first row that fits decides: statuses (without their class) or words. Statuses name what is certain; words are looked for
# where there is none, or one that says little.
_TABLE: tuple[tuple[Cause, tuple[str, ...], str], ...] = (
    (Cause.GREYLISTED, (), r"gr[ea]y[- ]?list|postgrey|temporarily deferred.{0,40}(?:try|retry)|deferred.{0,20}sender is new"),
    (
        Cause.OVER_QUOTA,
        ("2.2",),
        r"over ?quota|quota (?:is )?exceeded|(?:mailbox|inbox|account) (?:is )?full|out of storage space",
    ),
    (
        Cause.RATE_LIMITED,
        ("7.28", "4.5"),
        r"rate[- ]?limit|throttl|too (?:many|much) (?:\w+ ){0,3}(?:messages?|mails?|emails?|connections?|sessions?|recipients)"
        r"|too fast|unusual rate|exceed\w* .{0,40}(?:rate|limit|connections|per (?:hour|minute|day))|slow down",
    ),
    (
        Cause.BLOCKED,
        ("7.606", "7.607", "7.511"),
        r"black ?list|block ?list|deny ?list|dnsbl|\brbl\b|spamhaus|spamcop|barracuda|sorbs|\bblocked\b|\bbanned\b|reputation"
        r"|listed (?:in|at|by|on) |has been blocked|access denied.{0,40}(?:ip|address)",
    ),
    (
        Cause.BAD_ADDRESS,
        ("1.0", "1.1", "1.2", "1.3", "1.6", "1.10"),
        r"(?:user|recipient|mailbox|address|account) (?:is )?"
        r"(?:unknown|not found|does(?: not|n't) exist|invalid|disabled|inactive)"
        r"|(?:unknown|no such|invalid) (?:local )?(?:user|recipient|mailbox|address|account)|user not local",
    ),
    (
        Cause.POLICY,
        ("7.0", "7.1", "7.20", "7.21", "7.22", "7.23", "7.24", "7.25", "7.26", "7.27", "7.29", "7.30", "6.0"),
        r"policy|\bspam\b|\bspf\b|\bdkim\b|\bdmarc\b|not authenticated|content reject",
    ),
)
_RULES = tuple((cause, frozenset(statuses), re.compile(words, re.IGNORECASE)) for cause, statuses, words in _TABLE)
_VAGUE = frozenset({"", "0.0", "7.0", "7.1", "2.0", "3.2", "5.0", "5.1", "1.0"})
"""Statuses that say less than the words beside them."""

_WAIT = re.compile(
    r"(?:try|again|retry|come back|wait|delayed?|deferred|after|within)\D{0,30}?"
    r"(\d{1,5}) ?(seconds?|secs?|s|minutes?|mins?|m|hours?|h)\b",
    re.IGNORECASE,
)
_UNITS = {"s": 1, "m": 60, "h": 3600}
LEAST_S = 5
GREYLIST_S = 300
"""What most greylists want to see."""


def cause_of(status: str, text: str) -> Cause:
    """What a refusal with this RFC 3463 *status* and these words is about."""
    subject = status.partition(".")[2]
    text = text[:500]
    if subject not in _VAGUE:
        for cause, statuses, _ in _RULES:
            if subject in statuses:
                return cause
    for cause, _, words in _RULES:
        if words.search(text):
            return cause
    return next((cause for cause, statuses, _ in _RULES if subject in statuses), Cause.OTHER)


def cause_of_answer(answer: str) -> Cause:
    """The same for an answer as the queue keeps it: status, then words."""
    status, _, text = answer.partition(" ")
    return cause_of(status, text)


def asked_wait(text: str) -> int | None:
    """Seconds that the words ask us to wait, if they name a time."""
    match = _WAIT.search(text[:500])
    return int(match[1]) * _UNITS[match[2][0].lower()] if match else None


def advised_wait(outcome: Outcome, attempts: int, usual: int, longest: int) -> int:
    """Seconds to wait after a temporary refusal; *usual* is what the schedule says after so many *attempts*.

    Only a remote's own words count: after our own trouble (no SMTP code) the schedule holds.
    """
    if not outcome.code:
        return usual
    cause = cause_of(outcome.status, outcome.text)
    if cause in (Cause.GREYLISTED, Cause.RATE_LIMITED):
        asked = asked_wait(outcome.text)
        if asked is not None:
            return max(LEAST_S, min(asked + LEAST_S, longest))
    if cause is Cause.GREYLISTED:
        return min(usual, GREYLIST_S * attempts)
    if cause is Cause.RATE_LIMITED:
        return min(2 * usual, longest)
    if cause in (Cause.OVER_QUOTA, Cause.BLOCKED):
        return min(4 * usual, longest)
    return usual
