"""What we think of a message (`Verdict`) before we decide what to do with it (`plan.Plan`)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Refusal


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sum of all checks. *refusal* is set when the message must be refused for everybody."""

    refusal: Refusal | None = None
    junk: bool = False
    findings: tuple[str, ...] = ()
    """One sentence each, for the record."""
    headers: bytes = b""
    """Header fields to add in front, each with CRLF (Authentication-Results and the like)."""
