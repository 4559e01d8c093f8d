"""COPY and MOVE with COPYUID (RFC 9051 §6.4.7, §6.4.8; RFC 4315, RFC 6851)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....protocols.imap.commands import Copy, Move
from ....protocols.imap.events import Command
from ....protocols.imap.response_codes import copy_uid, highest_modseq
from ....storage.store import CopyResult
from ..answers import No
from ..message_limit import check_saved, cut
from .mailboxes import target

if TYPE_CHECKING:
    from ..session import Session


async def copy(session: Session, command: Command, request: Copy) -> bytes | None:
    selected = session.mailbox
    uids = selected.uids(selected.slots(request.numbers, uid=request.uid))
    to = await target(session, request.mailbox)
    if not uids:
        return None
    check_saved(session, len(uids), uids)
    box = selected.loaded
    result = await session.store.copy(box.principal, box.account, box.mailbox, uids, to.id, to.account)
    return await _done(session, result, len(uids), uid=request.uid, same=to.id == box.mailbox)


async def move(session: Session, command: Command, request: Move) -> bytes | None:
    selected = session.mailbox
    if selected.read_only:
        raise No("Mailbox was opened read-only", b"CANNOT")
    uids = selected.uids(cut(session, selected.slots(request.numbers, uid=request.uid)))
    to = await target(session, request.mailbox)
    if not uids:
        return None
    box = selected.loaded
    result = await session.store.move(box.principal, box.account, box.mailbox, uids, to.id, to.account)
    if result.pairs:
        # RFC 6851 §4.3: before the EXPUNGE responses, so that the client knows what went where.
        session.dialogue.write(b"* OK [%b] Moved\r\n" % copy_uid(result.uidvalidity, result.pairs))
    await session.tell(expunges=True, reread=True)
    if len(result.pairs) < len(uids) and not request.uid:
        raise No("Some of the messages were expunged", b"EXPUNGEISSUED")
    if session.qresync and result.pairs:
        return b"[%b] Moved" % highest_modseq(selected.view.modseq)  # RFC 7162 §3.2.10
    return None


async def _done(session: Session, result: CopyResult, wanted: int, *, uid: bool, same: bool) -> bytes | None:
    if same:
        await session.tell(expunges=True, reread=True)
    if not result.pairs:
        if uid:
            return None
        raise No("The messages were expunged", b"EXPUNGEISSUED")
    text = b"Copied" if len(result.pairs) == wanted else b"Copied, without those that were expunged"
    return b"[%b] %b" % (copy_uid(result.uidvalidity, result.pairs), text)
