"""Flag words as text: `(\\Seen $Forwarded)`, with an account's names for the keyword bits, made once for each word."""

from __future__ import annotations

from collections.abc import Iterable

from ...model.mail import FIRST_KEYWORD_BIT, LAST_KEYWORD_BIT, SYSTEM_FLAGS

_SYSTEM_MASK = (1 << FIRST_KEYWORD_BIT) - 1
_TEXTS_BOUND = 20_000

SPELLED = {flag.lower(): flag for flag in SYSTEM_FLAGS}
"""System flags by their lower case."""


class Keywords:
    """The keywords of one account on this worker. Shared by its sessions; `learn` brings in names that others made."""

    __slots__ = ("_bits", "_known", "_texts", "names")

    def __init__(self) -> None:
        self.names: dict[int, bytes] = {}
        """bit -> name."""
        self._bits: dict[bytes, int] = {}
        self._known = _SYSTEM_MASK
        self._texts: dict[int, bytes] = {}

    def learn(self, names: dict[int, bytes]) -> None:
        """All names as the store has them now."""
        if names == self.names:
            return
        self.names = dict(sorted(names.items()))
        self._bits = {name.lower(): 1 << bit for bit, name in names.items() if bit <= LAST_KEYWORD_BIT}
        self._known = _SYSTEM_MASK | sum(self._bits.values())
        self._texts.clear()

    def know(self, words: Iterable[int]) -> bool:
        """Whether every bit in *words* has a name."""
        known = self._known
        return all(word | known == known for word in words)

    def mask(self, flag: bytes) -> int:
        """The bit of a system flag or keyword, whatever its case; 0 if nobody ever set such a keyword."""
        spelled = SPELLED.get(flag.lower())
        return SYSTEM_FLAGS[spelled] if spelled is not None else self._bits.get(flag.lower(), 0)

    def text(self, word: int) -> bytes:
        """The parenthesised flag list, ready to send."""
        text = self._texts.get(word)
        if text is None:
            if len(self._texts) >= _TEXTS_BOUND:
                self._texts.clear()
            flags = [flag for flag, bit in SYSTEM_FLAGS.items() if word & bit]
            flags += [name for bit, name in self.names.items() if word >> bit & 1]
            text = self._texts[word] = b"(" + b" ".join(flags) + b")"
        return text

    def all_flags(self) -> list[bytes]:
        """For `* FLAGS`: the system flags and every keyword of the account."""
        return [*SYSTEM_FLAGS, *self.names.values()]
