"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3). What each right allows is judged by the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.access import ALL, LETTERS, VIRTUAL, Rights, letters, parse_rights
from ....model.mail import Mailbox
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import DeleteAcl, GetAcl, ListRights, MyRights, SetAcl
from ....protocols.imap.extension_responses import acl, list_rights, my_rights
from ..answers import BadCommand
from .mailboxes import path_of

if TYPE_CHECKING:
    from ..session import Session


async def _find(session: Session, name: str, needed: Rights) -> Mailbox:
    """A placeholder has rights as well. Raises NotFound, NotPermitted."""
    return await session.store.find_mailbox(session.principal, session.owner.id, path_of(name), needed)


async def setacl(session: Session, command: Command, request: SetAcl) -> bytes | None:
    try:
        rights = parse_rights(request.rights)
    except ValueError as error:
        raise BadCommand(str(error)) from None  # RFC 4314 §3.1: never passed over
    box = await _find(session, request.mailbox, Rights.ADMINISTER)
    await session.store.set_acl(session.principal, box.account, box.id, request.identifier, request.operation, rights)
    return None


async def deleteacl(session: Session, command: Command, request: DeleteAcl) -> bytes | None:
    box = await _find(session, request.mailbox, Rights.ADMINISTER)
    await session.store.set_acl(session.principal, box.account, box.id, request.identifier, "remove", ALL)
    return None


async def getacl(session: Session, command: Command, request: GetAcl) -> bytes | None:
    box = await _find(session, request.mailbox, Rights.ADMINISTER)
    entries = await session.store.acl(session.principal, box.account, box.id)
    pairs = [(identifier, letters(rights)) for identifier, rights in entries]
    session.dialogue.write(acl("/".join(box.path), pairs, session.utf8))
    return None


async def listrights(session: Session, command: Command, request: ListRights) -> bytes | None:
    """RFC 4314 §3.7. No right is tied to another, and the owner has all of them whatever is set."""
    box = await _find(session, request.mailbox, Rights.ADMINISTER)
    store, who = session.store, session.principal
    is_owner = await store.check_identifier(who, box.account, box.id, request.identifier)
    required, optional = (letters(ALL), "") if is_owner else ("", "".join(LETTERS | VIRTUAL))
    session.dialogue.write(list_rights("/".join(box.path), request.identifier, required, optional, session.utf8))
    return None


async def myrights(session: Session, command: Command, request: MyRights) -> bytes | None:
    box = await _find(session, request.mailbox, Rights.NONE)
    session.dialogue.write(my_rights("/".join(box.path), letters(box.rights), session.utf8))
    return None
