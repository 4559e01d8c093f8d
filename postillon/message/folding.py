"""How text is compared in searches and sorts: without case, without compatibility variants, marks after their letters."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """*text* as RFC 5051 compares it: no case, no compatibility variants, marks after their letters."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", text.casefold())


def needle_of(text: str) -> str:
    """What a search looks for, folded. Text parts have LF, unfolded headers no line ends at all."""
    return fold(text.replace("\r\n", "\n"))
