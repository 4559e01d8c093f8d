"""Judging what somebody may do in a mailbox (RFC 4314 §4): the one place that decides. Works over a transaction.

The owner of an account, and the server itself, may do everything; for them nothing is looked up. Rights of others are given
by name or to anyone; negative ones take away (RFC 4314 §2).
"""

from __future__ import annotations

from typing import NoReturn, TypeVar

from ...model.access import ALL, KNOWING, Rights
from ...model.account import Principal
from ...model.errors import NotFound, NotPermitted
from ...model.ids import AccountId, MailboxId
from ...seams import Tx, Work
from .mailboxes import ANYONE_ID

T = TypeVar("T")


def viewer_of(principal: Principal, account: AccountId) -> AccountId | None:
    """Who looks at somebody else's mailbox; None for the owner and the server."""
    return None if principal.may(account) else principal.account


def rights_of(tx: Tx, principal: Principal, account: AccountId, mailbox: MailboxId) -> Rights:
    """What *principal* may do there. Nothing for who has not logged in, whatever anyone may."""
    if principal.may(account):
        return ALL
    if not principal.account:
        return Rights.NONE
    rows = tx.all(
        "SELECT granted, denied FROM acl WHERE account_id = ? AND mailbox_id = ? AND grantee_id IN (?, ?)",
        account,
        mailbox,
        principal.account,
        ANYONE_ID,
    )
    return effective(rows)


def effective(rows: list[tuple[int, int]]) -> Rights:
    """(granted, denied) of each identifier that means the viewer -> the rights (RFC 4314 §2: the union, less the negative)."""
    granted = denied = 0
    for plus, minus in rows:
        granted |= plus
        denied |= minus
    return Rights(granted & ~denied)


def judge(tx: Tx, principal: Principal, account: AccountId, mailbox: MailboxId, needed: Rights) -> Rights:
    """All rights that *principal* has, if *needed* are among them. Raises NotPermitted; NotFound where it may not be seen."""
    have = rights_of(tx, principal, account, mailbox)
    if have & needed != needed:
        refuse(have)
    return have


def refuse(have: Rights) -> NoReturn:
    """RFC 4314 §6: whoever has no right by which he could know of the mailbox learns nothing about it."""
    if have & KNOWING:
        raise NotPermitted("You have no right to do that in this mailbox")
    raise NotFound("No such mailbox")


def allowed(principal: Principal, account: AccountId, mailbox: MailboxId, needed: Rights, work: Work[T]) -> Work[T]:
    """*work*, after it was judged in the same transaction."""
    if principal.may(account):
        return work

    def judged(tx: Tx) -> T:
        judge(tx, principal, account, mailbox, needed)
        return work(tx)

    return judged
