"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8, RFC 6154)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.access import Rights
from ....model.errors import LimitReached, NotFound
from ....model.mail import ROLES, Mailbox
from ....protocols.imap.commands import Create, Delete, Rename, Subscribe, Unsubscribe
from ....protocols.imap.events import Command
from ..answers import No
from ..objectid import mailbox_id

if TYPE_CHECKING:
    from ..session import Session

ROLE_OF_USE = {b"\\" + role.encode(): role for role in ROLES if role != "inbox"}
"""RFC 6154 §2 attributes in lower case -> RFC 8621 role."""


def path_of(name: str) -> tuple[str, ...]:
    """The names from the root. Raises No for an empty name; what a level may hold is the store's word."""
    if not name:
        raise No("Mailbox name is empty", b"CANNOT")
    return tuple(name.split("/"))


async def find(session: Session, name: str, needed: Rights = Rights.READ) -> Mailbox:
    """A mailbox that can be selected, one's own or one that one has the rights *needed* in. Raises NotFound, NotPermitted."""
    mailbox = await session.store.find_mailbox(session.principal, session.owner.id, path_of(name), needed)
    if not mailbox.selectable:
        raise NotFound("No such mailbox")
    return mailbox


async def target(session: Session, name: str) -> Mailbox:
    """Where APPEND, COPY or MOVE puts things. RFC 9051 §6.4.7: TRYCREATE says that CREATE would help."""
    try:
        return await find(session, name, Rights.INSERT)
    except NotFound:
        raise No("Mailbox does not exist", b"TRYCREATE") from None


async def create(session: Session, command: Command, request: Create) -> bytes | None:
    roles = [ROLE_OF_USE.get(use.lower(), "") for use in request.use]
    if "" in roles or len(roles) > 1:
        raise No("Special use is not supported", b"USEATTR")  # RFC 6154 §3
    # RFC 9051 §6.3.4: a separator at the end only says that children will follow.
    path = path_of(request.mailbox.removesuffix("/"))
    if roles and await _has_role(session, roles[0]):
        raise No("Another mailbox has that use", b"USEATTR")
    try:
        mailbox = await session.store.create_mailbox(session.principal, session.owner.id, path, roles[0] if roles else "")
    except LimitReached as error:
        raise No(error.text, b"OVERQUOTA") from error  # RFC 9208 §4.3: the MAILBOX resource
    return b"[MAILBOXID (%b)] Mailbox created" % mailbox_id(mailbox.id)  # RFC 8474 §4.1


async def _has_role(session: Session, role: str) -> bool:
    boxes = await session.store.mailboxes(session.principal, session.owner.id)
    return any(box.role == role for box in boxes)


async def delete(session: Session, command: Command, request: Delete) -> bytes | None:
    store, who = session.store, session.principal
    mailbox = await store.find_mailbox(who, session.owner.id, path_of(request.mailbox), Rights.DELETE)
    await store.delete_mailbox(who, mailbox.account, mailbox.id)
    if session.selected is not None and session.selected.loaded.mailbox == mailbox.id:
        session.unselect()
        session.dialogue.write(b"* OK [CLOSED] The selected mailbox was deleted\r\n")
    return None


async def rename(session: Session, command: Command, request: Rename) -> bytes | None:
    store, who = session.store, session.principal
    mailbox = await store.find_mailbox(who, session.owner.id, path_of(request.mailbox), Rights.DELETE)
    await store.rename_mailbox(who, mailbox.account, mailbox.id, path_of(request.new_name))
    return None


async def subscribe(session: Session, command: Command, request: Subscribe) -> bytes | None:
    """RFC 9051 §6.3.7: what does not exist need not be taken, but may be there again tomorrow."""
    await session.store.subscribe(session.principal, session.owner.id, path_of(request.mailbox), True)
    return None


async def unsubscribe(session: Session, command: Command, request: Unsubscribe) -> bytes | None:
    await session.store.subscribe(session.principal, session.owner.id, path_of(request.mailbox), False)
    return None
