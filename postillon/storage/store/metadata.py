"""Annotations of mailboxes and of the server (RFC 5464): short texts under names. Works over a transaction.

An entry is private to one viewer or shared by all who see the mailbox. Those of mailbox 0 belong to the account as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...model.errors import LimitReached, NotFound, TooLarge
from ...model.ids import AccountId, MailboxId
from ...seams import Tx

MAX_ENTRIES = 1000
"""Of an account."""
MAX_OF_VIEWER = 100
"""Private ones of somebody else's in an account's mailboxes."""
MAX_VALUE = 64 << 10
MAX_NAME = 1024

WHOLE_ACCOUNT = MailboxId(0)


def entries(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId) -> dict[str, bytes]:
    """All that *viewer* sees, by name."""
    rows = tx.all(
        "SELECT entry, value FROM metadata WHERE account_id = ? AND mailbox_id = ? AND viewer_id IN (0, ?)",
        account,
        mailbox,
        viewer,
    )
    return {bytes(entry).decode(): bytes(value) for entry, value in rows}


def of_account(tx: Tx, account: AccountId, viewer: AccountId) -> list[tuple[int, str, bytes]]:
    """(mailbox or 0, name, value) of all that *viewer* sees."""
    rows = tx.all("SELECT mailbox_id, entry, value FROM metadata WHERE account_id = ? AND viewer_id IN (0, ?)", account, viewer)
    return [(row[0], bytes(row[1]).decode(), bytes(row[2])) for row in rows]


def change(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId, values: Sequence[tuple[str, bytes | None]]) -> None:
    """Set or (None) remove entries, all or none. Raises TooLarge, LimitReached, NotFound."""
    if mailbox and not tx.one("SELECT 1 FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox):
        raise NotFound("No such mailbox")
    for entry, value in values:
        whose = viewer if entry.startswith("/private/") else 0
        key = (account, mailbox, whose, entry.encode())
        if value is None:
            tx.run("DELETE FROM metadata WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ? AND entry = ?", *key)
            continue
        if len(value) > MAX_VALUE or len(entry) > MAX_NAME:
            raise TooLarge("An annotation is too large")
        tx.run(
            "INSERT INTO metadata (account_id, mailbox_id, viewer_id, entry, value) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (account_id, mailbox_id, viewer_id, entry) DO UPDATE SET value = excluded.value",
            *key,
            value,
        )
    tx.wake(account)
    count = tx.one("SELECT count(*) FROM metadata WHERE account_id = ? AND viewer_id IN (0, ?)", account, account)
    if count is not None and count[0] > MAX_ENTRIES:
        raise LimitReached(f"An account may have {MAX_ENTRIES} annotations")
    if viewer != account:  # who may only look must not use up what the owner may have
        count = tx.one("SELECT count(*) FROM metadata WHERE account_id = ? AND viewer_id = ?", account, viewer)
        if count is not None and count[0] > MAX_OF_VIEWER:
            raise LimitReached(f"In the mailboxes of another user you may have {MAX_OF_VIEWER} annotations of your own")
