"""What a worker knows of one mailbox: the uid, flags and modseq of each message, shared by all sessions that selected it.

A snapshot only grows. A message has a *slot*, its position in the arrays, for as long as the snapshot lives; an expunged one
keeps its slot and is listed in `gone`. Sequence numbers are no business of a snapshot: each `view.View` numbers the slots it
has told its client about. Ten octets a message: flags are a code into a table of the distinct flag words, since a mailbox of
a million messages has a dozen of them; columns widen by themselves when a value does not fit.

Pure data, no I/O: `snapshots.Snapshots` loads and refreshes it.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

import msgspec

from ...model.ids import ModSeq
from ...model.mail import SEEN, Changes

if TYPE_CHECKING:
    from .view import View

Row = tuple[int, int, int]
"""(uid, flags, modseq)."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, int, list[int], list[tuple[str, bytes]], list[int]]).decode

_LOG_BOUND = 4096
"""Slots the log holds before every view is made to read it, so that it never grows with the age of a silent session."""


def merge(into: list[int], new: Sequence[int]) -> None:
    """Add ascending *new* to the ascending list *into*; linear, and cheap for one."""
    if len(new) < 8:
        for item in new:
            insort(into, item)
    else:
        into += new
        into.sort()  # two runs: Timsort merges them in one pass


def holds(ascending: Sequence[int], item: int) -> bool:
    at = bisect_left(ascending, item)
    return at < len(ascending) and ascending[at] == item


class _Codes(dict[int, int]):
    """Flag word -> code; an unseen word gets the next one. *words* is the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[int] = []

    def __missing__(self, word: int) -> int:
        self[word] = code = len(self.words)
        self.words.append(word)
        return code


class Snapshot:
    """One mailbox as of `modseq`. Slots ascend with uids."""

    __slots__ = (
        "__weakref__",
        "_codes",
        "_log",
        "_log_start",
        "_unseen",
        "codes",
        "exists",
        "gone",
        "modseq",
        "modseqs",
        "uids",
        "views",
    )

    def __init__(self) -> None:
        self.uids: array[int] = array("I")
        self.codes: array[int] = array("H")
        self.modseqs: array[int] = array("I")
        self.gone: list[int] = []
        """Slots of expunged messages, ascending."""
        self.modseq = ModSeq(0)
        """All changes up to here are in."""
        self.exists = True
        """False: the mailbox was deleted."""
        self.views: WeakSet[View] = WeakSet()
        self._codes = _Codes()
        self._log: list[int] = []
        self._log_start = 0
        self._unseen = 0

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def size(self) -> int:
        """Octets of memory, roughly."""
        columns = sum(len(column) * column.itemsize for column in (self.uids, self.codes, self.modseqs))
        return columns + 8 * (len(self.gone) + len(self._log)) + 160 * len(self._codes.words) + 1000

    @property
    def words(self) -> Sequence[int]:
        """Code -> flag word."""
        return self._codes.words

    def flags(self, slot: int) -> int:
        return self._codes.words[self.codes[slot]]

    def slot(self, uid: int) -> int | None:
        """The slot of *uid*, expunged or not; None if it was never here."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else None

    # -- packed

    def packed(self) -> bytes:
        """All of it for `of_pack`: ten octets a message."""
        columns = [(column.typecode, column.tobytes()) for column in (self.uids, self.codes, self.modseqs)]
        return _encode((sys.byteorder, self.modseq, self._codes.words, columns, self.gone))

    @classmethod
    def of_pack(cls, pack: bytes) -> Snapshot | None:
        """The snapshot that `packed` made; None if it was made on a machine of another kind."""
        byteorder, modseq, words, columns, gone = _decode(pack)
        if byteorder != sys.byteorder:
            return None
        snapshot = cls()
        snapshot.modseq = ModSeq(modseq)
        for word in words:
            snapshot._codes[word]
        snapshot.uids, snapshot.codes, snapshot.modseqs = (_column(*column) for column in columns)
        snapshot.gone = gone
        return snapshot

    def unsee(self) -> None:
        """Take \\Seen off every message: it was somebody else's."""
        codes = _Codes()
        table = [codes[word & ~SEEN] for word in self._codes.words]
        self.codes = array(self.codes.typecode, map(table.__getitem__, self.codes))
        self._codes = codes

    def mark(self, rows: Sequence[Row]) -> None:
        """Set \\Seen where *rows* of (uid, seen or not, modseq) say so. Before any view is made."""
        for uid, is_seen, modseq in rows:
            slot = self.slot(uid)
            if slot is None:
                continue
            if is_seen:
                self.codes = _set(self.codes, slot, self._codes[self.flags(slot) | SEEN])
            self.modseqs = _set(self.modseqs, slot, max(modseq, self.modseqs[slot]))

    # -- growing and changing

    def extend(self, rows: Sequence[Row]) -> None:
        """Append messages, ascending and all above the last uid."""
        if not rows:
            return
        uids, words, modseqs = zip(*rows, strict=True)
        if self.uids and uids[0] <= self.uids[-1]:
            raise ValueError(f"uid {uids[0]} is not above {self.uids[-1]}")
        self.uids.extend(uids)
        self.codes = _append(self.codes, [self._codes[word] for word in words])
        self.modseqs = _append(self.modseqs, modseqs)

    def apply(self, changes: Changes) -> None:
        """Bring in what the store read. Doing it twice, or an older reading after a newer one, changes nothing."""
        self.update(changes.changed)
        slots = [slot for uid in changes.gone if (slot := self.slot(uid)) is not None and not holds(self.gone, slot)]
        if slots:
            merge(self.gone, slots)
            self._note(slots)
        self.exists = self.exists and changes.exists
        self.modseq = max(self.modseq, changes.modseq)

    def update(self, rows: Sequence[Row]) -> None:
        """New flags of known messages (ignored where we know newer ones), then the new messages. `modseq` stays."""
        last = self.uids[-1] if self.uids else 0
        new = bisect_right(rows, last, key=lambda row: row[0])
        touched = []
        for uid, word, modseq in rows[:new]:
            slot = self.slot(uid)
            if slot is None:
                # An expunged message of before this snapshot was loaded: the store still tells of its flags.
                continue
            if modseq > self.modseqs[slot]:
                self.codes = _set(self.codes, slot, self._codes[word])
                self.modseqs = _set(self.modseqs, slot, modseq)
                touched.append(slot)
                if not word & SEEN:
                    self._unseen = min(self._unseen, slot)
        self.extend(rows[new:])
        self._note(touched)

    def first_unseen(self) -> int | None:
        """The first slot without \\Seen that is not gone. Remembers how far it looked, so asking again costs nothing."""
        seen = bytes(bool(word & SEEN) for word in self.words)
        while self._unseen < len(self.uids):
            if not seen[self.codes[self._unseen]] and not holds(self.gone, self._unseen):
                return self._unseen
            self._unseen += 1
        return None

    # -- telling the views

    def _note(self, slots: Iterable[int]) -> None:
        if not self.views:
            return
        self._log += slots
        if len(self._log) > _LOG_BOUND:
            for view in self.views:
                view.absorb()
            self._log_start += len(self._log)
            self._log.clear()

    @property
    def log_end(self) -> int:
        return self._log_start + len(self._log)

    def touched(self, since: int) -> list[int]:
        """Slots changed or expunged since the log position *since*, in order, some more than once."""
        return self._log[since - self._log_start :]

    # -- a new generation

    @property
    def is_sparse(self) -> bool:
        """So much is gone that a new view should start from `compacted`."""
        return len(self.gone) > 1024 and len(self.gone) * 8 > len(self.uids)

    def compacted(self) -> Snapshot:
        """The same mailbox without the slots of what is gone. The old one lives on with its views."""
        fresh = Snapshot()
        fresh.modseq, fresh.exists = self.modseq, self.exists
        start = 0
        for stop in [*self.gone, len(self.uids)]:
            words = self._codes.words
            rows = zip(self.uids[start:stop], [words[c] for c in self.codes[start:stop]], self.modseqs[start:stop], strict=True)
            fresh.extend(list(rows))
            start = stop + 1
        return fresh


def _column(typecode: str, octets: bytes) -> array[int]:
    column: array[int] = array(typecode)
    column.frombytes(octets)
    return column


def _append(column: array[int], values: Sequence[int]) -> array[int]:
    """*column* with *values* at its end; a wider copy if one does not fit."""
    length = len(column)
    try:
        column.extend(values)
    except OverflowError:
        del column[length:]
        column = _wider(column)
        return _append(column, values)
    return column


def _set(column: array[int], at: int, value: int) -> array[int]:
    try:
        column[at] = value
    except OverflowError:
        column = _wider(column)
        return _set(column, at, value)
    return column


def _wider(column: array[int]) -> array[int]:
    return array({"H": "I", "I": "Q"}[column.typecode], column)
