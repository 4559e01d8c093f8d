"""Whether what an account sends is like it: rate, share of strangers, network and hour of the day. Pure.

One sign alone is no proof: people travel, work at night and write invitations. Of several together somebody has to judge.
"""

from __future__ import annotations

from ..model.ip import ip_of
from ..model.sending import Profile, Usage

LEAST_DAYS, LEAST_MESSAGES = 7, 30
"""Without so much to compare with nothing is said."""
LEAST_RECIPIENTS, TIMES_BUSIEST = 30, 5
LEAST_STRANGERS, STRANGERS_NOW, STRANGERS_BEFORE = 20, 0.8, 0.4
FIRST_LOOK = 10
"""Recipients within an hour at which an account is looked at, and again at twice as many, and so on."""


def is_due(usage: Usage, added: int) -> bool:
    """Whether the *added* recipients of this message took the hour's count past one of the points at which it is looked at."""
    before, after = usage.hour.recipients - added, usage.hour.recipients
    return after >= FIRST_LOOK and (after // FIRST_LOOK).bit_length() > (max(before, 0) // FIRST_LOOK).bit_length()


def signs(profile: Profile, usage: Usage, network: bytes, hour: int) -> list[str]:
    """What is unlike the account, as stable words; empty unless it is enough to hold its mail. *hour*: of the day, UTC."""
    if profile.active_days < LEAST_DAYS or profile.sent.messages < LEAST_MESSAGES:
        return []
    found: dict[str, int] = {}
    if usage.hour.recipients > max(LEAST_RECIPIENTS, TIMES_BUSIEST * profile.busiest_hour):
        found["rate"] = 2
    now = usage.hour.first_time / max(usage.hour.recipients, 1)
    before = profile.sent.first_time / max(profile.sent.recipients, 1)
    if usage.hour.first_time >= LEAST_STRANGERS and now >= STRANGERS_NOW and before <= STRANGERS_BEFORE:
        found["strangers"] = 2
    if network and network not in profile.networks:
        found["network"] = 1
    if hour not in profile.hours:
        found["hour"] = 1
    return list(found) if sum(found.values()) >= 3 else []


def network_of(address: str) -> bytes:
    """The wider network of a client, by which it is recognised: /16 of IPv4, /32 of IPv6. Empty for this machine's own."""
    try:
        ip = ip_of(address)
    except ValueError:
        return b""
    if ip.is_loopback:
        return b""
    return ip.packed[: 2 if ip.version == 4 else 4]
