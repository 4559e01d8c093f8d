"""The quarantine: mail that was accepted and is kept from its recipients. It is the server's own; no client sees it.

What is held is the duty that will be queued when somebody releases it, so a release is filed like any mail that waited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ...message.octets import Octets
from ...model.envelope import Envelope
from ...model.errors import DiskFull, NotFound
from ...model.ids import AccountId, BlobId, QueueId
from ...model.plan import Enqueue, Hold
from ...seams import Row, Tx
from .envelopes import decode_envelope, decode_recipient, encode_envelope, encode_recipient
from .filing import refer
from .queue import enqueue, unrefer

if TYPE_CHECKING:
    from .calls.core import Rope
    from .store import Store

REF_QUARANTINE = 3
STEP = 200
GONE = "There is no such message in the quarantine"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, str]]).decode
_decode_facts = msgspec.msgpack.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Held:
    """One entry, as an administrator sees it."""

    hold_id: int
    account: AccountId | None
    envelope: Envelope
    """Its recipients are those for whom it is held."""
    destinations: tuple[str, ...]
    blob: BlobId
    blob_size: int
    size: int
    made_at: int
    until: int
    recipe: bytes
    facts: dict[str, str]


def hold(tx: Tx, item: Hold, blob: BlobId, blob_size: int, now: int) -> None:
    """The row of *item*; the blob's row must be there. Raises DiskFull beyond the room for all that is held."""
    values = item.size, item.size, item.room
    sql = "UPDATE quarantine_total SET size = size + ?, entries = entries + 1 WHERE total_id = 1 AND size + ? <= ?"
    if not tx.run(sql, *values):
        raise DiskFull(
            "Messages like this one are held back here, and there is no room for more; try again later", detail="quarantine"
        )
    queued = item.item
    recipients = [
        (encode_recipient(recipient), destination)
        for recipient, destination in zip(queued.envelope.recipients, queued.destinations, strict=True)
    ]
    tx.run(
        "INSERT INTO quarantine (hold_id, account_id, blob_id, blob_size, size, made_at, until, envelope, recipients, recipe,"
        " facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        item.hold_id,
        item.account or 0,
        blob,
        blob_size,
        item.size,
        now,
        item.until,
        encode_envelope(queued.envelope),
        _encode(recipients),
        queued.recipe,
        _encode(dict(item.facts)),
    )
    refer(tx, blob, REF_QUARANTINE, item.hold_id)


_ROW = "SELECT hold_id, account_id, envelope, recipients, blob_id, blob_size, size, made_at, until, recipe, facts FROM quarantine"


def _held(row: Row) -> Held:
    pairs = _decode(row[3])
    return Held(
        hold_id=row[0],
        account=AccountId(row[1]) if row[1] else None,
        envelope=decode_envelope(row[2], *(decode_recipient(recipient) for recipient, _ in pairs)),
        destinations=tuple(destination for _, destination in pairs),
        blob=BlobId(row[4]),
        blob_size=row[5],
        size=row[6],
        made_at=row[7],
        until=row[8],
        recipe=row[9],
        facts=_decode_facts(row[10]),
    )


def listed(tx: Tx, after: int, limit: int) -> list[Held]:
    """Entries in the order in which they came, those past the id *after*."""
    return [_held(row) for row in tx.all(f"{_ROW} WHERE hold_id > ? ORDER BY hold_id LIMIT ?", after, limit)]


def one(tx: Tx, hold_id: int) -> Held:
    """Raises NotFound."""
    row = tx.one(f"{_ROW} WHERE hold_id = ?", hold_id)
    if row is None:
        raise NotFound(GONE)
    return _held(row)


def total(tx: Tx) -> tuple[int, int]:
    """How many entries there are, and their octets."""
    row = tx.one("SELECT entries, size FROM quarantine_total WHERE total_id = 1")
    return (row[0], row[1]) if row else (0, 0)


def remove(tx: Tx, hold_id: int, now: int) -> int:
    """How many entries went: 0 or 1."""
    row = tx.one("DELETE FROM quarantine WHERE hold_id = ? RETURNING blob_id, size", hold_id)
    if row is None:
        return 0
    tx.run("UPDATE quarantine_total SET size = size - ?, entries = entries - 1 WHERE total_id = 1", row[1])
    unrefer(tx, row[0], REF_QUARANTINE, hold_id, now)
    return 1


def release(tx: Tx, hold_id: int, queue_id: int, lifetime_s: int, now: int) -> Held:
    """Queue what is held, and let go of the entry. Raises NotFound."""
    held = one(tx, hold_id)
    item = Enqueue(QueueId(queue_id), held.envelope, held.destinations, held.recipe, None, now, now + lifetime_s)
    enqueue(tx, item, held.blob, held.blob_size, held.size, now)
    if not remove(tx, hold_id, now):
        raise NotFound(GONE)  # somebody else released it at this moment
    return held


def prune(tx: Tx, now: int) -> int:
    """One step of removing what has been held long enough; how much went."""
    rows = tx.all("SELECT hold_id FROM quarantine WHERE until <= ? ORDER BY until, hold_id LIMIT ?", now, STEP)
    return sum(remove(tx, row[0], now) for row in rows)


class Quarantine:
    """The same for callers outside of a transaction."""

    def __init__(self, store: Store, *, lifetime_s: int = 5 * 86400) -> None:
        """*lifetime_s*: how long the queue tries what was released."""
        self._store = store
        self._lifetime_s = lifetime_s

    async def list(self, after: int = 0, limit: int = 200) -> list[Held]:
        return await self._store.database.read(lambda tx: listed(tx, after, limit))

    async def find(self, hold_id: int) -> Held:
        """Raises NotFound."""
        return await self._store.database.read(lambda tx: one(tx, hold_id))

    async def total(self) -> tuple[int, int]:
        """How many entries there are, and their octets."""
        return await self._store.database.peek(total)

    async def octets(self, held: Held) -> Rope:
        from .calls.core import Rope

        return Rope(Octets.decode(held.recipe, held.blob_size), held.blob)

    async def release(self, hold_id: int, now: int) -> Held:
        """Its recipients get it as if it had just arrived; nothing judges it again. Raises NotFound."""
        queue_id = self._store.new_ids(1)[0]
        return await self._store.database.write(lambda tx: release(tx, hold_id, queue_id, self._lifetime_s, now))

    async def delete(self, hold_id: int, now: int) -> None:
        """Raises NotFound."""

        def work(tx: Tx) -> None:
            if not remove(tx, hold_id, now):
                raise NotFound(GONE)

        await self._store.database.write(work)

    async def prune(self, now: int) -> int:
        """A step of the janitor."""
        if await self._store.database.peek(lambda tx: tx.one("SELECT 1 FROM quarantine WHERE until <= ? LIMIT 1", now)) is None:
            return 0
        return await self._store.database.write(lambda tx: prune(tx, now))
