"""EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9; RFC 4315 §2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....protocols.imap.commands import Expunge
from ....protocols.imap.events import Command
from ....protocols.imap.response_codes import highest_modseq
from ..answers import No
from ..message_limit import cut

if TYPE_CHECKING:
    from ..session import Session


async def expunge(session: Session, command: Command, request: Expunge) -> bytes | None:
    selected = session.mailbox
    if selected.read_only:
        raise No("Mailbox was opened read-only", b"CANNOT")
    box = selected.loaded
    uids = None if request.numbers is None else selected.uids(cut(session, selected.slots(request.numbers, uid=True)))
    gone = await session.store.expunge(box.principal, box.account, box.mailbox, uids) if uids is None or uids else []
    await session.tell(expunges=True, reread=True)
    if session.qresync and gone:
        return b"[%b] Expunged" % highest_modseq(selected.view.modseq)  # RFC 7162 §3.2.7
    return None
