"""SEARCH and UID SEARCH: results as `* SEARCH` or ESEARCH, saved as `$`, in parts (RFC 9051 §6.4.4; RFC 4731, 5182, 9394, 7162).

How keys are evaluated is in `searching`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....protocols.imap import responses
from ....protocols.imap.commands import Search, SearchReturn, Sort
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import SearchMailboxes
from ....protocols.imap.search_keys import Fuzzy, ModSeqFrom, SearchKey
from ....protocols.imap.sequence import format_set
from .. import searching
from ..answers import BadCommand
from ..selected import Selected
from .fetch import part_of

if TYPE_CHECKING:
    from ..session import Session


async def search(session: Session, command: Command, request: Search) -> bytes | None:
    selected, wanted = session.mailbox, request.returns
    check_options(request)
    by_modseq = any(isinstance(leaf, ModSeqFrom) for leaf in searching.leaves(request.key))
    if by_modseq:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
    saves = wanted is not None and wanted.save
    try:
        slots = await find(session, request.key)
    except Exception:
        if saves:
            selected.saved = array("I")  # RFC 5182 §2.1: a search that fails leaves nothing
        raise
    if wanted is None and not session.rev2:
        modseq = _highest(selected, slots) if by_modseq and slots else None
        session.dialogue.write(responses.search(_numbers(selected, slots, request.uid), modseq))
        return None
    wanted = wanted or SearchReturn(all=True)
    if saves:
        selected.saved = array("I", selected.uids(saved_of(slots, wanted)))
    results = results_of(selected, wanted, slots, uid=request.uid, by_modseq=by_modseq)
    if results is not None:
        session.dialogue.write(responses.esearch(command.tag, request.uid, results))
    return None


def check_options(request: Search | Sort | SearchMailboxes) -> None:
    """Raises BadCommand."""
    wanted = request.returns
    if wanted is not None and (wanted.update or wanted.context):
        raise BadCommand("Search return option is not supported")
    by_relevancy = isinstance(request, Sort) and any(key.field == "RELEVANCY" for key in request.order)
    by_relevancy |= wanted is not None and wanted.relevancy
    if by_relevancy and not any(isinstance(key, Fuzzy) for key in searching.nodes(request.key)):
        raise BadCommand("RELEVANCY needs FUZZY")  # RFC 6203 §4


def relevancy(count: int) -> tuple[bytes, bytes]:
    """RFC 6203 §4: a score for each result, and all of ours match exactly."""
    return b"RELEVANCY", b"(" + b" ".join([b"100"] * count) + b")"


async def find(session: Session, key: SearchKey, selected: Selected | None = None) -> array[int]:
    """The slots of the selected mailbox (or of *selected*, another one) that match *key*, ascending."""
    server, selected = session.server, selected or session.mailbox
    indexed = None if server.indexed is None else server.indexed.of(selected.loaded)
    return await searching.find(key, selected, session.store, server.clock.now(), session.dialogue.breathe, indexed)


def _numbers(selected: Selected, slots: Sequence[int], uid: bool) -> list[int]:
    return selected.uids(slots) if uid else selected.view.numbers_of(slots)


def _highest(selected: Selected, slots: Sequence[int]) -> int:
    modseqs = selected.view.snapshot.modseqs
    return max(modseqs[slot] for slot in slots)


def _only_ends(wanted: SearchReturn) -> bool:
    """Just MIN or MAX are asked for (RFC 4731 §3.2, RFC 5182 §2.4: then nothing else counts)."""
    return (wanted.min or wanted.max) and not (wanted.all or wanted.count or wanted.partial)


def _ends(slots: array[int], wanted: SearchReturn) -> array[int]:
    ends = dict.fromkeys((*slots[:1] * wanted.min, *slots[-1:] * wanted.max))
    return array("I", ends)


def saved_of(slots: array[int], wanted: SearchReturn) -> array[int]:
    if wanted.partial is not None:
        return part_of(slots, wanted.partial)  # RFC 9394 §3.2
    return _ends(slots, wanted) if _only_ends(wanted) else slots


def results_of(
    selected: Selected, wanted: SearchReturn, slots: array[int], *, uid: bool, by_modseq: bool
) -> list[tuple[bytes, int | bytes]] | None:
    """The pairs of ESEARCH; None if only SAVE was asked for (RFC 5182 §2.1: then there is no response)."""
    if not (wanted.min or wanted.max or wanted.all or wanted.count or wanted.partial or wanted.relevancy):
        return None
    results: list[tuple[bytes, int | bytes]] = []
    if slots:
        ends = _numbers(selected, array("I", (slots[0], slots[-1])), uid)
        if wanted.min:
            results.append((b"MIN", ends[0]))
        if wanted.max:
            results.append((b"MAX", ends[1]))
        if wanted.all:
            results.append((b"ALL", format_set(_numbers(selected, slots, uid))))
    if wanted.count:
        results.append((b"COUNT", len(slots)))
    if wanted.partial is not None:
        part = _numbers(selected, part_of(slots, wanted.partial), uid)
        found = format_set(part) if part else b"NIL"
        results.append((b"PARTIAL", b"(%d:%d %b)" % (wanted.partial.first, wanted.partial.last, found)))
    if wanted.relevancy and slots:
        results.append(relevancy(len(slots)))
    if by_modseq and slots:
        counted = _ends(slots, wanted) if _only_ends(wanted) else slots
        results.append((b"MODSEQ", _highest(selected, counted)))
    return results
