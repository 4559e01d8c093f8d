"""The parts of FETCH answers that never change (envelopes, structures, header fields), kept as they were sent: programs ask for
the same of the same messages each time they start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .snapshots import Key

_OVERHEAD = 100
"""Octets that keeping one value costs besides it."""


@dataclass(slots=True)
class _Kept:
    values: dict[int, bytes] = field(default_factory=dict)
    """By uid."""
    size: int = 0


class AnswerCache:
    """Of one worker: at most *limit* octets, the mailbox and list of attributes least recently asked for go first."""

    def __init__(self, limit: int = 64 << 20) -> None:
        self._limit = limit
        self._total = 0
        self._kept: OrderedDict[tuple[Key, bytes], _Kept] = OrderedDict()

    def get(self, mailbox: Key, label: bytes, uids: Sequence[int]) -> list[bytes] | None:
        """The values for *uids*, or None if not all of them are here. *label*: what was asked for."""
        kept = self._kept.get((mailbox, label))
        if kept is None:
            return None
        self._kept.move_to_end((mailbox, label))
        try:
            return list(map(kept.values.__getitem__, uids))
        except KeyError:
            return None

    def put(self, mailbox: Key, label: bytes, uids: Sequence[int], values: Sequence[bytes]) -> None:
        kept = self._kept.setdefault((mailbox, label), _Kept())
        if kept.size > self._limit // 4:
            return  # one enormous mailbox must not push out all others
        before = kept.size
        for uid, value in zip(uids, values, strict=True):
            if uid not in kept.values:
                kept.values[uid] = value
                kept.size += len(value) + _OVERHEAD
        self._total += kept.size - before
        while self._total > self._limit and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._total -= oldest.size
