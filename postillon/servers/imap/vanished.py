"""VANISHED (EARLIER): which messages a client that was away must forget (RFC 7162 §3.2.5.2, §3.2.6, §3.2.10.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...model.mail import Changes
from ...protocols.imap.sequence import Range, SequenceSet, format_ranges, format_set, select, to_ranges
from .selected import Selected


def gone_earlier(selected: Selected, changes: Changes, wanted: SequenceSet | None) -> bytes:
    """The uids among *wanted* (None: all) that are gone as *changes* tells, as a set; empty for none.

    A uid that the view still counts is told by EXPUNGE or VANISHED when that is due, not twice.
    """
    view = selected.view
    if changes.complete:
        gone: list[int] = list(changes.gone)
        if wanted is not None:
            gone = select(gone, wanted.resolve(max(view.last_uid, gone[-1] if gone else 0)))
        return format_set([uid for uid in gone if view.slot_of_uid(uid) is None])
    # Tombstones are missing. RFC 7162 §3.2.10.1: then whatever is not there may be told of, even what never was.
    top = max(selected.mailbox.uidnext - 1, view.last_uid)
    there = to_ranges(selected.uids(view.all_slots()))
    return format_ranges(without([(1, top)] if wanted is None else wanted.resolve(top), there))


def without(ranges: Iterable[Range], taken: Sequence[Range]) -> list[Range]:
    """*ranges* less *taken*; both sorted and disjoint."""
    left: list[Range] = []
    at = 0
    for low, high in ranges:
        while at < len(taken) and taken[at][1] < low:
            at += 1
        nearest = at
        while nearest < len(taken) and taken[nearest][0] <= high:
            if taken[nearest][0] > low:
                left.append((low, taken[nearest][0] - 1))
            low = taken[nearest][1] + 1
            nearest += 1
        if low <= high:
            left.append((low, high))
    return left
