"""Evaluating search keys over a view (RFC 9051 §6.4.4): what the snapshot knows first, rows for what is left, texts last.

The snapshot's keys (flags, numbers, mod-sequences) are evaluated over the whole mailbox at once, and so is what the search
index answers. What needs the store goes through the candidates in chunks; within an AND the cheaper keys come first. Messages
that are not in the index yet are read themselves, once for all keys of a kind, so the answer is always exact.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...message.folding import needle_of
from ...message.part import decode_structure, section
from ...model.mail import Email
from ...protocols.imap import search_keys as keys
from ...protocols.imap.search_keys import Moment, SearchKey
from ...protocols.imap.sequence import SavedResult
from ...storage.search.documents import text_plan
from ...storage.store import Rope, Store
from .indexed import Indexed
from .matching import match_headers, match_plans
from .row_tests import day_number, day_of, on_side, row_test, written_day
from .selected import Selected

CHUNK_ROWS = 2000
CHUNK_OCTETS = 200
TOGETHER = 4 << 20
"""Octets of message text read in one go, unless one message alone has more."""

SNAPSHOT, NARROW, HEADERS, TEXT = range(4)
_COSTS: dict[type[SearchKey], int] = {
    keys.Dated: NARROW,
    keys.Larger: NARROW,
    keys.Smaller: NARROW,
    keys.Younger: NARROW,
    keys.Older: NARROW,
    keys.HasEmailId: NARROW,
    keys.HasThreadId: NARROW,
    keys.Header: HEADERS,
    keys.Body: TEXT,
    keys.Text: TEXT,
}

Slots = Sequence[int]
LOOKS, LOOK = 50_000, 100
"""Messages that keys are tried on between two turns of others; what a key costs besides, in messages."""


def children(key: SearchKey) -> tuple[SearchKey, ...]:
    if isinstance(key, keys.And):
        return key.keys
    if isinstance(key, keys.Or):
        return (key.left, key.right)
    if isinstance(key, keys.Not | keys.Fuzzy):
        return (key.key,)
    return ()


def nodes(key: SearchKey) -> Iterator[SearchKey]:
    work = [key]
    while work:
        one = work.pop()
        work += children(one)
        yield one


def leaves(key: SearchKey) -> Iterator[SearchKey]:
    return (one for one in nodes(key) if not children(one))


def cost(key: SearchKey) -> int:
    """How far *key* must look: SNAPSHOT to TEXT."""
    return max(_COSTS.get(type(leaf), SNAPSHOT) for leaf in leaves(key))


async def find(
    key: SearchKey,
    selected: Selected,
    store: Store,
    now: int,
    breathe: Callable[[], Any],
    indexed: Indexed | None = None,
) -> array[int]:
    """The slots that match, ascending. *now*: epoch seconds; *breathe* is awaited between chunks; *indexed*: see there."""
    search = _Search(selected, store, now, key, breathe)
    parts = sorted(key.keys if isinstance(key, keys.And) else (key,), key=cost)
    costs = [cost(part) for part in parts]
    slots = await search.everywhere(parts[: bisect_right(costs, SNAPSHOT)])
    rows = parts[bisect_right(costs, SNAPSHOT) : bisect_right(costs, NARROW)]
    rest = parts[bisect_right(costs, NARROW) :]
    if rows:
        slots = await _in_chunks(search, rows, slots, CHUNK_ROWS, breathe)
    if rest and slots:
        if indexed is not None:
            await search.ask(indexed, rest, slots, breathe)
        slots = await _in_chunks(search, rest, slots, CHUNK_ROWS if search.is_answered(slots) else CHUNK_OCTETS, breathe)
    return array("I", slots)


async def _in_chunks(
    search: _Search, parts: Sequence[SearchKey], slots: Slots, size: int, breathe: Callable[[], Any]
) -> array[int]:
    found: array[int] = array("I")
    for at in range(0, len(slots), size):
        found.extend(await search.chunk(parts, slots[at : at + size]))
        await breathe()
    return found


def _without(slots: Slots, others: Slots) -> Slots:
    """*slots* that are not in *others*; the order is kept."""
    if not others or not slots:
        return slots
    drop = set(others)
    return [slot for slot in slots if slot not in drop]


@dataclass(slots=True)
class _Chunk:
    """What has been read of some messages."""

    rows: dict[int, Sequence[Any]] = field(default_factory=dict)
    emails: dict[int, Email] = field(default_factory=dict)
    headers: dict[int, set[keys.Header]] = field(default_factory=dict)
    """The header keys that a message meets."""
    texts: dict[int, set[keys.Body | keys.Text]] = field(default_factory=dict)


class _Search:
    def __init__(self, selected: Selected, store: Store, now: int, key: SearchKey, breathe: Callable[[], Any]) -> None:
        self._breathe = breathe
        self._looked = 0
        self._selected = selected
        self._view = selected.view
        self._store = store
        self._now = now
        distinct = dict.fromkeys(leaves(key))
        self._headers = [leaf for leaf in distinct if isinstance(leaf, keys.Header)]
        self._texts = [leaf for leaf in distinct if isinstance(leaf, keys.Body | keys.Text)]
        self._read = _Chunk()
        self._indexed: Indexed | None = None
        self._answers: dict[SearchKey, set[int]] = {}
        """What the index said of a key: its documents."""

    async def ask(self, indexed: Indexed, parts: Sequence[SearchKey], slots: Slots, breathe: Callable[[], Any]) -> None:
        """Have the index answer the keys in *parts* for those of *slots* that are in it."""
        wanted = await indexed.wanted(slots)
        if not wanted:
            return
        answers: dict[SearchKey, set[int]] = {}
        for leaf in dict.fromkeys(leaf for part in parts for leaf in leaves(part)):
            if isinstance(leaf, keys.Header) or (isinstance(leaf, keys.Body | keys.Text) and needle_of(leaf.text)):
                answer = await indexed.ask(leaf, wanted, breathe)
                if answer is None:
                    return  # there is no index now: all is read
                answers[leaf] = answer
        self._indexed, self._answers = indexed, answers

    def is_answered(self, slots: Slots) -> bool:
        """The index knew all there is to know."""
        return self._indexed is not None and all(map(self._indexed.documents.__getitem__, slots))

    # -- keys of the snapshot

    async def _look(self, slots: Slots) -> None:
        """Before a key is tried on *slots*. A command may name thousands of keys: others have their turn between them."""
        self._looked += len(slots) + LOOK
        if self._looked > LOOKS:
            self._looked = 0
            await self._breathe()

    async def everywhere(self, parts: Sequence[SearchKey]) -> Slots:
        """The messages of the mailbox that match all of *parts*, beginning with those that are named by number."""
        named = next((part for part in parts if isinstance(part, keys.Numbers | keys.Uids)), None)
        slots: Slots = self._view.all_slots() if named is None else self._numbered(named)
        for part in parts:
            if part is not named:
                slots = await self.here(part, slots)
        return slots

    async def here(self, key: SearchKey, slots: Slots) -> Slots:
        """Those of *slots* that match *key*, which costs no more than SNAPSHOT."""
        snapshot = self._view.snapshot
        if isinstance(key, keys.And):
            for one in key.keys:
                slots = await self.here(one, slots)
            return slots
        if isinstance(key, keys.Or):
            left = await self.here(key.left, slots)
            return sorted([*left, *await self.here(key.right, _without(slots, left))])
        if isinstance(key, keys.Not):
            return _without(slots, await self.here(key.key, slots))
        if isinstance(key, keys.Fuzzy):
            return await self.here(key.key, slots)
        await self._look(slots)
        if isinstance(key, keys.HasFlag):
            mask = self._selected.loaded.keywords.mask(key.flag)
            good = [bool(word & mask) is key.on for word in snapshot.words]
            codes = snapshot.codes
            return [slot for slot in slots if good[codes[slot]]]
        if isinstance(key, keys.ModSeqFrom):
            modseqs, least = snapshot.modseqs, key.modseq
            return [slot for slot in slots if modseqs[slot] >= least]
        if isinstance(key, keys.Numbers | keys.Uids):
            wanted = set(self._numbered(key))
            return [slot for slot in slots if slot in wanted]
        if isinstance(key, keys.Recent):
            return [] if key.on else slots  # no message is \\Recent here
        assert isinstance(key, keys.All | keys.SaveDateSupported)
        return slots

    def _numbered(self, key: keys.Numbers | keys.Uids) -> Slots:
        view = self._view
        if isinstance(key.numbers, SavedResult):
            return self._selected.slots(key.numbers, uid=True)
        if isinstance(key, keys.Uids):
            return view.slots_of_uids(key.numbers.resolve(view.last_uid))
        return view.slots_of(key.numbers.resolve(view.exists))

    # -- keys that need the store

    async def chunk(self, parts: Sequence[SearchKey], slots: Slots) -> Slots:
        """Those of *slots* that match all of *parts*, cheapest first."""
        self._read = _Chunk()
        for part in parts:
            if slots:
                slots = await self._match(part, slots)
        return slots

    async def _match(self, key: SearchKey, slots: Slots) -> Slots:
        if cost(key) == SNAPSHOT:
            return await self.here(key, slots)
        if isinstance(key, keys.And):
            for one in sorted(key.keys, key=cost):
                slots = await self._match(one, slots) if slots else slots
            return slots
        if isinstance(key, keys.Or):
            first, second = sorted((key.left, key.right), key=cost)
            left = await self._match(first, slots)
            return sorted([*left, *await self._match(second, _without(slots, left))])
        if isinstance(key, keys.Not):
            return _without(slots, await self._match(key.key, slots))
        if isinstance(key, keys.Fuzzy):
            return await self._match(key.key, slots)
        await self._look(slots)
        if isinstance(key, keys.Header | keys.Body | keys.Text):
            return await self._by_text(key, slots)
        return await self._by_row(key, slots)

    async def _by_text(self, key: keys.Header | keys.Body | keys.Text, slots: Slots) -> Slots:
        """By what the index said, and for messages that are not in it by what they say themselves."""
        if not isinstance(key, keys.Header) and not needle_of(key.text):
            return slots
        found: list[int] = []
        rest = slots
        indexed, answer = self._indexed, self._answers.get(key)
        if indexed is not None and answer is not None:
            documents = indexed.documents
            found += _without([slot for slot in slots if documents[slot] in answer], self._view.snapshot.gone)
            rest = [slot for slot in slots if not documents[slot]]
        if rest:
            facts: Mapping[int, Collection[SearchKey]]
            facts = await self._header_facts(rest) if isinstance(key, keys.Header) else await self._text_facts(rest)
            found += [slot for slot in rest if key in facts.get(slot, ())]
            found.sort()
        return found

    async def _by_row(self, key: SearchKey, slots: Slots) -> Slots:
        if isinstance(key, keys.Dated) and key.moment is Moment.SENT:
            return await self._by_sent(key, slots)
        test = row_test(key, self._now)
        rows = await self._rows(slots)
        return [slot for slot in slots if slot in rows and test(rows[slot])]

    async def _by_sent(self, key: keys.Dated, slots: Slots) -> Slots:
        """RFC 9051 §6.4.4: by the date as written, whatever the zone. The row has only the moment, which mostly decides."""
        rows, day = await self._rows(slots), day_number(key.day)
        found, doubtful = [], []
        for slot in slots:
            sent = rows[slot][5] if slot in rows else 0
            if sent:
                verdicts = {on_side(key.side, day_of(sent, zone), day) for zone in (-12 * 60, 0, 14 * 60)}
                if len(verdicts) > 1:
                    doubtful.append(slot)
                elif verdicts == {True}:
                    found.append(slot)
        emails = await self._emails(doubtful)
        found += [slot for slot in doubtful if slot in emails and on_side(key.side, written_day(emails[slot]), day)]
        return sorted(found)

    # -- reading

    async def _rows(self, slots: Slots) -> dict[int, Sequence[Any]]:
        rows, box = self._read.rows, self._selected.loaded
        missing = [slot for slot in slots if slot not in rows]
        if missing:
            uids = self._selected.uids(missing)
            found = {row[0]: row for row in await self._store.email_sizes(box.principal, box.account, box.mailbox, uids)}
            rows |= {slot: found[uid] for slot, uid in zip(missing, uids, strict=True) if uid in found}
        return rows

    async def _emails(self, slots: Slots) -> dict[int, Email]:
        emails, box = self._read.emails, self._selected.loaded
        missing = [slot for slot in slots if slot not in emails]
        for at in range(0, len(missing), CHUNK_OCTETS):
            part = missing[at : at + CHUNK_OCTETS]
            uids = self._selected.uids(part)
            found = {one.uid: one for one in await self._store.emails(box.principal, box.account, box.mailbox, uids)}
            emails |= {slot: found[uid] for slot, uid in zip(part, uids, strict=True) if uid in found}  # type: ignore[index]
        return emails

    async def _header_facts(self, slots: Slots) -> dict[int, set[keys.Header]]:
        facts = self._read.headers
        todo = [slot for slot in slots if slot not in facts]
        emails = await self._emails(todo)
        todo = [slot for slot in todo if slot in emails]
        ranges = []
        for slot in todo:
            email = emails[slot]
            rope = self._store.octets(email)
            place = section(decode_structure(email.structure), (), "HEADER", rope.size - email.blob_size)
            ranges.append((rope, *(place or (0, 0))))
        for some in groups(ranges):
            headers = await self._store.read_many(ranges[some])
            met = await asyncio.to_thread(match_headers, self._headers, headers)
            facts |= dict(zip(todo[some], met, strict=True))
        return facts

    async def _text_facts(self, slots: Slots) -> dict[int, set[keys.Body | keys.Text]]:
        facts = self._read.texts
        todo = [slot for slot in slots if slot not in facts]
        emails = await self._emails(todo)
        todo = [slot for slot in todo if slot in emails]
        plans = [text_plan(emails[slot], self._store.octets(emails[slot])) for slot in todo]
        sizes = [(plan.rope, 0, sum(stop - start for _, start, stop in plan.ranges)) for plan in plans]
        for some in groups(sizes):
            ranges = [one for plan in plans[some] for one in plan.ranges]
            octets = await self._store.read_many(ranges) if ranges else []
            met = await asyncio.to_thread(match_plans, self._texts, plans[some], octets)
            facts |= dict(zip(todo[some], met, strict=True))
        return facts


def groups(ranges: Sequence[tuple[Rope, int, int]]) -> Iterator[slice]:
    """Slices of *ranges* with together at most TOGETHER octets, or a single one."""
    start = total = 0
    for at, (_, first, last) in enumerate(ranges):
        if at > start and total + last - first > TOGETHER:
            yield slice(start, at)
            start, total = at, 0
        total += last - first
    if start < len(ranges):
        yield slice(start, len(ranges))
