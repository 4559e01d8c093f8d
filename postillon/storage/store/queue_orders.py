"""The queue as its administrator sees it, and what may be ordered: try, hold, reroute, drop, recall. Over a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...model.ids import BlobId, QueueId
from ...model.queue import QueueEntry, QueueState, QueueTotal, QueueView
from ...seams import QUEUE_TOPIC, Row, Tx
from .envelopes import decode_recipient, shown
from .filing import REF_QUEUE
from .queue import LOCAL, count_down, lane_of, leased_entries, unrefer

VIA = b"via:"
"""How a destination begins that an administrator chose: `via:HOST:PORT`. No domain has a colon."""

_VIEW = (
    "SELECT r.queue_id, r.number, m.envelope, r.recipient, r.destination, r.state, m.size, m.made_at, r.due, m.expires,"
    " r.attempts, r.answer FROM queue_recipient r JOIN queue_message m ON m.queue_id = r.queue_id"
)


def views(tx: Tx, queue_id: int | None, after: int, limit: int) -> list[QueueView]:
    """Rows in order of queue id; of one message if *queue_id* is given."""
    if queue_id is not None:
        rows = tx.all(f"{_VIEW} WHERE r.queue_id = ? ORDER BY r.number", queue_id)
    else:
        rows = tx.all(f"{_VIEW} WHERE r.queue_id > ? ORDER BY r.queue_id, r.number LIMIT ?", after, limit)
    return [
        QueueView(
            queue_id=QueueId(row[0]),
            number=row[1],
            sender=shown(bytes(row[2])),
            recipient=str(decode_recipient(bytes(row[3])).address),
            destination=bytes(row[4]).decode(),
            state=QueueState(row[5]),
            size=row[6],
            made_at=row[7],
            due=row[8],
            expires=row[9],
            attempts=row[10],
            last_answer=bytes(row[11]).decode("utf-8", "replace"),
        )
        for row in rows
    ]


def stored(tx: Tx, queue_id: int) -> tuple[BlobId, int, bytes] | None:
    """A queued message's blob, that blob's size, and how the message is put together from it."""
    row = tx.one("SELECT blob_id, blob_size, recipe FROM queue_message WHERE queue_id = ?", queue_id)
    return (BlobId(row[0]), row[1], bytes(row[2])) if row else None


def totals(tx: Tx) -> list[QueueTotal]:
    """What waits, by destination and state, the most first: one walk over an index, then two rows for each."""
    found = []
    for lane, state, destination, count, due, oldest in tx.all(
        "SELECT lane, state, destination, count(*), min(due), min(queue_id) FROM queue_recipient"
        " GROUP BY lane, state, destination"
    ):
        row = tx.one(
            "SELECT answer, attempts FROM queue_recipient WHERE lane = ? AND state = ? AND destination = ? ORDER BY due LIMIT 1",
            lane,
            state,
            destination,
        )
        answer, attempts = row or (b"", 0)
        # Ids are made in order of time.
        message = tx.one("SELECT made_at FROM queue_message WHERE queue_id = ?", oldest)
        made_at = message[0] if message else 0
        words = bytes(answer).decode("utf-8", "replace")
        name = bytes(destination).decode()
        found.append(QueueTotal(name, QueueState(state), int(count), int(due), int(attempts), int(made_at), words))
    return sorted(found, key=lambda total: -total.count)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows an administrator means: a message, a destination, or all."""

    queue_id: int | None = None
    destination: str = ""

    def where(self) -> tuple[str, tuple[object, ...]]:
        if self.queue_id is not None:
            return "queue_id = ?", (self.queue_id,)
        if self.destination:
            return "destination = ? AND lane = ?", (self.destination.encode(), lane_of(self.destination))
        return "0 = 0", ()


STEP = 2000
"""Rows that one statement of the administrator's changes; `store` calls again until there are none left."""


def _change(tx: Tx, column: str, value: int, where: str, values: tuple[object, ...], still: str, *bounds: int) -> int:
    """Set *column* in a step of the rows that *where* finds and of which *still* holds; how many.

    *still* is said twice, and with plus signs, for the reasons that `queue.lease` gives.
    """
    changed = tx.run(
        f"UPDATE queue_recipient SET {column} = ? WHERE (queue_id, number) IN (SELECT queue_id, number FROM queue_recipient"
        f" WHERE {where} AND {still.replace('+', '')} LIMIT ?) AND {still}",
        value,
        *values,
        *bounds,
        STEP,
        *bounds,
    )
    tx.wake(QUEUE_TOPIC)
    return changed


def set_due(tx: Tx, chosen: Chosen, due: int, *, earlier: bool) -> int:
    """Bring forward to *due*, or (not *earlier*) put off until then, what waits and is not being attempted; how many rows."""
    still = f"+state = 0 AND +owner = 0 AND +due {'>' if earlier else '<'} ?"
    return _change(tx, "due", due, *chosen.where(), still, due)


def retry(tx: Tx, destination: str, now: int) -> int:
    """Bring forward what waits for *destination* after an attempt; what is held back for its time stays. How many rows."""
    still = "+state = 0 AND +due > ? AND +owner = 0 AND +attempts > 0"
    return _change(tx, "due", now, *Chosen(destination=destination).where(), still, now)


def set_state(tx: Tx, chosen: Chosen, state: QueueState) -> int:
    """Hold or release. An attempt under way ends as it may."""
    bounds = (0, 0) if state is not QueueState.WAITING else (int(QueueState.HELD), int(QueueState.ACCOUNT_HELD))
    return _change(tx, "state", int(state), *chosen.where(), "+state >= ? AND +state <= ?", *bounds)


def reroute(tx: Tx, chosen: Chosen, target: str, due: int) -> int:
    """Send those that wait by *target* (VIA and a next hop), or each by its own domain if that is empty; how many rows."""
    where, values = chosen.where()
    # Every row that is found changes, so the next step finds others.
    unlike = "(destination < ? OR destination > ?) AND destination <> ?" if target else "destination >= ? AND destination < ?"
    bounds = (target.encode(), target.encode(), LOCAL) if target else (VIA, VIA[:-1] + b";")
    rows = tx.all(
        f"SELECT queue_id, number, recipient FROM queue_recipient WHERE {where} AND owner = 0 AND {unlike}"
        " ORDER BY queue_id, number LIMIT ?",
        *values,
        *bounds,
        STEP,
    )
    changes = []
    for queue_id, number, recipient in rows:
        name = target or decode_recipient(bytes(recipient)).address.domain
        changes.append((name.encode(), lane_of(name), due, queue_id, number))
    sql = "UPDATE queue_recipient SET destination = ?, lane = ?, due = ? WHERE queue_id = ? AND number = ? AND owner = 0"
    tx.many(sql, changes)  # who was leased meanwhile goes as before
    tx.wake(QUEUE_TOPIC)
    return len(changes)


def drop(tx: Tx, queue_id: int, now: int) -> int:
    """Remove a message without a report; how many recipients it still had. An attempt under way loses its lease."""
    dropped = tx.run("DELETE FROM queue_recipient WHERE queue_id = ?", queue_id)
    row = tx.one("DELETE FROM queue_message WHERE queue_id = ? RETURNING blob_id", queue_id)
    if row is not None:
        unrefer(tx, row[0], REF_QUEUE, queue_id, now)
    return dropped


def entries_of(tx: Tx, queue_id: int) -> list[QueueEntry]:
    """What waits of a message, without leasing it; those with an owner are being tried."""
    rows = tx.all(
        "SELECT queue_id, number, destination, recipient, attempts, epoch, answer, delay_reported, owner FROM queue_recipient"
        " WHERE queue_id = ? ORDER BY number",
        queue_id,
    )
    return [entry for row in rows for entry in leased_entries(tx, [row[:8]], row[8])]


def recall(tx: Tx, queue_id: int, now: int) -> tuple[list[str], list[str]]:
    """Take back a message: (recipients who will not get it, recipients to whom it is being sent at this moment)."""
    back = tx.all("DELETE FROM queue_recipient WHERE queue_id = ? AND owner = 0 RETURNING number, recipient", queue_id)
    busy = tx.all("SELECT number, recipient FROM queue_recipient WHERE queue_id = ?", queue_id)
    if back:
        count_down(tx, queue_id, len(back), now)
    return _shown(back), _shown(busy)


def _shown(rows: Sequence[Row]) -> list[str]:
    """The addresses in *rows* of (number, recipient), in order."""
    return [str(decode_recipient(bytes(recipient)).address) for _, recipient in sorted(rows)]
