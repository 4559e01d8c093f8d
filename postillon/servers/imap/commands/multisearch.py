"""ESEARCH, the command: one search over several mailboxes, none of which need be selected (RFC 7377).

Each mailbox is looked at through a view of its own for as long as its search takes. The answers carry uids.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....model.access import Rights
from ....model.errors import Refusal
from ....model.mail import Mailbox
from ....protocols.imap.commands import SearchReturn
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import MailboxFilter, Scope, SearchMailboxes
from ....protocols.imap.extension_responses import esearch_in
from ....protocols.imap.response_codes import no_update
from ....protocols.imap.search_keys import ModSeqFrom, Numbers, Uids
from ....protocols.imap.sequence import SavedResult
from .. import searching
from ..answers import BadCommand, No
from ..named import MAX_FILTERS, Named, Path
from ..selected import Selected
from .search import check_options, find, results_of, saved_of

if TYPE_CHECKING:
    from ..session import Session

_NOT_DELIVERED_TO = ("drafts", "sent", "trash", "all", "flagged")
"""Roles of mailboxes that no mail arrives in by itself."""


async def esearch(session: Session, command: Command, request: SearchMailboxes) -> bytes | None:
    check_options(request)
    if len(request.sources) > MAX_FILTERS:
        raise No("Too many mailbox filters", b"LIMIT")
    _check_numbers(session, request)
    if any(isinstance(leaf, ModSeqFrom) for leaf in searching.leaves(request.key)):
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
    if request.returns.update:
        # RFC 5267 §4.3.1: a search that is not of the selected mailbox alone is not kept up to date; it is done all the same.
        session.dialogue.write(b"* NO [%b] Only a search of the selected mailbox is kept up to date\r\n" % no_update(command.tag))
    if request.returns.save:
        session.mailbox.saved = array("I")  # RFC 5182 §2.1: a search that fails leaves nothing
    for mailbox in await _mailboxes(session, request.sources):
        await _search(session, command, request, mailbox)
        await session.dialogue.breathe()
    return None


def _is_selected_only(request: SearchMailboxes) -> bool:
    return all(source.scope is Scope.SELECTED for source in request.sources)


def _check_numbers(session: Session, request: SearchMailboxes) -> None:
    """RFC 7377 §2.1, §2.2: what only means something in one mailbox. Raises BadCommand."""
    if any(source.scope is Scope.SELECTED for source in request.sources) and session.selected is None:
        raise BadCommand("No mailbox is selected")
    if _is_selected_only(request):
        return
    if request.returns.save:
        raise BadCommand("SAVE is for the selected mailbox only")
    named = [name for source in request.sources for name in source.mailboxes]
    is_one = len(named) == 1 and request.sources[0].scope is Scope.MAILBOXES and len(request.sources) == 1
    for leaf in searching.leaves(request.key):
        if isinstance(leaf, Numbers) or (isinstance(leaf, Uids) and (isinstance(leaf.numbers, SavedResult) or not is_one)):
            raise BadCommand("Message numbers mean nothing in several mailboxes")


async def _mailboxes(session: Session, sources: Sequence[MailboxFilter]) -> list[Mailbox]:
    """What *sources* mean, each once. A name that there is not is no error (RFC 7377 §2.2)."""
    selected = session.selected
    if all(source.scope is Scope.SELECTED for source in sources):
        assert selected is not None
        return [selected.mailbox]
    store, owner = session.store, session.owner.id
    boxes = await store.visible_mailboxes(session.principal, owner)
    boxes = [box for box in boxes if box.selectable and box.rights & Rights.READ]
    subscribed = await store.subscriptions(session.principal, owner)
    here = selected.loaded.mailbox if selected is not None else 0
    wanted = [(source.scope, Named(source)) for source in sources]
    return [
        box for box in boxes if any(box.path in named or _means(scope, box, owner, subscribed, here) for scope, named in wanted)
    ]


def _means(scope: Scope, box: Mailbox, owner: int, subscribed: set[Path], selected: int) -> bool:
    """For the scopes that name no mailboxes."""
    if scope is Scope.SELECTED:
        return box.id == selected
    if scope is Scope.PERSONAL:
        return box.account == owner
    if scope is Scope.INBOXES:
        return box.account == owner and box.role not in _NOT_DELIVERED_TO  # a rule of the user's may deliver anywhere else
    return scope is Scope.SUBSCRIBED and box.path in subscribed


async def _search(session: Session, command: Command, request: SearchMailboxes, mailbox: Mailbox) -> None:
    selected = session.selected
    if selected is not None and selected.loaded.mailbox == mailbox.id:
        await _answer(session, command, request, selected)
        return
    try:
        loaded, row = await session.server.snapshots.open(session.principal, mailbox)
    except Refusal as error:
        session.log.debug("mailbox not searched", status=error.status, detail=error.detail or error.text)
        return  # it went away, or may not be read
    other = Selected(loaded, row, read_only=True, now=session.now(), by_uid=True)
    try:
        await _answer(session, command, request, other)
    finally:
        other.view.close()


async def _answer(session: Session, command: Command, request: SearchMailboxes, selected: Selected) -> None:
    wanted: SearchReturn = request.returns
    slots = await find(session, request.key, selected)
    if wanted.save:
        selected.saved = array("I", selected.uids(saved_of(slots, wanted)))
    if not slots:
        return  # RFC 7377 §2.1: nothing is said of a mailbox without a match, whatever was asked for
    by_modseq = any(isinstance(leaf, ModSeqFrom) for leaf in searching.leaves(request.key))
    results = results_of(selected, wanted, slots, uid=True, by_modseq=by_modseq)
    if results is not None:
        name = "/".join(selected.mailbox.path)
        session.dialogue.write(esearch_in(command.tag, name, selected.loaded.uidvalidity, results, session.utf8))
