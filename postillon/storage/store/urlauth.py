"""The mailbox key table of URLAUTH (RFC 4467 §2.4): who has a mailbox' key can make URLs to its messages. Works."""

from __future__ import annotations

from ...model.ids import AccountId, MailboxId
from ...seams import Tx

KEY_SIZE = 32
"""Octets; RFC 4467 §2.4 asks for 128 bits at least."""


def key(tx: Tx, account: AccountId, mailbox: MailboxId) -> bytes | None:
    row = tx.one("SELECT key FROM urlauth_key WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    return bytes(row[0]) if row else None


def make_key(tx: Tx, account: AccountId, mailbox: MailboxId, fresh: bytes) -> bytes:
    """The mailbox' key; *fresh* if it has none."""
    sql = "INSERT INTO urlauth_key (account_id, mailbox_id, key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    tx.run(sql, account, mailbox, fresh)
    found = key(tx, account, mailbox)
    assert found is not None
    return found


def reset(tx: Tx, account: AccountId, mailbox: MailboxId | None) -> None:
    """Forget the key of *mailbox*, or (None) of all mailboxes: every URL made with it is void."""
    if mailbox is None:
        tx.run("DELETE FROM urlauth_key WHERE account_id = ?", account)
    else:
        tx.run("DELETE FROM urlauth_key WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
