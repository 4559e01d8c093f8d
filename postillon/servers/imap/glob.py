"""Patterns of mailbox names (RFC 9051 §6.3.9), matched in time that grows with the name and not with how often it could be tried.

A regular expression would go back and forth between its wildcards: four of them and a name of 200 letters take seconds.
"""

from __future__ import annotations

import re

MAX_LENGTH = 4096
_WILD = re.compile(r"([*%]+)")


class Glob:
    """`*` stands for anything, `%` for anything but `/`. Raises ValueError for a pattern that is too long."""

    __slots__ = ("_levels", "_literals", "_stars", "_text", "_whole", "_wild")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError("The pattern is too long")
        # Each place in the pattern is a bit; those that are set are where the name read so far may have got to.
        self._literals: dict[str, int] = {}
        self._stars = self._levels = 0
        self._text = text if _WILD.search(text) is None else None
        place = 1
        for piece in _WILD.split(text):
            if piece[:1] in ("*", "%"):
                if "*" in piece:
                    self._stars |= place
                else:
                    self._levels |= place
                place <<= 1
                continue
            for char in piece:
                self._literals[char] = self._literals.get(char, 0) | place
                place <<= 1
        self._wild = self._stars | self._levels
        self._whole = place

    def matches(self, name: str) -> bool:
        if self._text is not None:
            return name == self._text
        literals, stars, wild = self._literals, self._stars, self._wild
        # Wildcards never stand side by side, so what may stand for nothing is stepped over once.
        at = 1 | (1 & wild) << 1
        if at == self._whole | stars:  # `*` alone, which most ask for
            return True
        for char in name:
            stays = at & (stars if char == "/" else wild)
            at = (at & literals.get(char, 0)) << 1 | stays
            if not at:
                return False
            at |= (at & wild) << 1
        return bool(at & self._whole)
