"""FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 3501 §6.4.5), with CHANGEDSINCE, VANISHED, PARTIAL (RFC 7162, RFC 9394).

What a message looks like on the wire is in `fetch_items`, reading octets in `fetch_octets`. Here: which messages, in slices,
so that a long answer holds up nobody and no more of it lies in memory than the client takes.
"""

from __future__ import annotations

from array import array
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ....model.access import Rights
from ....model.errors import NotFound, NotPermitted
from ....model.ids import ModSeq
from ....model.mail import SEEN, Email
from ....protocols.imap.commands import Fetch, Partial
from ....protocols.imap.events import Command
from ....protocols.imap.fetch_attributes import Attribute, FetchAttribute
from ....protocols.imap.sequence import SavedResult, SequenceSet
from ..answers import BadCommand, No
from ..fetch_items import Batch, Level, Plan, plan_of
from ..message_limit import check, cut
from ..previews import add_previews
from ..selected import Selected
from ..vanished import gone_earlier
from .fetch_octets import send_frames, send_octets, texts

if TYPE_CHECKING:
    from ..session import Session

SLICES = {Level.SNAPSHOT: 2000, Level.NARROW: 1000, Level.WIDE: 500, Level.OCTETS: 200}
"""Messages that are read and formatted in one go."""
WHOLE_SLICE = 32
"""The same, where whole messages are asked for: their small bodies are together at most 2 MiB."""
_NO_ROW = (None,)


async def fetch(session: Session, command: Command, request: Fetch) -> bytes | None:
    selected = session.mailbox
    if request.vanished and not session.qresync:
        raise BadCommand("ENABLE QRESYNC first")  # RFC 7162 §3.2.6
    slots = selected.slots(request.numbers, uid=request.uid)
    attributes = _attributes(session, request)
    if request.changed_since is not None:
        modseqs, since = selected.view.snapshot.modseqs, request.changed_since
        slots = array("I", [slot for slot in slots if modseqs[slot] > since])
        if request.vanished:
            await _vanished(session, selected, request)
    if request.partial is not None:
        check(session, abs(request.partial.last - request.partial.first) + 1)
        slots = part_of(slots, request.partial)
    slots = cut(session, slots)
    missing = await send(session, selected, slots, attributes)
    if missing and not request.uid:
        # RFC 5530 §3: the client may still see the number of what another session expunged.
        raise No("Some of the messages were expunged", b"EXPUNGEISSUED")
    return None


def part_of(slots: array[int], partial: Partial) -> array[int]:
    """RFC 9394 §3.1: the results asked for, counted from the first or, with negative numbers, from the last."""
    if partial.first > 0:
        return slots[partial.first - 1 : partial.last]
    count = len(slots)
    return slots[max(count + partial.last, 0) : max(count + partial.first + 1, 0)]


def _attributes(session: Session, request: Fetch) -> tuple[FetchAttribute, ...]:
    attributes = request.attributes
    if request.changed_since is not None or Attribute.MODSEQ in attributes:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
        if Attribute.MODSEQ not in attributes:
            attributes = (*attributes, Attribute.MODSEQ)
    if request.uid and Attribute.UID not in attributes and not session.uidonly:
        attributes = (Attribute.UID, *attributes)
    return attributes


async def _vanished(session: Session, selected: Selected, request: Fetch) -> None:
    """RFC 7162 §3.2.6: which of the uids asked for are gone since."""
    assert request.changed_since is not None
    box = selected.loaded
    changes = await session.store.changes(box.principal, box.account, box.mailbox, ModSeq(request.changed_since))
    numbers = request.numbers
    wanted = SequenceSet(tuple((uid, uid) for uid in selected.saved)) if isinstance(numbers, SavedResult) else numbers
    if vanished := gone_earlier(selected, changes, wanted):
        session.dialogue.write(b"* VANISHED (EARLIER) %b\r\n" % vanished)


async def send(session: Session, selected: Selected, slots: array[int], attributes: tuple[FetchAttribute, ...]) -> bool:
    """Answer for *slots*. True: some messages' rows were gone."""
    plan = plan_of(attributes)
    # RFC 4314 §4: without s nothing is marked, and nothing is said.
    marks = plan.sets_seen and not selected.read_only and bool(selected.mailbox.rights & Rights.SEEN)
    missing = False
    is_whole = plan.is_whole
    size = WHOLE_SLICE if is_whole else SLICES[plan.level]
    for at in range(0, len(slots), size):
        part = slots[at : at + size]
        chosen = plan
        if marks and await _mark_seen(session, selected, part):
            # RFC 9051 §6.4.5: the client should hear of the flag that changed because it read.
            extra = (Attribute.FLAGS, Attribute.MODSEQ) if session.condstore else (Attribute.FLAGS,)
            chosen = plan_of((*attributes, *(item for item in extra if item not in attributes)))
        if chosen.needs_flags:
            for line in selected.new_keywords():
                session.dialogue.write(line)
        batch = Batch(selected.view, selected.loaded.keywords, part, by_uid=selected.by_uid)
        known = _known(session, selected, batch, chosen) if chosen.is_kept else None
        if known is not None:
            session.dialogue.write(chosen.lines(batch, known))
            await session.dialogue.breathe()
            continue
        if is_whole:
            missing |= await _send_whole(session, selected, batch, chosen)
            continue
        missing |= await _read(session, selected, batch, chosen.level)
        if chosen.needs_previews:
            await add_previews(session, batch)
        if chosen.sections:
            await send_octets(session, batch, chosen, selected.loaded.key)
        else:
            session.dialogue.write(chosen.lines(batch, texts(session, selected.loaded.key, batch, chosen)))
        await session.dialogue.breathe()
    return missing


async def _mark_seen(session: Session, selected: Selected, slots: array[int]) -> bool:
    """Set \\Seen where it is not; True if that changed something."""
    snapshot, box = selected.view.snapshot, selected.loaded
    unseen = [snapshot.uids[slot] for slot in slots if not snapshot.flags(slot) & SEEN]
    if not unseen:
        return False
    try:
        result = await session.store.store_flags(box.principal, box.account, box.mailbox, unseen, "add", SEEN)
    except (NotFound, NotPermitted):
        return False  # the mailbox, or the right, went away; the client hears it with the news
    await selected.learn(result.changed)
    return bool(result.changed)


def _known(session: Session, selected: Selected, batch: Batch, plan: Plan) -> list[list[bytes]] | None:
    """What was asked for before; None if we do not have it all."""
    known = []
    for group in plan.groups:
        values = session.server.answers.get(selected.loaded.key, group.template, batch.uids)
        if values is None:
            return None
        known.append(values)
    return known


async def _send_whole(session: Session, selected: Selected, batch: Batch, plan: Plan) -> bool:
    """Whole messages, their rows and octets read in one go; what that cannot give goes the long way. True: some are gone."""
    box = selected.loaded
    rows = {row[0]: row for row in await session.store.whole(box.principal, box.account, box.mailbox, batch.uids)}
    missing = False
    for is_here, run in groupby(batch.slots, lambda slot: rows.get(batch.view.snapshot.uids[slot], _NO_ROW)[-1] is not None):
        part = Batch(batch.view, batch.keywords, list(run), by_uid=batch.by_uid)
        if is_here:
            part.take_rows([rows[uid] for uid in part.uids])
            send_frames(session, part, plan, [rows[uid][-1] for uid in part.uids])
            await session.dialogue.breathe()
        else:
            missing |= await _read(session, selected, part, plan.level)
            await send_octets(session, part, plan, box.key)
    return missing


async def _read(session: Session, selected: Selected, batch: Batch, level: Level) -> bool:
    """Read the rows that *level* needs into *batch*; True if some are gone for good."""
    box, store = selected.loaded, session.store
    if level is Level.SNAPSHOT:
        return False
    if level is Level.NARROW:
        rows = await store.email_sizes(box.principal, box.account, box.mailbox, batch.uids)
        late = await _expunged(session, selected, batch, [row[0] for row in rows])
        rows += [(e.uid, e.received, e.zone, e.size, e.saved, 0, e.id, e.thread) for e in late]
        return batch.take_rows(sorted(rows, key=_uid) if late else rows)
    if level is Level.WIDE:
        rows = await store.overviews(box.principal, box.account, box.mailbox, batch.uids)
        late = await _expunged(session, selected, batch, [row[0] for row in rows])
        rows += [(e.uid, e.received, e.zone, e.size, e.saved, e.id, e.thread, e.overview) for e in late]
        return batch.take_overviews(sorted(rows, key=_uid) if late else rows)
    emails = await store.emails(box.principal, box.account, box.mailbox, batch.uids)
    late = await _expunged(session, selected, batch, [email.uid for email in emails])
    return batch.take_emails(sorted(emails + late, key=lambda email: email.uid))


def _uid(row: tuple[Any, ...]) -> int:
    return int(row[0])


async def _expunged(session: Session, selected: Selected, batch: Batch, found: list[int]) -> list[Email]:
    """RFC 2180 §4.1.2: what another session expunged and the client still counts can be read for a while."""
    if len(found) == len(batch.uids):
        return []
    missing = sorted(set(batch.uids) - set(found))
    box, since = selected.loaded, selected.view.modseq
    return await session.store.expunged(box.principal, box.account, box.mailbox, missing, since)
