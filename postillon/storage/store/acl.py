"""Access control lists (RFC 4314): reading and changing them, and which mailboxes of others somebody may see. Works over a
transaction; who may do it was judged before (`rights`).

An identifier is an account's address or `anyone`, with a `-` before it for rights that are taken away. The owner has all rights
and no row.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Literal

from ...model.access import ALL, ANYONE, Rights
from ...model.address import Address, AddressError
from ...model.errors import LimitReached, NotFound, Refusal
from ...model.ids import AccountId, MailboxId, ModSeq, Uid
from ...model.mail import OTHER_USERS, Mailbox
from ...seams import Tx
from . import accounts, mailboxes, viewers
from .mailboxes import ANYONE_ID, Path
from .rights import effective

MAX_ENTRIES = 1000
"""Identifiers that a mailbox' list may name."""
FEW = 50
"""Mailboxes of an account that are read one by one rather than all."""

Change = Literal["add", "remove", "replace"]


# --- lists ---------------------------------------------------------------------------------------------------------------


def entries(tx: Tx, account: AccountId, mailbox: MailboxId) -> list[tuple[str, Rights]]:
    """(identifier, rights), the owner first. Raises NotFound."""
    rows = tx.all("SELECT grantee_id, granted, denied FROM acl WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    found: list[tuple[str, Rights]] = []
    for grantee, granted, denied in rows:
        name = ANYONE if grantee == ANYONE_ID else _name(tx, AccountId(grantee))
        found += [(name, Rights(granted))] if granted else []
        found += [("-" + name, Rights(denied))] if denied else []
    return [(_name(tx, account), ALL), *sorted(found)]


def _name(tx: Tx, account: AccountId) -> str:
    row = tx.one("SELECT name FROM account WHERE account_id = ?", account)
    if row is None:
        raise NotFound("No such mailbox")
    return bytes(row[0]).decode()


def grantee_of(tx: Tx, identifier: str) -> tuple[int, bool]:
    """(account or ANYONE_ID, whether rights are taken away). Raises Refusal for what is no account here."""
    name = identifier.removeprefix("-")
    if name == ANYONE:
        return ANYONE_ID, name != identifier
    try:
        found = accounts.address(tx, Address.parse(name).key)
    except AddressError:
        found = None
    if found is None or not found[0]:
        raise Refusal("There is no such account", detail=f"identifier {identifier!r}")
    return found[0], name != identifier


def change(tx: Tx, account: AccountId, mailbox: MailboxId, identifier: str, operation: Change, rights: Rights) -> None:
    """Raises Refusal for unknown identifiers and for the owner's rights, LimitReached, NotFound."""
    if tx.one("SELECT 1 FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox) is None:
        raise NotFound("No such mailbox")
    grantee, is_negative = grantee_of(tx, identifier)
    if grantee == account:
        if is_negative or operation == "remove" or (operation == "replace" and rights != ALL):
            raise Refusal("The owner has all rights")
        return
    row = tx.one(
        "SELECT granted, denied FROM acl WHERE account_id = ? AND mailbox_id = ? AND grantee_id = ?", account, mailbox, grantee
    )
    both = list(row) if row else [0, 0]
    before = both[is_negative]
    both[is_negative] = int({"add": before | rights, "remove": before & ~rights, "replace": rights}[operation])
    _put(tx, account, mailbox, grantee, both)
    tx.modseq(account)  # wakes the owner, and everybody who has one of the mailboxes selected
    if grantee != ANYONE_ID:
        tx.wake(grantee)


def _put(tx: Tx, account: AccountId, mailbox: MailboxId, grantee: int, both: list[int]) -> None:
    if not any(both):
        tx.run("DELETE FROM acl WHERE account_id = ? AND mailbox_id = ? AND grantee_id = ?", account, mailbox, grantee)
        return
    tx.run(
        "INSERT INTO acl (account_id, mailbox_id, grantee_id, granted, denied) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account_id, mailbox_id, grantee_id) DO UPDATE SET granted = excluded.granted, denied = excluded.denied",
        account,
        mailbox,
        grantee,
        *both,
    )
    count = tx.one("SELECT count(*) FROM acl WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    if count is not None and count[0] > MAX_ENTRIES:
        raise LimitReached(f"A mailbox may be shared with {MAX_ENTRIES}")
    if mailboxes.shared_with(tx, account, grantee) > mailboxes.most_shared(grantee):
        raise LimitReached("So many mailboxes of an account cannot be shared with the same people")


# --- as a viewer sees it -------------------------------------------------------------------------------------------------


def place_name(name: str) -> str:
    """An owner's address as one level of a mailbox name."""
    return name.replace("%", "%25").replace("/", "%2F")


def owner_of(tx: Tx, level: str) -> AccountId | None:
    """The account that `place_name` made *level* of."""
    name = level.replace("%2F", "/").replace("%25", "%")
    row = tx.one("SELECT account_id FROM account WHERE name = ?", name.encode())
    return AccountId(row[0]) if row and place_name(name) == level else None


def as_seen(tx: Tx, box: Mailbox, viewer: AccountId, rights: Rights) -> Mailbox:
    """The row of another's mailbox as *viewer* knows it: its name, its unseen messages; nothing of its messages without r."""
    path: Path = (OTHER_USERS, place_name(_name(tx, box.account)), *box.path)
    is_subscribed = mailboxes.is_subscribed(tx, viewer, path)
    seen, modseq = viewers.counters(tx, box.account, box.id, viewer)
    return _seen(box, path, rights, is_subscribed, seen, modseq)


def _seen(box: Mailbox, path: Path, rights: Rights, is_subscribed: bool, seen: int, modseq: int) -> Mailbox:
    box = replace(box, path=path, role="", subscribed=is_subscribed, rights=rights, is_shared=True)
    if not rights & Rights.READ:
        return replace(box, uidnext=Uid(1), modseq=ModSeq(1), total=0, unseen=0, deleted=0, size=0)
    return replace(box, unseen=box.total - seen, modseq=ModSeq(max(box.modseq, modseq)))


def visible(tx: Tx, viewer: AccountId) -> list[Mailbox]:
    """All mailboxes of others that *viewer* may see, by owner and path."""
    rows: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for grantee in (viewer, ANYONE_ID):
        for account, mailbox, *both in tx.all(
            "SELECT account_id, mailbox_id, granted, denied FROM acl WHERE grantee_id = ?", grantee
        ):
            rows[account, mailbox].append((both[0], both[1]))
    rights: dict[int, dict[int, Rights]] = defaultdict(dict)
    for (account, mailbox), pairs in rows.items():
        if account != viewer and effective(pairs) & Rights.LOOKUP:
            rights[account][mailbox] = effective(pairs)
    if not rights:
        return []
    subscribed = mailboxes.subscriptions(tx, viewer)
    found = [box for account in rights for box in _visible_of(tx, AccountId(account), viewer, rights[account], subscribed)]
    return sorted(found, key=lambda box: box.path)


def _visible_of(tx: Tx, account: AccountId, viewer: AccountId, rights: dict[int, Rights], subscribed: set[Path]) -> list[Mailbox]:
    if len(rights) <= FEW:
        boxes = [mailboxes.row(tx, account, MailboxId(mailbox)) for mailbox in rights]
    else:
        boxes = [box for box in mailboxes.rows(tx, account) if box.id in rights]
    prefix: Path = (OTHER_USERS, place_name(_name(tx, account)))
    own = {
        row[0]: (row[1], row[2])
        for row in tx.all("SELECT mailbox_id, seen, modseq FROM viewer WHERE viewer_id = ? AND account_id = ?", viewer, account)
    }
    return [
        _seen(box, (*prefix, *box.path), rights[box.id], (*prefix, *box.path) in subscribed, *own.get(box.id, (0, 0)))
        for box in boxes
    ]
