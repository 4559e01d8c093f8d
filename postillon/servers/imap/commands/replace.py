"""REPLACE and UID REPLACE (RFC 8508): a new version of a message takes the place of the old one, as one change.

The octets come in as those of APPEND do, see `append`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.access import REMOVING
from ....model.errors import NotFound, NotPermitted
from ....model.ids import Uid
from ....protocols.imap.commands import Replace
from ....protocols.imap.response_codes import UIDREQUIRED, append_uid, highest_modseq
from ....storage.store import AppendItem
from ..answers import BadCommand, No
from .catenate import Arriving

if TYPE_CHECKING:
    from ..session import Session


async def replaced(session: Session, request: Replace) -> tuple[Uid, int]:
    """(uid, size) of the message that goes. Raises BadCommand, No."""
    selected = session.selected
    if selected is None:
        raise BadCommand("REPLACE is not allowed now")
    if session.uidonly and not request.uid:
        raise BadCommand("UIDONLY is enabled", UIDREQUIRED)
    if selected.read_only:
        raise No("Mailbox was opened read-only", b"CANNOT")
    if selected.mailbox.rights & REMOVING != REMOVING:
        raise NotPermitted("You have no right to take messages out of this mailbox")
    view = selected.view
    if request.uid:
        slot = view.slot_of_uid(request.number or view.last_uid)
        if slot is None:
            raise No("There is no such message", b"NONEXISTENT")
    elif not 0 < (number := request.number or view.exists) <= view.exists:
        raise BadCommand("Sequence number is not in use")
    else:
        slot = view.slot_of(number)
    box, uid = selected.loaded, view.snapshot.uids[slot]
    rows = await session.store.email_sizes(box.principal, box.account, box.mailbox, [uid])
    if not rows:
        raise No("The message was expunged", b"EXPUNGEISSUED")
    return Uid(uid), int(rows[0][3])


async def file(session: Session, arriving: Arriving, item: AppendItem) -> bytes:
    """Store *item* where it is to go and expunge what it replaces; the words of the tagged OK."""
    box, uid, mailbox = session.mailbox.loaded, arriving.replaced, arriving.mailbox
    try:
        uidvalidity, new = await session.store.replace(
            box.principal, box.account, box.mailbox, Uid(uid), mailbox.id, item, mailbox.account
        )
    except NotFound as error:
        raise No("The message or the mailbox is gone", b"EXPUNGEISSUED") from error
    # RFC 8508 §4.3: before the EXPUNGE, as for MOVE.
    session.dialogue.write(b"* OK [%b] Replacement is stored\r\n" % append_uid(uidvalidity, [new]))
    await session.tell(expunges=True, reread=True)
    if session.qresync:
        return b"[%b] Replaced" % highest_modseq(session.mailbox.view.modseq)
    return b"Replaced"
