"""How long we wait for a client, and how many mistakes we forgive. Plain arithmetic; whoever asks brings the time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PatienceSettings:
    """Times in seconds. RFC 5321 §4.5.3.2.7 wants 5 minutes at least between commands."""

    command_timeout_s: float = 300
    """For a whole command, not for its next octet."""
    data_timeout_s: float = 600
    """Without an octet of a message."""
    data_rate: int = 1024
    """Octets a second that a message must bring, once *data_rate_after_s* have passed."""
    data_rate_after_s: float = 60
    transaction_timeout_s: float = 3600
    """From MAIL to the end of the message."""
    soft_errors: int = 10
    """From here on answers come late: by *slow_down_s*, and twice as late with each further error."""
    hard_errors: int = 20
    """Here the connection ends. A message that was taken forgives all."""
    junk_commands: int = 100
    """NOOP, RSET and the like without a message between; each one more is an error."""
    slow_down_s: float = 1
    slowest_s: float = 8
    """The most that an answer comes late."""


class Patience:
    """What one client has used up. Times are seconds on any clock that only goes forward."""

    __slots__ = ("_command", "_content", "_junk", "_octets", "_settings", "_transaction", "errors")

    def __init__(self, settings: PatienceSettings) -> None:
        self._settings = settings
        self._command: float | None = None
        self._content: float | None = None
        self._transaction = math.inf
        self._octets = 0
        self._junk = 0
        self.errors = 0

    def wait(self, now: float, in_message: bool) -> float:
        """How long to wait for the next octets; 0 or less: no longer."""
        settings = self._settings
        if not in_message:
            self._content = None
            if self._command is None:
                self._command = now
            left = self._command + settings.command_timeout_s - now
        else:
            if self._content is None:
                self._content, self._octets = now, 0
            due = max(settings.data_rate_after_s, self._octets / settings.data_rate)
            left = min(settings.data_timeout_s, self._content + due - now)
        return min(left, self._transaction - now)

    def received(self, octets: int) -> None:
        """After a wait that was worth it."""
        self._octets += octets

    def answered(self) -> None:
        """A command was complete: the next one has its own time, from the next wait on."""
        self._command = None

    def transaction_begun(self, now: float) -> None:
        self._transaction = now + self._settings.transaction_timeout_s

    def transaction_over(self) -> None:
        self._transaction = math.inf
        self._content = None

    def forgive(self) -> None:
        """A message was taken."""
        self.errors = self._junk = 0

    def junk(self) -> None:
        """A command that moves no mail."""
        self._junk += 1
        if self._junk > self._settings.junk_commands:
            self.errors += 1

    @property
    def is_over(self) -> bool:
        return self.errors >= self._settings.hard_errors

    @property
    def delay(self) -> float:
        """Seconds to wait before the next answers go out."""
        settings = self._settings
        late = self.errors - settings.soft_errors
        return 0 if late < 0 else float(min(settings.slow_down_s * 2 ** min(late, 10), settings.slowest_s))
