"""The queue's rows: one per recipient, leased by due time, settled with proof of the lease. Works over a transaction.

A lease moves `due` to its end, so a row whose worker died comes due again by itself; owner and epoch fence off a late worker.
Destinations are visited in turn by an index on (lane, state, destination, due), so that one with a million rows waiting costs
the others nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence

from ...model.ids import AccountId, BlobId, QueueId
from ...model.plan import Enqueue
from ...model.queue import QueueEntry, QueueState
from ...seams import QUEUE_TOPIC, Row, Tx
from ..db.dialect import ids, locked
from .envelopes import decode_envelope, decode_recipient, encode_envelope, encode_recipient
from .filing import REF_QUEUE, refer
from .mailboxes import REAP_FILE

LANES = 64
LOCAL = b"local"
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
        # PostgreSQL: who waits for a row that another leases looks again only at what is said outside of the subquery. The
        # plus signs keep it from being looked for there: it would be all that is due, to whatever destination.
        rows = tx.all(
            "UPDATE queue_recipient SET due = ?, owner = ?, epoch = epoch + 1 WHERE (queue_id, number) IN ("
            "SELECT queue_id, number FROM queue_recipient WHERE lane = ? AND state = 0 AND destination = ? AND due <= ?"
            " ORDER BY due LIMIT ?) AND +state = 0 AND +due <= ?"
            " RETURNING queue_id, number, destination, recipient, attempts, epoch, answer, delay_reported",
            until,
            owner,
            lane,
            destination.encode(),
            now,
            min(per_destination, limit - len(entries)),
            now,
        )
        entries += leased_entries(tx, rows, owner)
        if len(entries) >= limit:
            break
    return entries


def leased_entries(tx: Tx, rows: Sequence[Row], owner: int) -> list[QueueEntry]:
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
        " ORDER BY r.due LIMIT ?) AND +state = 0 AND +due <= ?",  # see `lease`
        now,
        answer.encode(),
        lane_of(destination),
        destination.encode(),
        now,
        now,
        *((delay_report_s, now) if delay_report_s else ()),
        limit,
        now,
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
    count_down(tx, entry.queue_id, 1, now)
    return True


def is_leased(tx: Tx, entry: QueueEntry) -> bool:
    """Whether *entry*'s lease still stands; it then does until the transaction ends."""
    sql = f"SELECT owner, epoch FROM queue_recipient WHERE queue_id = ? AND number = ?{locked(tx)}"
    row = tx.one(sql, entry.queue_id, entry.number)
    return row == (entry.owner, entry.epoch)


def count_down(tx: Tx, queue_id: int, count: int, now: int) -> None:
    """So many recipients less; with the last one the message goes too."""
    row = tx.one("UPDATE queue_message SET waiting = waiting - ? WHERE queue_id = ? RETURNING waiting, blob_id", count, queue_id)
    if row is None or row[0] > 0:
        return
    tx.run("DELETE FROM queue_message WHERE queue_id = ?", queue_id)
    unrefer(tx, row[1], REF_QUEUE, queue_id, now)


def unrefer(tx: Tx, blob: int, kind: int, holder: int, now: int) -> None:
    """Drop a reference; an inline body that nobody refers to goes at once, a file by the janitor."""
    if locked(tx):  # of two who drop the last two references one must see that there is none
        tx.one(f"SELECT 1 FROM blob WHERE blob_id = ?{locked(tx)}", blob)
    tx.run("DELETE FROM blob_ref WHERE blob_id = ? AND kind = ? AND holder = ?", blob, kind, holder)
    if tx.one("SELECT 1 FROM blob_ref WHERE blob_id = ? LIMIT 1", blob) is None:
        row = tx.one("DELETE FROM blob WHERE blob_id = ? RETURNING place", blob)
        if row is not None and row[0]:
            tx.run("INSERT INTO reap (at, kind, account_id, object) VALUES (?, ?, 0, ?)", now, REAP_FILE, blob)


def next_due(tx: Tx) -> int | None:
    row = tx.one("SELECT due FROM queue_recipient WHERE state = 0 ORDER BY due LIMIT 1")
    return None if row is None else int(row[0])


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
