"""Searches that are kept up to date while their mailbox is selected (RFC 5267): what each found, and how it changes.

A context follows messages, not news: flags that the client set itself count too. It costs nothing where there is none.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...protocols.imap import responses, search_keys
from ...protocols.imap.commands import Search, Sort
from ...protocols.imap.search_keys import And, SearchKey, Uids
from ...protocols.imap.sequence import STAR, SavedResult, SequenceSet, format_in_order, format_set, to_ranges
from .view import View

MAX_CONTEXTS = 20
"""Of one session."""
MAX_RESULTS = 1_000_000
"""Of all contexts of a session together: four octets each."""
FEW = 100
"""Changes up to which the results are mended in place."""
MAX_SORTED = 20_000
"""Of one context that is sorted: the values to sort by are kept."""

Find = Callable[[SearchKey], Awaitable["array[int]"]]
"""The slots of the selected mailbox that match."""
Arrange = Callable[["array[int]"], Awaitable["array[int]"]]
"""Slots in the order asked for; remembers what it has read of them."""


@dataclass(slots=True)
class Context:
    """*results*: slots, ascending, or in the order of *arrange*."""

    tag: bytes
    request: Search | Sort
    results: array[int]
    arrange: Arrange | None = None

    def __contains__(self, slot: int) -> bool:
        if self.arrange is not None:
            return slot in self.results
        at = bisect_left(self.results, slot)
        return at < len(self.results) and self.results[at] == slot

    def remove(self, slots: Iterable[int]) -> list[tuple[int, int]]:
        """Take those of *slots* out that are in: (position from 1, slot) each, as a client does it one after the other."""
        gone = {slot for slot in slots if slot in self}
        if not gone:
            return []
        found = [(0, slot) for slot in sorted(gone)]
        if self.arrange is not None:
            # From the end, so that no removal moves another.
            found = [(at + 1, slot) for at, slot in enumerate(self.results) if slot in gone][::-1]
        if self.arrange is None and len(gone) < FEW:
            for slot in gone:
                self.results.pop(bisect_left(self.results, slot))
        else:
            self.results = array("I", [slot for slot in self.results if slot not in gone])
        return found

    async def add(self, slots: Sequence[int]) -> list[tuple[int, int]]:
        """Put *slots* in: (position from 1, slot) each, as a client does it one after the other."""
        new = set(slots)
        if not new:
            return []
        if self.arrange is not None:
            self.results = await self.arrange(array("I", sorted([*self.results, *new])))
            return [(at + 1, slot) for at, slot in enumerate(self.results) if slot in new]
        if len(new) < FEW:
            for slot in new:
                insort(self.results, slot)
        else:
            self.results = array("I", sorted([*self.results, *new]))
        return [(0, slot) for slot in sorted(new)]

    def line(self, view: View, word: bytes, changes: Sequence[tuple[int, int]]) -> bytes:
        """The ESEARCH response that tells *changes* (RFC 5267 §4.3.3, §4.3.4)."""
        uid = self.request.uid
        number = view.snapshot.uids.__getitem__ if uid else view.number_of
        if self.arrange is None:
            text = b"0 " + format_set(sorted(number(slot) for _, slot in changes))
        else:
            text = b" ".join(b"%d %b" % pair for pair in _runs([(at, number(slot)) for at, slot in changes], word))
        return responses.esearch(self.tag, uid, [(word, b"(%b)" % text)])


def _runs(changes: Sequence[tuple[int, int]], word: bytes) -> Iterator[tuple[int, bytes]]:
    """Neighbours are told together: each (position of the first, set in order)."""
    step = 1 if word == b"ADDTO" else -1
    group: list[tuple[int, int]] = []
    for position, number in changes:
        if group and position != group[-1][0] + step:
            yield _run(group, step)
            group = []
        group.append((position, number))
    if group:
        yield _run(group, step)


def _run(group: list[tuple[int, int]], step: int) -> tuple[int, bytes]:
    return group[::step][0][0], format_in_order([number for _, number in group[::step]])


def refusal(leaves: Iterable[SearchKey], count: int, contexts: dict[bytes, Context], *, is_sorted: bool) -> str:
    """Why a search for *leaves* that found *count* messages is not kept up to date; empty: it can be."""
    if len(contexts) >= MAX_CONTEXTS:
        return "Too many searches are kept up to date"
    if count > (MAX_SORTED if is_sorted else MAX_RESULTS - sum(len(context.results) for context in contexts.values())):
        return "It found too many messages to be kept up to date"
    for leaf in leaves:
        if isinstance(leaf, search_keys.Numbers) or (isinstance(leaf, Uids) and _moves(leaf)):
            return "Message numbers do not stay what they are"
        if isinstance(leaf, search_keys.Younger | search_keys.Older):
            return "What depends on the time of day changes by itself"
    return ""


def _moves(key: Uids) -> bool:
    return isinstance(key.numbers, SavedResult) or any(STAR in pair for pair in key.numbers.ranges)


@dataclass(slots=True)
class Contexts:
    """Of one selected mailbox, by the tags of their commands."""

    by_tag: dict[bytes, Context] = field(default_factory=dict)

    @staticmethod
    def watch(view: View) -> None:
        """Note from now on which messages something happens to."""
        if view.watched is None:
            view.watched = set()

    def begin(self, view: View, context: Context) -> None:
        self.by_tag[context.tag] = context
        self.watch(view)

    def end(self, view: View, tags: Iterable[bytes]) -> None:
        for tag in tags:
            self.by_tag.pop(tag, None)
        if not self.by_tag:
            view.watched = None

    async def before_news(self, view: View, find: Find) -> list[bytes]:
        """What flags changed, and what is about to be told as expunged: lines to send before that."""
        touched = view.take_watched() - view.withheld
        lines = await self._look(view, sorted(touched), find) if touched else []
        view.absorb()  # what was expunged while we looked must be told of, too, before its number goes
        for context in self.by_tag.values():
            removed = context.remove(view.withheld)
            if removed:
                lines.append(context.line(view, b"REMOVEFROM", removed))
        return lines

    async def after_news(self, view: View, since: int, find: Find) -> list[bytes]:
        """What arrived in slots from *since* on, and was told by now."""
        return await self._look(view, view.slots_between(since, view.seen), find)

    async def _look(self, view: View, slots: Sequence[int], find: Find) -> list[bytes]:
        """Look again at *slots*."""
        lines: list[bytes] = []
        if not slots:
            return lines
        uids = [view.snapshot.uids[slot] for slot in slots]
        among = Uids(SequenceSet(tuple(to_ranges(uids))))
        for context in list(self.by_tag.values()):
            matching = set(await find(And((among, context.request.key))))
            removed = context.remove(slot for slot in slots if slot not in matching)
            if removed:
                lines.append(context.line(view, b"REMOVEFROM", removed))
            added = await context.add([slot for slot in slots if slot in matching and slot not in context])
            if added:
                lines.append(context.line(view, b"ADDTO", added))
        return lines
