"""One session's idea of its mailbox: which messages it has been told of, and so their sequence numbers.

The client counts messages itself: EXISTS adds at the end, EXPUNGE takes one out (RFC 3501 §7.3.1, §7.4.1). A `View` keeps the
same count. It knows how many slots of the shared snapshot its client has seen (`seen`), which of those the client has been
told are gone (`gone`), and what it has yet to hear (`absorb`, `news`). Nothing changes the numbering but `news`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...model.ids import ModSeq
from .snapshot import Snapshot, holds, merge

Ranges = Iterable[tuple[int, int]]
"""Inclusive (low, high) pairs of sequence numbers or uids; ascending and apart, `*` already resolved."""


@dataclass(frozen=True, slots=True)
class News:
    """What the client is to be told now, in this order."""

    expunged: tuple[int, ...] = ()
    """Sequence numbers, each as it is when the ones before it are out already (RFC 3501 §7.4.1)."""
    vanished: tuple[int, ...] = ()
    """The same messages by uid, ascending (RFC 7162 §3.2.10)."""
    exists: int | None = None
    """The new number of messages, if any arrived."""
    changed: tuple[int, ...] = ()
    """Slots whose flags changed, ascending."""


NO_NEWS = News()


class View:
    """Of one session on one snapshot. All methods are plain and fast; none does I/O."""

    __slots__ = ("__weakref__", "_changed", "_cursor", "_expunged", "_told", "gone", "modseq", "seen", "snapshot", "watched")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.seen = len(snapshot)
        """Slots below this one are known to the client, or were gone before it could know them."""
        self.gone: list[int] = list(snapshot.gone)
        """Slots without a sequence number, ascending."""
        self.modseq: ModSeq = snapshot.modseq
        """HIGHESTMODSEQ as far as the client has heard everything (RFC 7162 §3.2.5): an EXPUNGE withheld holds it back."""
        self.watched: set[int] | None = None
        """Slots that something happened to, whoever did it, since `take_watched`; None: nobody asks (RFC 5267)."""
        self._expunged: set[int] = set()
        self._changed: set[int] = set()
        self._told: dict[int, int] = {}
        self._cursor = snapshot.log_end
        snapshot.views.add(self)

    # -- sequence numbers

    @property
    def exists(self) -> int:
        return self.seen - len(self.gone)

    @property
    def last_uid(self) -> int:
        """The uid that `*` means; 0 in an empty mailbox."""
        return self.snapshot.uids[self.slot_of(self.exists)] if self.exists else 0

    def slot_of(self, number: int) -> int:
        """The slot of sequence number *number*, 1 to `exists`."""
        low, high = 0, len(self.gone)
        while low < high:  # gone[i] - i never falls: it counts the numbered slots before gone[i]
            middle = (low + high) // 2
            if self.gone[middle] - middle < number:
                low = middle + 1
            else:
                high = middle
        return number - 1 + low

    def number_of(self, slot: int) -> int:
        """The sequence number of *slot*, which must have one."""
        return slot + 1 - bisect_left(self.gone, slot)

    def numbers_of(self, slots: Sequence[int]) -> list[int]:
        """The sequence numbers of ascending *slots*."""
        if not self.gone:
            return [slot + 1 for slot in slots]
        numbers, gone, end = [], self.gone, len(self.gone)
        at = bisect_left(gone, slots[0]) if slots else 0
        for slot in slots:
            while at < end and gone[at] < slot:
                at += 1
            numbers.append(slot + 1 - at)
        return numbers

    def slot_of_uid(self, uid: int) -> int | None:
        """The slot of *uid* if it has a sequence number."""
        slot = self.snapshot.slot(uid)
        return None if slot is None or slot >= self.seen or holds(self.gone, slot) else slot

    def is_expunged(self, slot: int) -> bool:
        """Gone in truth, although the client has not been told."""
        return holds(self.snapshot.gone, slot)

    # -- sets of messages

    def slots_of(self, ranges: Ranges) -> array[int]:
        """The slots of the sequence numbers in *ranges*; numbers past `exists` are left out."""
        spans = []
        for low, high in ranges:
            high = min(high, self.exists)
            if low <= high:
                spans.append((self.slot_of(low), self.slot_of(high) + 1))
        return self._numbered(spans)

    def slots_of_uids(self, ranges: Ranges) -> array[int]:
        """The slots of the uids in *ranges* that exist here."""
        uids, seen = self.snapshot.uids, self.seen
        return self._numbered([(bisect_left(uids, low, 0, seen), bisect_left(uids, high + 1, 0, seen)) for low, high in ranges])

    def slots_between(self, start: int, stop: int) -> array[int]:
        """The slots from *start* to below *stop* that have a sequence number."""
        return self._numbered([(start, stop)])

    def all_slots(self) -> array[int]:
        return self._numbered([(0, self.seen)])

    def _numbered(self, spans: Iterable[tuple[int, int]]) -> array[int]:
        """The slots in half-open *spans* that have a sequence number."""
        slots: array[int] = array("I")
        for start, stop in spans:
            for at in range(bisect_left(self.gone, start), bisect_left(self.gone, stop)):
                slots.extend(range(start, self.gone[at]))
                start = self.gone[at] + 1
            slots.extend(range(start, stop))
        return slots

    # -- news

    def absorb(self) -> None:
        """Note what the snapshot has learnt. Tells nobody anything."""
        snapshot = self.snapshot
        for slot in snapshot.touched(self._cursor):
            if slot >= self.seen or holds(self.gone, slot):
                continue
            if self.watched is not None:
                self.watched.add(slot)
            if holds(snapshot.gone, slot):
                self._expunged.add(slot)
                self._changed.discard(slot)
            elif self._told.get(slot) != snapshot.modseqs[slot]:
                self._changed.add(slot)
        self._cursor = snapshot.log_end
        self._told.clear()

    @property
    def withheld(self) -> frozenset[int]:
        """Slots that are gone although the client has not been told."""
        return frozenset(self._expunged)

    def take_watched(self) -> set[int]:
        """The slots that something happened to since last time."""
        self.absorb()
        taken, self.watched = self.watched or set(), set()
        return taken

    def told(self, slot: int, modseq: int) -> None:
        """The client knows the flags of *slot* as of *modseq* (its own STORE): no news of that, only of later ones."""
        self._changed.discard(slot)
        self._told[slot] = modseq

    @property
    def has_news(self) -> bool:
        return self._cursor < self.snapshot.log_end or self.seen < len(self.snapshot) or bool(self._expunged or self._changed)

    def news(self, *, expunges: bool) -> News:
        """Take what the client must hear, and count as it will. *expunges*: whether EXPUNGE may be sent now.

        RFC 3501 §7.4.1: not while answering FETCH, STORE or SEARCH; RFC 9051 §7.5.1 the same. What is withheld comes later.
        """
        if not self.has_news:
            self.modseq = self.snapshot.modseq
            return NO_NEWS
        self.absorb()
        gone = sorted(self._expunged) if expunges else []
        numbers = tuple(number - at for at, number in enumerate(self.numbers_of(gone)))
        if gone:
            merge(self.gone, gone)
            self._expunged.clear()
        changed = tuple(sorted(self._changed))
        self._changed.clear()
        exists = self._grow()
        if not self._expunged:
            self.modseq = self.snapshot.modseq
        uids = self.snapshot.uids
        return News(numbers, tuple(uids[slot] for slot in gone), exists, changed)

    def _grow(self) -> int | None:
        before, known = self.exists, self.snapshot.gone
        # What came and went between two looks never gets a number.
        merge(self.gone, known[bisect_left(known, self.seen) :])
        self.seen = len(self.snapshot)
        return self.exists if self.exists > before else None

    def close(self) -> None:
        self.snapshot.views.discard(self)
