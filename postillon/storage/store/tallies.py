"""Tallies in the side database: equal facts counted by kind, day and domain. Works over a transaction.

What the facts mean is the caller's affair; they are octets here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from ...seams import Tx


class Kind(IntEnum):
    DMARC_SEEN = 1
    """Mail in a domain's name that came here; reported to the domain's owner."""
    DMARC_HEARD = 2
    """What others report about mail in our domains' names."""


@dataclass(frozen=True, slots=True)
class Tally:
    day: int
    domain: str
    facts: bytes
    count: int


def add(tx: Tx, kind: Kind, found: Iterable[Tally]) -> None:
    """Add to what was counted."""
    tx.many(
        "INSERT INTO tally (kind, day, domain, key, facts, count) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, day, domain, key) DO UPDATE SET count = tally.count + excluded.count",
        [
            (int(kind), one.day, one.domain.encode(), hashlib.blake2b(one.facts, digest_size=16).digest(), one.facts, one.count)
            for one in found
        ],
    )


def domains(tx: Tx, kind: Kind, before: int) -> list[tuple[int, str]]:
    """(day, domain) of which something was counted before the day *before*."""
    rows = tx.all("SELECT DISTINCT day, domain FROM tally WHERE kind = ? AND day < ? ORDER BY day, domain", int(kind), before)
    return [(day, bytes(domain).decode()) for day, domain in rows]


def of_domain(tx: Tx, kind: Kind, day: int, domain: str, limit: int) -> list[Tally]:
    """Those of one day and domain."""
    rows = tx.all(
        "SELECT facts, count FROM tally WHERE kind = ? AND day = ? AND domain = ? ORDER BY key LIMIT ?",
        int(kind),
        day,
        domain.encode(),
        limit,
    )
    return [Tally(day, domain, bytes(facts), count) for facts, count in rows]


def since(tx: Tx, kind: Kind, day: int, limit: int) -> list[Tally]:
    """All from *day* on."""
    rows = tx.all(
        "SELECT day, domain, facts, count FROM tally WHERE kind = ? AND day >= ? ORDER BY day, domain, key LIMIT ?",
        int(kind),
        day,
        limit,
    )
    return [Tally(at, bytes(domain).decode(), bytes(facts), count) for at, domain, facts, count in rows]


def remove(tx: Tx, kind: Kind, day: int, domain: str) -> None:
    tx.run("DELETE FROM tally WHERE kind = ? AND day = ? AND domain = ?", int(kind), day, domain.encode())


def prune(tx: Tx, kind: Kind, before: int, limit: int = 1000) -> int:
    """Remove up to *limit* of those before the day *before*; returns how many."""
    rows = tx.all("SELECT kind, day, domain, key FROM tally WHERE kind = ? AND day < ? LIMIT ?", int(kind), before, limit)
    tx.many("DELETE FROM tally WHERE kind = ? AND day = ? AND domain = ? AND key = ?", rows)
    return len(rows)
