"""Counts of tokens in good and bad mail, of each account and shared. Works over a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...seams import Tx
from ..db.dialect import few

TOTAL = -1
"""The token that counts messages."""


@dataclass(slots=True)
class Counts:
    """What an owner has learned: how many messages, and of each known token in how many good and bad ones it was."""

    good: int = 0
    bad: int = 0
    tokens: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Learn:
    """One message's lesson for *owner*. *times* is 1, or -1 to take it back."""

    owner: int
    tokens: tuple[int, ...]
    is_bad: bool
    times: int = 1


def read(tx: Tx, owners: Sequence[int], wanted: Sequence[int]) -> dict[int, Counts]:
    owner_sql, owner_values = few(owners)
    sql, values = few([TOTAL, *wanted])
    rows = tx.all(
        f"SELECT owner, token, good, bad FROM token WHERE owner IN {owner_sql} AND token IN {sql}",
        *owner_values,
        *values,
    )
    found: dict[int, Counts] = {}
    for owner, token, good, bad in rows:
        counts = found.get(owner)
        if counts is None:
            counts = found[owner] = Counts()
        if token == TOTAL:
            counts.good, counts.bad = good, bad
        else:
            counts.tokens[token] = good, bad
    return {owner: counts for owner, counts in found.items() if counts.good or counts.bad}


def learned(tx: Tx, owners: Sequence[int]) -> dict[int, Counts]:
    """Of each owner who has learned anything: its counts of messages alone."""
    sql, values = few(owners)
    rows = tx.all(f"SELECT owner, good, bad FROM token WHERE owner IN {sql} AND token = ?", *values, TOTAL)
    return {owner: Counts(good, bad) for owner, good, bad in rows if good or bad}


def learn(tx: Tx, learned: Sequence[Learn], day: int) -> None:
    """Counts never fall below 0; tokens that nobody counts any more go."""
    sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    for one in learned:
        for token in (TOTAL, *one.tokens):
            sums[one.owner, token][one.is_bad] += one.times
    tx.many(
        "INSERT INTO token AS t (owner, token, good, bad, day) VALUES (?, ?, ?, ?, ?) ON CONFLICT (owner, token) DO UPDATE SET"
        " good = CASE WHEN t.good + ? < 0 THEN 0 ELSE t.good + ? END,"
        " bad = CASE WHEN t.bad + ? < 0 THEN 0 ELSE t.bad + ? END, day = excluded.day",
        [
            (owner, token, max(good, 0), max(bad, 0), day, good, good, bad, bad)
            for (owner, token), (good, bad) in sorted(sums.items())
        ],
    )
    taken = [key for key, (good, bad) in sums.items() if good < 0 or bad < 0]
    tx.many("DELETE FROM token WHERE owner = ? AND token = ? AND good = 0 AND bad = 0", sorted(taken))


def totals(tx: Tx) -> list[tuple[int, int, int]]:
    # One seek for each owner, whatever they have learned.
    found: list[tuple[int, int, int]] = []
    after = -1
    while row := tx.one("SELECT owner FROM token WHERE owner > ? ORDER BY owner LIMIT 1", after):
        after = row[0]
        counted = tx.one("SELECT good, bad FROM token WHERE owner = ? AND token = ?", after, TOTAL)
        if counted and (counted[0] or counted[1]):
            found.append((after, counted[0], counted[1]))
    return found


def forget(tx: Tx, owner: int, before_day: int, most: int) -> int:
    rows = tx.all(
        "SELECT token FROM token WHERE owner = ? AND token >= 0 AND day < ? AND good + bad <= 1 LIMIT ?", owner, before_day, most
    )
    tx.many("DELETE FROM token WHERE owner = ? AND token = ?", [(owner, row[0]) for row in rows])
    return len(rows)
