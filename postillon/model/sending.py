"""What an account may send, what it has sent, and what is usual for it."""

from __future__ import annotations

from dataclasses import dataclass

from .ids import AccountId


@dataclass(frozen=True, slots=True)
class SendingLimits:
    """How much an account may send within the last hour and the last 24 hours; 0: as much as it likes.

    A first-time recipient is an address to which the account has not written before: many of them at once are the sign of a
    stolen password.
    """

    messages_per_hour: int = 300
    messages_per_day: int = 1500
    recipients_per_hour: int = 600
    recipients_per_day: int = 3000
    first_time_per_hour: int = 150
    first_time_per_day: int = 500


NO_LIMITS = SendingLimits(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Sent:
    """Counts of a span of time."""

    messages: int = 0
    recipients: int = 0
    first_time: int = 0

    def __add__(self, other: Sent) -> Sent:
        return Sent(self.messages + other.messages, self.recipients + other.recipients, self.first_time + other.first_time)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account has sent within the last hour and the last 24 hours, this message included where there is one."""

    hour: Sent = Sent()
    day: Sent = Sent()

    def of(self, name: str) -> int:
        """The count that the limit *name* (a field of SendingLimits) is about."""
        what, _, span = name.partition("_per_")
        found: int = getattr(self.hour if span == "hour" else self.day, what)
        return found


@dataclass(frozen=True, slots=True)
class Charge:
    """A submission as it is counted, in the transaction that accepts it."""

    account: AccountId
    recipients: tuple[int, ...]
    """Hashes of the recipients' addresses (see `storage.store.sending.recipient_hash`)."""
    limits: SendingLimits
    network: bytes = b""
    """From where: the client's network; empty for mail of this machine."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an account has done in the weeks before, as far as it is remembered."""

    active_days: int = 0
    """Days on which it sent something."""
    busiest_hour: int = 0
    """Recipients in the hour with the most of them."""
    sent: Sent = Sent()
    hours: frozenset[int] = frozenset()
    """Hours of the day (UTC) in which it sent something."""
    networks: frozenset[bytes] = frozenset()
