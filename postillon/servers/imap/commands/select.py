"""SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 §6.3.2, §6.3.3, §6.4.1, §6.4.2), with QRESYNC (RFC 7162 §3.1.8, §3.2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.access import CHANGING, Rights
from ....model.ids import ModSeq
from ....protocols.imap.commands import Close, QResync, Select, Unselect
from ....protocols.imap.events import Command
from ....protocols.imap.response_codes import URLMECH, highest_modseq
from ....protocols.imap.sequence import select, to_ranges
from ..answers import BadCommand
from ..objectid import mailbox_id
from ..selected import Selected
from ..vanished import gone_earlier
from .mailboxes import find

if TYPE_CHECKING:
    from ..session import Session


async def select_(session: Session, command: Command, request: Select) -> bytes | None:
    if request.qresync is not None and not session.qresync:
        raise BadCommand("ENABLE QRESYNC first")  # RFC 7162 §3.2.5
    if session.selected is not None:
        session.unselect()
        if session.qresync or session.rev2:
            session.dialogue.write(b"* OK [CLOSED] Previous mailbox is closed\r\n")  # RFC 9051 §7.1
    if request.condstore:
        session.enabled.add("CONDSTORE")
    row = await find(session, request.mailbox)
    session.watch(row)
    session.dialogue.alarm.news = False  # before we look: what happens meanwhile rings again
    loaded, row = await session.server.snapshots.open(session.principal, row)
    selected = Selected(loaded, row, read_only=request.read_only, now=session.now(), by_uid=session.uidonly)
    session.selected = selected
    for line in _opening(session, selected):
        session.dialogue.write(line)
    if request.qresync is not None and request.qresync.uidvalidity == row.uidvalidity:
        await _resynchronise(session, selected, request.qresync)
    if request.read_only:
        return b"[READ-ONLY] Examining"
    # RFC 4314 §5.2: who may change nothing hears so.
    return b"[READ-WRITE] Selected" if row.rights & CHANGING else b"[READ-ONLY] Selected, to look at only"


def _opening(session: Session, selected: Selected) -> list[bytes]:
    """RFC 9051 §6.3.2, and what RFC 3501 §6.3.1 had besides."""
    view, row = selected.view, selected.mailbox
    uidnext = max(row.uidnext, view.last_uid + 1)
    lines = selected.flags_lines()
    lines.append(b"* %d EXISTS\r\n" % view.exists)
    if not session.rev2:
        # RFC 9051 did away with \Recent; RFC 3501 wants to hear it, and 0 is a number that is never wrong for long.
        lines.append(b"* 0 RECENT\r\n")
        slot = view.snapshot.first_unseen() if row.unseen else None
        if slot is not None and slot < view.seen and not session.uidonly:
            lines.append(b"* OK [UNSEEN %d] First unseen message\r\n" % view.number_of(slot))
    lines.append(b"* OK [UIDVALIDITY %d] UIDs are valid\r\n" % row.uidvalidity)
    lines.append(b"* OK [UIDNEXT %d] Next UID\r\n" % uidnext)
    lines.append(b"* OK [%b] Highest mod-sequence\r\n" % highest_modseq(view.modseq))
    lines.append(b"* OK [MAILBOXID (%b)] Mailbox id\r\n" % mailbox_id(row.id))  # RFC 8474 §4.2
    lines.append(b"* OK [%b] URLs can be signed\r\n" % URLMECH)  # RFC 4467 §8
    if session.rev2:
        # RFC 9051 §6.3.2: the name as we spell it.
        lines.append(b'* LIST () "/" %b\r\n' % session.mailbox_name(row.path))
    return lines


async def _resynchronise(session: Session, selected: Selected, known: QResync) -> None:
    """RFC 7162 §3.2.5.2: what is gone and what changed since the client was last here."""
    view, row = selected.view, selected.mailbox
    if known.modseq >= view.modseq:
        return
    changes = await session.store.changes(session.principal, row.account, row.id, ModSeq(known.modseq))
    if vanished := gone_earlier(selected, changes, known.known_uids):
        session.dialogue.write(b"* VANISHED (EARLIER) %b\r\n" % vanished)
    wanted = known.known_uids.resolve(view.last_uid) if known.known_uids is not None else None
    uids: list[int] = [uid for uid, _, _ in changes.changed]
    uids = uids if wanted is None else select(uids, wanted)
    slots = view.slots_of_uids(to_ranges(uids))
    for at in range(0, len(slots), 500):
        session.dialogue.write(b"".join(selected.fetch_flags(slots[at : at + 500], modseq=True)))
        await session.dialogue.breathe()


async def close(session: Session, command: Command, request: Close) -> bytes | None:
    """Expunges silently, unless the mailbox was opened by EXAMINE."""
    selected = session.mailbox
    highest = None
    if not selected.read_only and selected.mailbox.rights & Rights.EXPUNGE:  # RFC 4314 §4: else it only closes
        box = selected.loaded
        if selected.mailbox.deleted or await _has_deleted(session, selected):
            await session.store.expunge(session.principal, box.account, box.mailbox, None)
            if session.qresync:
                highest = (await session.store.mailbox(session.principal, box.account, box.mailbox)).modseq
    session.unselect()
    # RFC 7162 §3.2.8: only after an expunge, and then it must be there.
    return b"[%b] Closed" % highest_modseq(highest) if highest is not None else None


async def _has_deleted(session: Session, selected: Selected) -> bool:
    row = await selected.loaded.refresh()
    return row is not None and row.deleted > 0


async def unselect(session: Session, command: Command, request: Unselect) -> bytes | None:
    session.unselect()
    return None
