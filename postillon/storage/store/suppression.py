"""Addresses that an account does not write to any more. Works over a transaction.

An address that does not exist is on the list for a time, since it may come to exist; who complained stays until it is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ...model.ids import AccountId
from ...seams import Tx

BOUNCE_S = 30 * 86400
"""How long an address that did not exist is not written to."""
MAX_WORDS = 300


class Cause(IntEnum):
    BOUNCE = 1
    """Its server said that there is no such address."""
    COMPLAINT = 2
    """Its owner called our mail spam."""
    OPERATOR = 3


@dataclass(frozen=True, slots=True)
class Suppressed:
    address: str
    at: int
    cause: Cause
    words: str
    """What was said, one line."""

    def counts(self, now: int) -> bool:
        """Whether it still holds."""
        return self.cause is not Cause.BOUNCE or self.at + BOUNCE_S > now


def add(tx: Tx, account: AccountId, address: str, now: int, cause: Cause, words: str) -> None:
    """Put the key *address* on the list. A complaint is not forgotten over a bounce."""
    tx.run(
        "INSERT INTO suppression (account_id, address, at, cause, words) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account_id, address) DO UPDATE SET at = excluded.at, cause = excluded.cause, words = excluded.words"
        " WHERE suppression.cause = 1 OR excluded.cause <> 1",
        account,
        address.encode(),
        now,
        int(cause),
        words[:MAX_WORDS].encode(),
    )


def find(tx: Tx, account: AccountId, address: str, now: int) -> Suppressed | None:
    """Why *account* does not write to the key *address*, or None: it may."""
    row = tx.one("SELECT at, cause, words FROM suppression WHERE account_id = ? AND address = ?", account, address.encode())
    if row is None:
        return None
    found = Suppressed(address, row[0], Cause(row[1]), bytes(row[2]).decode("utf-8", "replace"))
    return found if found.counts(now) else None


def page(tx: Tx, account: AccountId, after: str = "", limit: int = 1000) -> list[Suppressed]:
    """The account's list in order of the addresses, those past *after*; also what does not count any more."""
    rows = tx.all(
        "SELECT address, at, cause, words FROM suppression WHERE account_id = ? AND address > ? ORDER BY address LIMIT ?",
        account,
        after.encode(),
        limit,
    )
    return [Suppressed(bytes(row[0]).decode(), row[1], Cause(row[2]), bytes(row[3]).decode("utf-8", "replace")) for row in rows]


def remove(tx: Tx, account: AccountId, address: str) -> bool:
    return bool(tx.run("DELETE FROM suppression WHERE account_id = ? AND address = ?", account, address.encode()))


def prune(tx: Tx, now: int, limit: int = 1000) -> int:
    """One step of removing bounces that are forgotten; how many."""
    rows = tx.all(
        "SELECT account_id, address FROM suppression WHERE cause = 1 AND at <= ? ORDER BY at LIMIT ?", now - BOUNCE_S, limit
    )
    # What was put on the list anew meanwhile stays.
    sql = "DELETE FROM suppression WHERE account_id = ? AND address = ? AND cause = 1 AND at <= ?"
    tx.many(sql, [(*row, now - BOUNCE_S) for row in rows])
    return len(rows)
