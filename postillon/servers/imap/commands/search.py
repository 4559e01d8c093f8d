"""SEARCH and UID SEARCH: results as `* SEARCH` or ESEARCH, saved as `$`, in parts, kept up to date
(RFC 9051 §6.4.4; RFC 4731, 5182, 5267, 9394, 7162).

How keys are evaluated is in `searching`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....model.errors import Refusal
from ....protocols.imap import responses
from ....protocols.imap.commands import Search, SearchReturn, Sort
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import CancelUpdate, SearchMailboxes
from ....protocols.imap.response_codes import no_update
from ....protocols.imap.search_keys import Fuzzy, ModSeqFrom, SearchKey
from ....protocols.imap.sequence import format_set
from .. import searching
from ..answers import BadCommand
from ..contexts import Context, refusal
from ..message_limit import narrowed
from ..selected import Selected
from .fetch import part_of

if TYPE_CHECKING:
    from ..session import Session


async def search(session: Session, command: Command, request: Search) -> bytes | None:
    selected, wanted = session.mailbox, request.returns
    check_options(request)
    check_tag(selected, command, wanted)
    by_modseq = any(isinstance(leaf, ModSeqFrom) for leaf in searching.leaves(request.key))
    if by_modseq:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
    saves = wanted is not None and wanted.save
    try:
        slots = await find(session, narrowed(session, request.key))
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
    if wanted.update:
        keep(session, selected, Context(command.tag, request, array("I", slots)))
    return None


def check_tag(selected: Selected, command: Command, wanted: SearchReturn | None) -> None:
    """RFC 5267 §4.3: updates are told by the tag, so it must not be in use. Raises BadCommand."""
    if wanted is not None and wanted.update:
        if command.tag in selected.contexts.by_tag:
            raise BadCommand("The tag is that of another search")
        selected.contexts.watch(selected.view)  # from before the search: what happens while it runs counts, too


def keep(session: Session, selected: Selected, context: Context) -> None:
    """Keep a search up to date from now on, or tell that it will not be (RFC 5267 §4.3.1)."""
    request, contexts = context.request, selected.contexts
    is_sorted = context.arrange is not None
    reason = refusal(searching.leaves(request.key), len(context.results), contexts.by_tag, is_sorted=is_sorted)
    if reason or session.limited is not None:
        reason = reason or "It did not look at all messages"
        session.dialogue.write(b"* NO [%b] %b\r\n" % (no_update(context.tag), reason.encode()))
        contexts.end(selected.view, ())
    else:
        contexts.begin(selected.view, context)


async def tell_updates(session: Session, selected: Selected, since: int | None = None) -> None:
    """Before the news of the mailbox are told, and (*since*: the first new slot) when they were (RFC 5267 §4.3.3, §4.3.4)."""
    contexts, view = selected.contexts, selected.view

    async def again(key: SearchKey) -> array[int]:
        return await find(session, key, selected)

    try:
        if since is None:
            lines = await contexts.before_news(view, again)
        else:
            lines = await contexts.after_news(view, since, again)
    except Refusal as error:
        # The mailbox cannot be read now, and what was missed could not be made up for.
        session.log.warning("searches are no longer kept up to date", status=error.status, detail=error.detail or error.text)
        lines = [b"* NO [%b] Mailbox cannot be read now\r\n" % no_update(tag) for tag in contexts.by_tag]
        contexts.end(view, list(contexts.by_tag))
    session.dialogue.write_all(lines)


async def cancelupdate(session: Session, command: Command, request: CancelUpdate) -> bytes | None:
    selected = session.mailbox
    selected.contexts.end(selected.view, request.tags)
    return None


def check_options(request: Search | Sort | SearchMailboxes) -> None:
    """Raises BadCommand."""
    wanted = request.returns
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
