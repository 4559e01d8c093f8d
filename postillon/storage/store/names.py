"""Names of mailboxes as their users know them, and what is told to whom by a name (RFC 2342, RFC 4314 §6). Works over a
transaction.
"""

from __future__ import annotations

from ...model.access import KNOWING, Rights
from ...model.account import Principal
from ...model.errors import AlreadyExists, NotFound, NotPermitted
from ...model.ids import AccountId, MailboxId
from ...model.mail import OTHER_USERS, Mailbox
from ...seams import Tx
from . import acl, mailboxes
from .mailboxes import Path
from .rights import judge, refuse, rights_of, viewer_of

NOT_THERE = "You may not make a mailbox there"


def row(tx: Tx, principal: Principal, account: AccountId, mailbox: MailboxId, needed: Rights) -> Mailbox:
    """The mailbox as *principal* knows it. Raises NotFound, NotPermitted."""
    viewer = viewer_of(principal, account)
    if viewer is None:
        return mailboxes.row(tx, account, mailbox)
    rights = judge(tx, principal, account, mailbox, needed)
    if not rights & KNOWING:
        refuse(rights)
    return acl.as_seen(tx, mailboxes.row(tx, account, mailbox), viewer, rights)


def place(tx: Tx, account: AccountId, path: Path) -> tuple[AccountId, Path]:
    """Whose mailbox *account* calls *path*, and what it is to its owner. Raises NotFound."""
    if path[:1] != (OTHER_USERS,):
        return account, path
    owner = acl.owner_of(tx, path[1]) if len(path) > 2 else None
    if owner is None or owner == account:
        raise NotFound("No such mailbox")
    return owner, path[2:]


def judge_new(tx: Tx, principal: Principal, account: AccountId, path: Path) -> None:
    """RFC 4314 §4: a mailbox is made with k on the nearest parent there is. Where that is missing nothing else is told.

    Raises NotPermitted.
    """
    if principal.may(account):
        return
    path = mailboxes.canonical(path)
    there = mailboxes.lookup(tx, account, path)
    if there is not None:
        if not rights_of(tx, principal, account, there) & Rights.LOOKUP:
            raise NotPermitted(NOT_THERE)
        if mailboxes.row(tx, account, there).selectable:
            raise AlreadyExists("Mailbox exists already")
    parents = (mailboxes.lookup(tx, account, path[:level]) for level in range(len(path) - 1, 0, -1))
    parent = next((found for found in parents if found is not None), None)
    if parent is None or not rights_of(tx, principal, account, parent) & Rights.CREATE:
        raise NotPermitted(NOT_THERE)
