"""The queue's rows: one per recipient, leased by due time, settled with proof of the lease. Works over a transaction.

A lease moves `due` to its end, so a row whose worker died comes due again by itself; owner and epoch fence off a late worker.
Destinations are visited in turn by an index on (lane, state, destination, due), so that one with a million rows waiting costs
the others nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...model.ids import AccountId, BlobId, QueueId
from ...model.plan import Enqueue
from ...model.queue import QueueEntry, QueueState, QueueTotal, QueueView
from ...seams import QUEUE_TOPIC, Row, Tx
from ..db.dialect import ids
from .envelopes import decode_envelope, decode_recipient, encode_envelope, encode_recipient, shown
from .filing import REF_QUEUE, refer
from .mailboxes import REAP_FILE

LANES = 64
LOCAL = b"local"
VIA = b"via:"
"""How a destination begins that an administrator chose: `via:HOST:PORT`. No domain has a colon."""
MAX_VISITED = 512
"""Destinations looked at in one lease."""


def lane_of(destination: str) -> int:
    return zlib.crc32(destination.encode()) % LANES


def enqueue(
    tx: Tx, item: Enqueue, blob: BlobId, blob_size: int, size: int, now: int, state: QueueState = QueueState.WAITING
) -> None:
    """The rows of *item*; the blob's row must be there."""
    tx.run(
        "INSERT INTO queue_message (queue_id, blob_id, blob_size, account_id, size, made_at, expires, waiting, envelope, recipe)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        item.queue_id,
        blob,
        blob_size,
        item.account or 0,
        size,
        now,
        item.expires,
        len(item.destinations),
        encode_envelope(item.envelope),
        item.recipe,
    )
    refer(tx, blob, REF_QUEUE, item.queue_id)
    tx.many(
        "INSERT INTO queue_recipient (queue_id, number, lane, destination, due, state, attempts, owner, epoch, delay_reported,"
        " recipient, answer) VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?)",
        [
            (
                item.queue_id,
                number,
                lane_of(destination),
                destination.encode(),
                item.due,
                int(state),
                encode_recipient(recipient),
                item.answer.encode(),
            )
            for number, (recipient, destination) in enumerate(zip(item.envelope.recipients, item.destinations, strict=True))
        ],
    )
    tx.wake(QUEUE_TOPIC)


def _present(tx: Tx) -> set[int]:
    """The lanes that have a row: one step of the index for each of them, so most often a few and not all."""
    found: set[int] = set()
    after = -1
    while row := tx.one("SELECT lane FROM queue_recipient WHERE lane > ? ORDER BY lane LIMIT 1", after):
        after = int(row[0])
        found.add(after)
    return found


def due_destinations(tx: Tx, lanes: Sequence[int], now: int, skip: Collection[str], limit: int) -> list[tuple[int, str]]:
    """(lane, destination) pairs that have something due: one step of the index for each, whatever waits behind it."""
    found: list[tuple[int, str]] = []
    present = _present(tx)
    for lane in lanes:
        if lane not in present:
            continue
        after: bytes = b""
        for _ in range(MAX_VISITED):
            row = tx.one(
                "SELECT destination, due FROM queue_recipient WHERE lane = ? AND state = 0 AND destination > ?"
                " ORDER BY destination, due LIMIT 1",
                lane,
                after,
            )
            if row is None:
                break
            after = bytes(row[0])
            name = after.decode()
            if row[1] <= now and name not in skip:
                found.append((lane, name))
                if len(found) >= limit:
                    return found
    return found


def lease(
    tx: Tx,
    lanes: Sequence[int],
    now: int,
    until: int,
    owner: int,
    limit: int,
    per_destination: int,
    skip: Collection[str],
) -> list[QueueEntry]:
    """Lease up to *limit* due rows, at most *per_destination* of each, until epoch seconds *until*."""
    destinations = due_destinations(tx, lanes, now, skip, limit)
    entries: list[QueueEntry] = []
    for lane, destination in destinations:
        rows = tx.all(
            "UPDATE queue_recipient SET due = ?, owner = ?, epoch = epoch + 1 WHERE (queue_id, number) IN ("
            "SELECT queue_id, number FROM queue_recipient WHERE lane = ? AND state = 0 AND destination = ? AND due <= ?"
            " ORDER BY due LIMIT ?)"
            " RETURNING queue_id, number, destination, recipient, attempts, epoch, answer, delay_reported",
            until,
            owner,
            lane,
            destination.encode(),
            now,
            min(per_destination, limit - len(entries)),
        )
        entries += _entries(tx, rows, owner)
        if len(entries) >= limit:
            break
    return entries


def _entries(tx: Tx, rows: Sequence[Row], owner: int) -> list[QueueEntry]:
    sql, value = ids(tx, sorted({row[0] for row in rows}))
    messages = {
        row[0]: row
        for row in tx.all(
            "SELECT queue_id, blob_id, blob_size, account_id, made_at, expires, envelope, recipe FROM queue_message"
            f" WHERE queue_id IN {sql}",
            value,
        )
    }
    return [_entry(messages[row[0]], row, owner) for row in sorted(rows, key=lambda row: (row[0], row[1]))]


def _entry(message: Row, row: Row, owner: int) -> QueueEntry:
    queue_id, number, destination, recipient, attempts, epoch, answer, delay_reported = row
    return QueueEntry(
        queue_id=QueueId(queue_id),
        number=number,
        account=AccountId(message[3]) if message[3] else None,
        blob=BlobId(message[1]),
        blob_size=message[2],
        recipe=bytes(message[7]),
        envelope=decode_envelope(bytes(message[6]), decode_recipient(bytes(recipient))),
        destination=bytes(destination).decode(),
        made_at=message[4],
        expires=message[5],
        attempts=attempts,
        last_answer=bytes(answer).decode("utf-8", "replace"),
        owner=owner,
        epoch=epoch,
        delay_reported=bool(delay_reported),
    )


def renew(tx: Tx, entries: Sequence[QueueEntry], until: int) -> int:
    """Prolong the leases of attempts that still live; how many still were ours."""
    return sum(
        tx.run(
            "UPDATE queue_recipient SET due = ? WHERE queue_id = ? AND number = ? AND owner = ? AND epoch = ?",
            until,
            entry.queue_id,
            entry.number,
            entry.owner,
            entry.epoch,
        )
        for entry in entries
    )


def reschedule(tx: Tx, entry: QueueEntry, due: int, answer: str, delay_reported: bool, destination: str = "") -> bool:
    """The attempt was deferred: try again at *due*, by *destination* if one is given. False: the lease was lost, no change."""
    place = destination or entry.destination
    if destination:
        tx.wake(QUEUE_TOPIC)  # its lane may be another worker's
    return bool(
        tx.run(
            "UPDATE queue_recipient SET due = ?, owner = 0, attempts = attempts + 1, answer = ?, delay_reported = ?,"
            " destination = ?, lane = ?"
            " WHERE queue_id = ? AND number = ? AND owner = ? AND epoch = ?",
            due,
            answer.encode(),
            int(delay_reported),
            place.encode(),
            lane_of(place),
            entry.queue_id,
            entry.number,
            entry.owner,
            entry.epoch,
        )
    )


def release(tx: Tx, entry: QueueEntry, due: int) -> bool:
    """Give a lease back without an attempt having been made."""
    return bool(
        tx.run(
            "UPDATE queue_recipient SET due = ?, owner = 0 WHERE queue_id = ? AND number = ? AND owner = ? AND epoch = ?",
            due,
            entry.queue_id,
            entry.number,
            entry.owner,
            entry.epoch,
        )
    )


def put_off(
    tx: Tx,
    destination: str,
    now: int,
    answer: str,
    waits: Sequence[int],
    delay_report_s: int,
    limit: int,
    attempts: int | None = None,
) -> int:
    """As if each due row of a destination that is known not to answer had been tried and deferred, in one statement; how many.

    *waits*: seconds to wait by the attempts made before, the last one for all beyond. Rows that would expire or have to be
    reported as delayed by then are left to an attempt of their own, and so are those whose last one of *attempts* it would be.
    """
    cases = " ".join(f"WHEN r.attempts = {made} THEN {int(wait)}" for made, wait in enumerate(waits[:-1]))
    wait = f"(CASE {cases} ELSE {int(waits[-1])} END)" if cases else str(int(waits[-1]))
    silent = "0 = 0" if not delay_report_s else "(r.delay_reported = 1 OR m.made_at + ? > ? + " + wait + ")"
    fewer = "" if attempts is None else f" AND r.attempts < {int(attempts) - 1}"
    return tx.run(
        f"UPDATE queue_recipient SET due = ? + {wait.replace('r.', '')}, attempts = attempts + 1, answer = ?"
        " WHERE (queue_id, number) IN (SELECT r.queue_id, r.number FROM queue_recipient r"
        " JOIN queue_message m ON m.queue_id = r.queue_id"
        f" WHERE r.lane = ? AND r.state = 0 AND r.destination = ? AND r.due <= ? AND m.expires >= ? + {wait} AND {silent}{fewer}"
        " ORDER BY r.due LIMIT ?)",
        now,
        answer.encode(),
        lane_of(destination),
        destination.encode(),
        now,
        now,
        *((delay_report_s, now) if delay_report_s else ()),
        limit,
    )


def finish(tx: Tx, entry: QueueEntry, now: int) -> bool:
    """The recipient is settled, delivered or failed: its row goes. False: the lease was lost and nothing was changed."""
    if not tx.run(
        "DELETE FROM queue_recipient WHERE queue_id = ? AND number = ? AND owner = ? AND epoch = ?",
        entry.queue_id,
        entry.number,
        entry.owner,
        entry.epoch,
    ):
        return False
    _count_down(tx, entry.queue_id, now)
    return True


def is_leased(tx: Tx, entry: QueueEntry) -> bool:
    """Whether *entry*'s lease still stands."""
    row = tx.one("SELECT owner, epoch FROM queue_recipient WHERE queue_id = ? AND number = ?", entry.queue_id, entry.number)
    return row == (entry.owner, entry.epoch)


def _count_down(tx: Tx, queue_id: int, now: int) -> None:
    """One recipient less; with the last one the message goes too."""
    row = tx.one("UPDATE queue_message SET waiting = waiting - 1 WHERE queue_id = ? RETURNING waiting, blob_id", queue_id)
    if row is None or row[0] > 0:
        return
    tx.run("DELETE FROM queue_message WHERE queue_id = ?", queue_id)
    unrefer(tx, row[1], REF_QUEUE, queue_id, now)


def unrefer(tx: Tx, blob: int, kind: int, holder: int, now: int) -> None:
    """Drop a reference; an inline body that nobody refers to goes at once, a file by the janitor."""
    tx.run("DELETE FROM blob_ref WHERE blob_id = ? AND kind = ? AND holder = ?", blob, kind, holder)
    if tx.one("SELECT 1 FROM blob_ref WHERE blob_id = ? LIMIT 1", blob) is None:
        row = tx.one("DELETE FROM blob WHERE blob_id = ? RETURNING place", blob)
        if row is not None and row[0]:
            tx.run("INSERT INTO reap (at, kind, account_id, object) VALUES (?, ?, 0, ?)", now, REAP_FILE, blob)


def next_due(tx: Tx) -> int | None:
    row = tx.one("SELECT due FROM queue_recipient WHERE state = 0 ORDER BY due LIMIT 1")
    return None if row is None else int(row[0])


# --- the administrator's side --------------------------------------------------------------------------------------

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


def set_due(tx: Tx, chosen: Chosen, due: int, *, earlier: bool) -> int:
    """Bring forward to *due*, or (not *earlier*) put off until then, what waits and is not being attempted; how many rows."""
    where, values = chosen.where()
    changed = tx.run(
        "UPDATE queue_recipient SET due = ? WHERE (queue_id, number) IN (SELECT queue_id, number FROM queue_recipient"
        f" WHERE {where} AND state = 0 AND owner = 0 AND due {'>' if earlier else '<'} ? LIMIT ?)",
        due,
        *values,
        due,
        STEP,
    )
    tx.wake(QUEUE_TOPIC)
    return changed


def retry(tx: Tx, destination: str, now: int) -> int:
    """Bring forward what waits for *destination* after an attempt; what is held back for its time stays. How many rows."""
    changed = tx.run(
        "UPDATE queue_recipient SET due = ? WHERE (queue_id, number) IN (SELECT queue_id, number FROM queue_recipient"
        " WHERE lane = ? AND state = 0 AND destination = ? AND due > ? AND owner = 0 AND attempts > 0 LIMIT ?)",
        now,
        lane_of(destination),
        destination.encode(),
        now,
        STEP,
    )
    tx.wake(QUEUE_TOPIC)
    return changed


def set_state(tx: Tx, chosen: Chosen, state: QueueState) -> int:
    """Hold or release. An attempt under way ends as it may."""
    where, values = chosen.where()
    changed = tx.run(
        "UPDATE queue_recipient SET state = ? WHERE (queue_id, number) IN (SELECT queue_id, number FROM queue_recipient"
        f" WHERE {where} AND state >= ? AND state <= ? LIMIT ?)",
        int(state),
        *values,
        *((0, 0) if state is not QueueState.WAITING else (int(QueueState.HELD), int(QueueState.ACCOUNT_HELD))),
        STEP,
    )
    tx.wake(QUEUE_TOPIC)
    return changed


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
    tx.many("UPDATE queue_recipient SET destination = ?, lane = ?, due = ? WHERE queue_id = ? AND number = ?", changes)
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
    return [entry for row in rows for entry in _entries(tx, [row[:8]], row[8])]


def recall(tx: Tx, queue_id: int, now: int) -> tuple[list[str], list[str]]:
    """Take back a message: (recipients who will not get it, recipients to whom it is being sent at this moment)."""
    rows = tx.all("SELECT number, owner, recipient FROM queue_recipient WHERE queue_id = ? ORDER BY number", queue_id)
    shown = {number: str(decode_recipient(bytes(recipient)).address) for number, _, recipient in rows}
    back, busy = [number for number, owner, _ in rows if not owner], [number for number, owner, _ in rows if owner]
    if not busy:
        drop(tx, queue_id, now)
    elif back:
        tx.many("DELETE FROM queue_recipient WHERE queue_id = ? AND number = ?", [(queue_id, number) for number in back])
        tx.run("UPDATE queue_message SET waiting = waiting - ? WHERE queue_id = ?", len(back), queue_id)
    return [shown[number] for number in back], [shown[number] for number in busy]


def void(tx: Tx, first: int, last: int, keep: int, now: int) -> int:
    """Make due what owners *first* to *last* (except *keep*) had leased: their worker is dead. Nobody will hear its answers."""
    tx.run("DELETE FROM lock WHERE owner >= ? AND owner <= ? AND owner <> ?", first, last, keep)
    tx.run("UPDATE accepted SET owner = 0 WHERE owner >= ? AND owner <= ? AND owner <> ?", first, last, keep)
    return tx.run(
        "UPDATE queue_recipient SET due = ?, owner = 0 WHERE owner >= ? AND owner <= ? AND owner <> ? AND owner <> 0",
        now,
        first,
        last,
        keep,
    )
