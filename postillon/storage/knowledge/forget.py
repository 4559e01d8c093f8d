"""What an account that was removed had chosen, learned and known goes in steps, by the janitor. Works over a transaction."""

from __future__ import annotations

from ...model.ids import AccountId
from ...seams import Tx

STEP = 1000

_OF_ACCOUNT = (
    ("sender_list", "account_id", "pattern"),
    ("token", "owner", "token"),
    ("contact", "account_id", "address"),
    ("contact_domain", "account_id", "domain"),
    ("lesson", "account_id", "email_id"),
    ("learned", "account_id", "email_id"),
)
"""(table, the account's column, the rest of the key)."""


def forget_account(tx: Tx, account: AccountId) -> bool:
    """One step; True when nothing is left."""
    tx.run("DELETE FROM judging WHERE account_id = ?", account)
    for table, owner, key in _OF_ACCOUNT:
        rows = tx.all(f"SELECT {key} FROM {table} WHERE {owner} = ? LIMIT {STEP}", account)
        if rows:
            tx.many(f"DELETE FROM {table} WHERE {owner} = ? AND {key} = ?", [(account, row[0]) for row in rows])
            return False
    return True
