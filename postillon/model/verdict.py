"""What filters say about a message: findings with scores, and what they want done. Values only; `flow` decides.

A *finding* is one piece of evidence, named by a code that never changes its meaning (`dnsbl.listed`); its sentences are in
`filters/words.py`. A filter's *opinion* is its findings and, where scores do not say it, a wish.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Refusal
from .ids import AccountId

MAX_FACT = 200
"""Characters of a fact that are kept."""


@dataclass(frozen=True, slots=True)
class Finding:
    """*score* above 0 speaks against the message, below 0 for it; 0 only tells. *facts* fill the sentence: (name, text)."""

    code: str
    score: float = 0.0
    facts: tuple[tuple[str, str], ...] = ()

    def fact(self, name: str) -> str:
        """The text of a fact, or empty."""
        return next((text for key, text in self.facts if key == name), "")


def finding(code: str, score: float = 0.0, **facts: object) -> Finding:
    """A `Finding` with its facts by name, cut to MAX_FACT characters."""
    return Finding(code, score, tuple((name, str(value)[:MAX_FACT]) for name, value in facts.items()))


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """One change of the header, as milters make them. *nth* counts fields of that *name* from 1.

    With *value* None the nth field is removed; with *nth* 0 a field is added, at *at* (0 is above all others, None below all).
    """

    name: bytes
    value: bytes | None
    nth: int = 0
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes to what is filed and handed on. The octets received are kept; edits make another rope over them."""

    fields: tuple[FieldEdit, ...] = ()
    """Applied in this order."""
    body: bytes | None = None
    sender: str | None = None
    """The new envelope sender; empty is the null sender, None: unchanged."""
    added: tuple[str, ...] = ()
    """Recipients, addresses as text."""
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one filter says. Any of it may be empty; an empty opinion is `NO_OPINION`."""

    findings: tuple[Finding, ...] = ()
    refusal: Refusal | None = None
    """Refuse the message with these words, whatever the scores are."""
    junk: bool = False
    """File it as junk, whatever the scores are."""
    quarantine: bool = False
    """Keep it from its recipients until somebody releases it."""
    edits: Edits | None = None
    personal: tuple[tuple[AccountId, tuple[Finding, ...]], ...] = ()
    """Findings that hold for one account only: what it has learned, whom it knows, whom it has listed."""
    stated: tuple[tuple[AccountId | None, Opinion], ...] = ()
    """For these accounts the wishes (refusal, junk, quarantine) are those of another opinion; None: for addresses elsewhere."""


NO_OPINION = Opinion()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores from which something happens to a message."""

    tag: float = 3.0
    """The reasons are told in the header."""
    junk: float = 6.0
    """It is filed in the junk mailbox."""
    refuse: float = 15.0
    """It is refused in the dialogue."""
