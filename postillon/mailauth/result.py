"""The words for what a check found (RFC 8601 §2.7), shared by all of them."""

from __future__ import annotations

from enum import StrEnum


class Result(StrEnum):
    """Each method uses some of these; the text is what stands in Authentication-Results."""

    NONE = "none"
    """Nothing there to check."""
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    POLICY = "policy"
    """It verified, and we do not accept it all the same (weak key, part of the body unsigned)."""
    TEMPERROR = "temperror"
    PERMERROR = "permerror"
