"""Thresholds and lists of accounts as rows. Works over a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.choice import Choice, Listed
from ...model.ids import AccountId
from ...seams import Tx
from ..db.dialect import few

UNSET = -(1 << 40)


def _score(value: float | None) -> int:
    return UNSET if value is None else round(value * 100)


def _chosen(value: int) -> float | None:
    return None if value == UNSET else value / 100


def of(tx: Tx, accounts: Sequence[AccountId]) -> dict[AccountId, Choice]:
    """What those of *accounts* have chosen that chose anything."""
    sql, values = few(accounts)
    rows = tx.all(f"SELECT account_id, tag, junk, refuse, language FROM judging WHERE account_id IN {sql}", *values)
    return {
        AccountId(account): Choice(_chosen(tag), _chosen(junk), _chosen(refuse), bytes(language).decode())
        for account, tag, junk, refuse, language in rows
    }


def choose(tx: Tx, account: AccountId, choice: Choice) -> None:
    if choice == Choice():
        tx.run("DELETE FROM judging WHERE account_id = ?", account)
        return
    tx.run(
        "INSERT INTO judging (account_id, tag, junk, refuse, language) VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_id) DO UPDATE"
        " SET tag = excluded.tag, junk = excluded.junk, refuse = excluded.refuse, language = excluded.language",
        account,
        _score(choice.tag),
        _score(choice.junk),
        _score(choice.refuse),
        choice.language.encode(),
    )


def set_listed(tx: Tx, account: AccountId, pattern: str, verdict: Listed | None, now: int) -> bool:
    if verdict is None:
        return bool(tx.run("DELETE FROM sender_list WHERE account_id = ? AND pattern = ?", account, pattern.encode()))
    tx.run(
        "INSERT INTO sender_list (account_id, pattern, verdict, created) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account_id, pattern) DO UPDATE SET verdict = excluded.verdict",
        account,
        pattern.encode(),
        int(verdict),
        now,
    )
    return True


def listed(tx: Tx, account: AccountId) -> list[tuple[str, Listed]]:
    rows = tx.all("SELECT pattern, verdict FROM sender_list WHERE account_id = ? ORDER BY pattern", account)
    return [(bytes(pattern).decode(), Listed(verdict)) for pattern, verdict in rows]


def matching(tx: Tx, accounts: Sequence[int], patterns: Sequence[str]) -> dict[int, dict[str, Listed]]:
    """Entries among *patterns* that the lists of *accounts* have."""
    found: dict[int, dict[str, Listed]] = {}
    sql, values = few(accounts)
    marks, wanted = few([pattern.encode() for pattern in patterns])
    rows = tx.all(
        f"SELECT account_id, pattern, verdict FROM sender_list WHERE account_id IN {sql} AND pattern IN {marks}",
        *values,
        *wanted,
    )
    for account, pattern, verdict in rows:
        found.setdefault(account, {})[bytes(pattern).decode()] = Listed(verdict)
    return found
