"""SORT and UID SORT (RFC 5256 §3, SORT=DISPLAY: RFC 5957), with the return options of ESORT (RFC 5267 §3) and PARTIAL."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....protocols.imap import responses
from ....protocols.imap.commands import Sort, SortField, SortKey
from ....protocols.imap.events import Command
from ....protocols.imap.search_keys import ModSeqFrom
from ....protocols.imap.sequence import format_in_order
from .. import searching
from ..contexts import Context
from ..message_limit import check_search
from ..selected import Selected
from ..sort_keys import PLACES, Value, overview_values, row_values
from .fetch import part_of
from .search import check_options, check_tag, find, keep, relevancy

if TYPE_CHECKING:
    from ..session import Session

Columns = dict[str, dict[int, Value]]
"""By field, the value to sort by of each uid."""

LABEL = b"sort "
"""Under which, with the field, `AnswerCache` keeps what is sorted by; no attributes of FETCH are called so."""
SORT_ON_LOOP = 5000
"""Messages up to which they are sorted on the event loop."""
STEP_ROWS = 2000
STEP_OVERVIEWS = 1000


async def sort(session: Session, command: Command, request: Sort) -> bytes | None:
    selected, wanted = session.mailbox, request.returns
    check_options(request)
    check_tag(selected, command, wanted)
    columns: Columns = {}
    check_search(session, request.key)
    by_modseq = any(isinstance(leaf, ModSeqFrom) for leaf in searching.leaves(request.key))
    if by_modseq:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
    saves = wanted is not None and wanted.save
    try:
        ordered = await _ordered(session, selected, request, await find(session, request.key), columns)
    except Exception:
        if saves:
            selected.saved = array("I")  # RFC 5182 §2.1
        raise
    modseqs = selected.view.snapshot.modseqs
    modseq = max(modseqs[slot] for slot in ordered) if by_modseq and ordered else None
    if wanted is None:
        session.dialogue.write(responses.sort(_numbers(selected, ordered, request.uid), modseq))
        return None
    if saves:
        selected.saved = array("I", sorted(selected.uids(ordered)))
    results: list[tuple[bytes, int | bytes]] = []
    if ordered:
        # RFC 5267 §3: the first and the last in this order.
        first, last = _numbers(selected, array("I", (ordered[0], ordered[-1])), request.uid)
        results += [(b"MIN", first)] * wanted.min + [(b"MAX", last)] * wanted.max
        if wanted.all:
            results.append((b"ALL", format_in_order(_numbers(selected, ordered, request.uid))))
    if wanted.count:
        results.append((b"COUNT", len(ordered)))
    if wanted.partial is not None:
        part = _numbers(selected, part_of(ordered, wanted.partial), request.uid)
        found = format_in_order(part) if part else b"NIL"
        results.append((b"PARTIAL", b"(%d:%d %b)" % (wanted.partial.first, wanted.partial.last, found)))
    if wanted.relevancy and ordered:
        results.append(relevancy(len(ordered)))
    if modseq is not None:
        results.append((b"MODSEQ", modseq))
    if wanted.min or wanted.max or wanted.all or wanted.count or wanted.partial or wanted.relevancy:
        session.dialogue.write(responses.esearch(command.tag, request.uid, results))
    if wanted.update:

        async def arrange(slots: array[int]) -> array[int]:
            return await _ordered(session, selected, request, slots, columns)

        keep(session, selected, Context(command.tag, request, ordered, arrange))
    return None


def _numbers(selected: Selected, slots: Sequence[int], uid: bool) -> list[int]:
    if uid:
        return selected.uids(slots)
    view = selected.view
    return [view.number_of(slot) for slot in slots]


async def _ordered(session: Session, selected: Selected, request: Sort, slots: array[int], columns: Columns) -> array[int]:
    """*slots* in the order asked for; equal ones by sequence number, also in reverse (RFC 5256 §3).

    What was read of them is put into *columns*, and not read again when it is there.
    """
    everything = slots
    if columns:
        uids, known = selected.view.snapshot.uids, next(iter(columns.values()))
        slots = array("I", [slot for slot in slots if uids[slot] not in known])
    narrow = {key.field for key in request.order if key.field not in PLACES}
    wide = {key.field for key in request.order if key.field in PLACES}
    box, store = selected.loaded, session.store
    for at in range(0, len(slots) if narrow else 0, STEP_ROWS):
        part = slots[at : at + STEP_ROWS]
        rows = await store.email_sizes(box.principal, box.account, box.mailbox, selected.uids(part))
        for field in narrow:
            values = row_values(field, rows)
            columns.setdefault(field, {}).update(zip([row[0] for row in rows], values, strict=True))
        await session.dialogue.breathe()
    for at in range(0, len(slots) if wide else 0, STEP_OVERVIEWS):
        await _read_wide(session, selected, slots[at : at + STEP_OVERVIEWS], wide, columns)
        await session.dialogue.breathe()
    uids = selected.view.snapshot.uids
    if len(everything) <= SORT_ON_LOOP:
        return _arranged(everything, uids, request.order, columns)
    return await asyncio.to_thread(_arranged, everything, uids, request.order, columns)


def _arranged(slots: Sequence[int], uids: Sequence[int], order: Sequence[SortKey], columns: Columns) -> array[int]:
    """Those of *slots* that have a value in each of *columns*, sorted."""
    there = [slot for slot in slots if all(uids[slot] in column for column in columns.values())]
    for key in reversed(each_once(order)):  # a stable sort each, the least important first
        column = columns.get(key.field, {})
        there.sort(key=lambda slot, column=column: column[uids[slot]], reverse=key.reverse)  # type: ignore[misc]
    return array("I", there)


def each_once(order: Sequence[SortKey]) -> list[SortKey]:
    """Without keys that decide nothing: what is equal by a field is so when the field is named again."""
    found: dict[SortField, SortKey] = {}
    for key in order:
        found.setdefault(key.field, key)
    return list(found.values())


async def _read_wide(session: Session, selected: Selected, slots: array[int], fields: set[SortField], columns: Columns) -> None:
    """The values of what the envelope says; kept, since programs that sort here do so again and again."""
    box, kept, uids = selected.loaded, session.server.answers, selected.uids(slots)
    missing = set()
    for field in fields:
        values = kept.get(box.key, LABEL + field.encode(), uids)
        if values is None:
            missing.add(field)
        else:
            columns.setdefault(field, {}).update(zip(uids, values, strict=True))
    if not missing:
        return
    rows = await session.store.overviews(box.principal, box.account, box.mailbox, uids)
    there, stored = [row[0] for row in rows], [row[7] for row in rows]
    for field in missing:
        values = await asyncio.to_thread(overview_values, field, stored)
        kept.put(box.key, LABEL + field.encode(), there, values)
        columns.setdefault(field, {}).update(zip(there, values, strict=True))
