"""Sequence sets and uid sets: `1:*`, `4,7:9,12:*` (RFC 3501 §9 sequence-set, RFC 9051 §9, RFC 5182 for `$`).

A set is parsed once into ranges; `*` stays open until `resolve` is told the largest number in use. Nothing here ever
expands a set into single numbers, so `1:4294967295` costs what `1` costs.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_NUMBER = 0xFFFFFFFF
STAR = MAX_NUMBER + 1
"""Stands for `*` in `SequenceSet.ranges`; larger than every number, so that `5:*` sorts naturally."""

Range = tuple[int, int]

_NUMBER = rb"(?:[1-9][0-9]{0,9}|\*)"
_RANGE = rb"%b(?::%b)?" % (_NUMBER, _NUMBER)
PATTERN = re.compile(rb"%b(?:,%b)*" % (_RANGE, _RANGE))
"""What a sequence-set looks like; whether its numbers fit is for `SequenceSet.parse`."""


class SequenceError(ValueError):
    """The text is not a sequence set; the message says why in words fit for the client."""


@dataclass(frozen=True, slots=True)
class SavedResult:
    """`$`: the result of the last SEARCH RETURN (SAVE) (RFC 5182)."""


SAVED = SavedResult()


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """What the client wrote, in its order. Each range is (low, high), inclusive; STAR is `*`."""

    ranges: tuple[Range, ...]

    @classmethod
    def parse(cls, text: bytes) -> SequenceSet:
        """Raises SequenceError."""
        if PATTERN.fullmatch(text) is None:
            raise SequenceError("bad sequence set")
        return cls.of_matched(text)

    @classmethod
    def of_matched(cls, text: bytes) -> SequenceSet:
        """Like `parse`, for *text* that PATTERN has matched already."""
        if text == b"1:*":
            return _EVERYTHING
        pieces = text.split(b",")
        if b":" in text or b"*" in text:
            ranges, limit = tuple([_range(piece) for piece in pieces]), STAR
        else:
            numbers = list(map(int, pieces))
            ranges, limit = tuple(zip(numbers, numbers, strict=True)), MAX_NUMBER
        for _, high in ranges:
            if high > limit:
                raise SequenceError("number in sequence set is too large")
        return cls(ranges)

    @property
    def highest(self) -> int:
        """The largest number that is written out; 0 if there is only `*`. For `FETCH 9` in a mailbox of 5 (BAD)."""
        return max((high if high < STAR else low if low < STAR else 0) for low, high in self.ranges)

    @property
    def has_star(self) -> bool:
        return any(high == STAR for _, high in self.ranges)

    def resolve(self, largest: int) -> list[Range]:
        """Sorted, disjoint, merged ranges within 1..*largest*, where `*` means *largest*; none for an empty mailbox (0).

        `9:*` with *largest* 5 is `5:9` and so selects 5 (RFC 3501 §6.4.8).
        """
        if largest <= 0:
            return []
        found: list[Range] = []
        for low, high in self.ranges:
            if high == STAR:
                low, high = min(low, largest), largest
            elif low > largest:
                continue
            found.append((low, high if high < largest else largest))
        return merge(found)

    def __bytes__(self) -> bytes:
        return b",".join(_text(low) if low == high else b"%b:%b" % (_text(low), _text(high)) for low, high in self.ranges)


def _number(text: bytes) -> int:
    """STAR + 1 for what is too large, so that 4294967296 is not taken for `*`."""
    if text == b"*":
        return STAR
    number = int(text)
    return number if number <= MAX_NUMBER else STAR + 1


def _range(piece: bytes) -> Range:
    first, colon, second = piece.partition(b":")
    one = _number(first)
    if not colon:
        return (one, one)
    two = _number(second)
    return (one, two) if one <= two else (two, one)


def _text(number: int) -> bytes:
    return b"*" if number == STAR else b"%d" % number


_EVERYTHING = SequenceSet(((1, STAR),))


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Sorted ranges without overlaps; neighbours are joined."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def select(numbers: Sequence[int], ranges: Iterable[Range]) -> list[int]:
    """Those of *numbers* (ascending) that lie in *ranges* (sorted, disjoint), by bisection."""
    found: list[int] = []
    for low, high in ranges:
        found += numbers[bisect_left(numbers, low) : bisect_right(numbers, high)]
    return found


def to_ranges(numbers: Sequence[int]) -> list[Range]:
    """Ascending distinct *numbers* as ranges. Where there are few holes, the time goes with them and not with the numbers."""
    count = len(numbers)
    if not count:
        return []
    first, last = numbers[0], numbers[-1]
    holes = last - first + 1 - count
    if holes * 16 < count:
        return _by_leaps(numbers)
    return _between_gaps(numbers)


def _between_gaps(numbers: Sequence[int]) -> list[Range]:
    gaps = [pair for pair in pairwise(numbers) if pair[1] - pair[0] != 1]
    return list(zip([numbers[0], *[start for _, start in gaps]], [*[end for end, _ in gaps], numbers[-1]], strict=True))


def _by_leaps(numbers: Sequence[int]) -> list[Range]:
    ranges: list[Range] = []
    start, count = 0, len(numbers)
    while start < count:
        stop = _end_of_run(numbers, start, count)
        ranges.append((numbers[start], numbers[stop - 1]))
        start = stop
    return ranges


def _end_of_run(numbers: Sequence[int], start: int, count: int) -> int:
    """The first index after the run of consecutive numbers at *start*: doubling steps, then bisection."""
    offset = numbers[start] - start
    good, step = start, 1
    while start + step < count and numbers[start + step] - start - step == offset:
        good, step = start + step, step * 2
    bad = min(start + step, count)
    while good + 1 < bad:
        middle = (good + bad) // 2
        if numbers[middle] - middle == offset:
            good = middle
        else:
            bad = middle
    return good + 1


def format_set(numbers: Sequence[int]) -> bytes:
    """Ascending distinct *numbers* as `1:3,5`; empty for none (which no response may contain)."""
    return format_ranges(to_ranges(numbers))


def format_in_order(numbers: Sequence[int]) -> bytes:
    """Distinct *numbers*, at least one, as a set that keeps their order: only what ascends by one is a range."""
    return format_ranges(_between_gaps(numbers))


def format_ranges(ranges: Iterable[Range]) -> bytes:
    """Ranges as `1:3,5`."""
    # By way of text: str() of an int is twice as quick as bytes' formatting.
    return ",".join([f"{low}:{high}" if low != high else str(low) for low, high in ranges]).encode("ascii")
