"""Counters with an end, in the side database: failed logins by address, network and name. Works over a transaction.

A counter is a key and the start of its window; a mark is a key with the start 0. The keys are the limiter's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...seams import Tx


def counts(tx: Tx, keys: Sequence[bytes]) -> dict[tuple[bytes, int], int]:
    """The counters of all *keys*, by key and start. A key has a handful of rows at most."""
    places = ", ".join("?" * len(keys))
    rows = tx.all(f"SELECT key, started, count FROM limit_count WHERE key IN ({places})", *keys)
    return {(bytes(key), started): count for key, started, count in rows}


def add(tx: Tx, rows: Iterable[tuple[bytes, int, int]]) -> None:
    """Count one more for each (key, start, expiry)."""
    tx.many(
        "INSERT INTO limit_count (key, started, count, expires) VALUES (?, ?, 1, ?)"
        " ON CONFLICT (key, started) DO UPDATE SET count = limit_count.count + 1",
        list(rows),
    )


def add_points(tx: Tx, rows: Iterable[tuple[bytes, int, int, int]]) -> None:
    """Add points, maybe negative ones, for each (key, start, points, expiry); no counter falls below nothing."""
    at_least_nothing = "CASE WHEN limit_count.count + excluded.count > 0 THEN limit_count.count + excluded.count ELSE 0 END"
    tx.many(
        "INSERT INTO limit_count (key, started, count, expires) VALUES (?, ?, ?, ?)"
        f" ON CONFLICT (key, started) DO UPDATE SET count = {at_least_nothing}",
        [(key, started, points, expires) for key, started, points, expires in rows],
    )


def forget(tx: Tx, keys: Sequence[bytes]) -> None:
    tx.many("DELETE FROM limit_count WHERE key = ?", [(key,) for key in keys])


def mark(tx: Tx, key: bytes, value: int, expires: int) -> None:
    """Set the mark *key* to *value*."""
    tx.run(
        "INSERT INTO limit_count (key, started, count, expires) VALUES (?, 0, ?, ?)"
        " ON CONFLICT (key, started) DO UPDATE SET count = excluded.count, expires = excluded.expires",
        key,
        value,
        expires,
    )


def claim(tx: Tx, key: bytes, value: int, expires: int) -> bool:
    """Set the mark *key*; False if it is set already."""
    sql = "INSERT INTO limit_count (key, started, count, expires) VALUES (?, 0, ?, ?) ON CONFLICT DO NOTHING"
    return bool(tx.run(sql, key, value, expires))


def prune(tx: Tx, now: int, limit: int = 1000) -> int:
    """Remove up to *limit* counters that have ended; returns how many."""
    rows = tx.all("SELECT key, started FROM limit_count WHERE expires <= ? ORDER BY expires LIMIT ?", now, limit)
    tx.many("DELETE FROM limit_count WHERE key = ? AND started = ?", rows)
    return len(rows)
