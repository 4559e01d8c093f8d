"""Bans: which networks are refused at accept, and until when. Works over a transaction of the mail database.

A ban that has ended is kept for a while: the next one of the same network lasts longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...seams import Tx

FOREVER = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True)
class Ban:
    network: str
    """In CIDR notation."""
    since: int
    ends: int
    """Epoch seconds; FOREVER for an administrator's ban without an end."""
    level: int
    """How many bans it had before that still count; 0 for an administrator's."""
    reason: str


_COLUMNS = "network, since, ends, level, reason"


def _ban(row: Sequence[object]) -> Ban:
    network, since, ends, level, reason = row
    return Ban(bytes(network).decode(), int(since), int(ends), int(level), bytes(reason).decode())  # type: ignore


def changed(tx: Tx, since: int) -> list[Ban]:
    """Bans, ended ones too, that changed at *since* or later."""
    return [_ban(row) for row in tx.all(f"SELECT {_COLUMNS} FROM ban WHERE changed >= ?", since)]


def active(tx: Tx, now: int) -> list[Ban]:
    return [_ban(row) for row in tx.all(f"SELECT {_COLUMNS} FROM ban WHERE ends > ? ORDER BY ends", now)]


def find(tx: Tx, networks: Sequence[str]) -> dict[str, Ban]:
    """Those of *networks* (at most some hundred) that have a row."""
    places = ", ".join("?" * len(networks))
    rows = tx.all(f"SELECT {_COLUMNS} FROM ban WHERE network IN ({places})", *(name.encode() for name in networks))
    return {ban.network: ban for ban in map(_ban, rows)}


_PUT = (
    f"INSERT INTO ban ({_COLUMNS}, changed) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (network) DO UPDATE SET since = excluded.since, ends = excluded.ends, level = excluded.level,"
    " reason = excluded.reason, changed = excluded.changed"
)


def _row(ban: Ban, now: int) -> tuple[object, ...]:
    return ban.network.encode(), ban.since, ban.ends, ban.level, ban.reason.encode(), now


def put(tx: Tx, ban: Ban, now: int) -> None:
    """Insert or replace."""
    tx.run(_PUT, *_row(ban, now))


def begin(tx: Tx, found: Iterable[Ban], now: int) -> list[Ban]:
    """Insert or replace; those that have begun, and not those of networks that are banned now: another worker was quicker."""
    return [ban for ban in found if tx.run(f"{_PUT} WHERE ban.ends <= ?", *_row(ban, now), now)]


def prune(tx: Tx, before: int, limit: int = 1000) -> int:
    """Remove up to *limit* bans that ended before *before*; returns how many."""
    rows = tx.all("SELECT network FROM ban WHERE ends < ? ORDER BY ends LIMIT ?", before, limit)
    tx.many("DELETE FROM ban WHERE network = ? AND ends < ?", [(row[0], before) for row in rows])  # not one made anew meanwhile
    return len(rows)
