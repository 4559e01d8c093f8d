"""How senders have behaved here: counters that fade. Works over a transaction.

A sender is known by many things (address, domain, signing domain, network), each a 63-bit hash. Counts are kept as of the time
they last changed, and are half as much after each half-life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...seams import Tx
from ..db.dialect import few, ids, locked

HALF_LIFE_S = 30 * 86400
FORGET_S = 200 * 86400
"""Who was not heard of for so long is a stranger again."""
STEP = 1000
FEW = 16
_UNIT = 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """What a sender's messages add to its counts."""

    good: float = 0.0
    bad: float = 0.0


@dataclass(frozen=True, slots=True)
class Reputation:
    """Counts as of now, and when the sender was first and last heard of, epoch seconds."""

    good: float
    bad: float
    first: int
    last: int


def faded(count: int, seconds: int) -> float:
    """What is left of *count* (thousandths) after *seconds*, in whole messages."""
    return float(count / _UNIT * 0.5 ** (max(seconds, 0) / HALF_LIFE_S))


def read(tx: Tx, wanted: Sequence[int], now: int, lock: str = "") -> dict[int, Reputation]:
    if len(wanted) <= FEW:
        sql, values = few(wanted)
    else:
        sql, value = ids(tx, wanted)
        values = (value,)
    rows = tx.all(f"SELECT sender, good, bad, first, last FROM reputation WHERE sender IN {sql}{lock}", *values)
    return {
        sender: Reputation(faded(good, now - last), faded(bad, now - last), first, last)
        for sender, good, bad, first, last in rows
    }


def note(tx: Tx, heard: Mapping[int, Heard], now: int) -> None:
    """Add to the counts of senders; new ones begin."""
    if not heard:
        return
    known = read(tx, sorted(heard), now, locked(tx))
    rows = []
    for sender, one in sorted(heard.items()):
        before = known.get(sender, Reputation(0.0, 0.0, now, now))
        good, bad = before.good + one.good, before.bad + one.bad
        rows.append((sender, round(max(good, 0) * _UNIT), round(max(bad, 0) * _UNIT), before.first, now))
    tx.many(
        "INSERT INTO reputation (sender, good, bad, first, last) VALUES (?, ?, ?, ?, ?) ON CONFLICT (sender) DO UPDATE SET"
        " good = excluded.good, bad = excluded.bad, last = excluded.last",
        rows,
    )


def sweep(tx: Tx, after: int, now: int) -> int | None:
    """A step of forgetting: looks at the senders above *after*; where to go on, or None at the end."""
    rows = tx.all("SELECT sender, last FROM reputation WHERE sender > ? ORDER BY sender LIMIT ?", after, STEP)
    tx.many("DELETE FROM reputation WHERE sender = ?", [(sender,) for sender, last in rows if last < now - FORGET_S])
    return rows[-1][0] if len(rows) == STEP else None
