"""The quarantine on each kind of database: what is held, released, deleted, and pruned when its time is over."""

from __future__ import annotations

import time

import pytest

from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import DiskFull, NotFound
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, Hold, Plan
from postillon.model.record import Record, Stage
from postillon.seams import Tx
from postillon.storage.store import quarantine
from postillon.storage.store.quarantine import Quarantine

from .conftest import Office

DAY = 86400


async def held(office: Office, *recipients: str, size: int = 100, room: int = 10**6) -> list[int]:
    """One message, an entry for each of *recipients*."""
    spool = office.store.spool(10**6)
    spool.write(b"Subject: x\r\n\r\n" + b"x" * size)
    now = office.clock.now()
    sender = Address.parse("joe@there.test")
    items = [
        Hold(
            hold_id=office.store.new_ids(1)[0],
            account=office.alice,
            item=Enqueue(QueueId(1), Envelope(sender, (Recipient(Address.parse(name)),)), ("local",), b"", None, 0, 0),
            size=size + 14,
            until=now + 30 * DAY,
            room=room,
            facts=(("reason", "it smells"), ("subject", "x")),
        )
        for name in recipients
    ]
    await office.store.commit(Plan(await spool.finish(), None, now, items=tuple(items), records=(Record(Stage.ACCEPTED, now),)))
    return [item.hold_id for item in items]


async def blobs(office: Office) -> int:
    def work(tx: Tx) -> int:
        row = tx.one("SELECT count(*) FROM blob")
        assert row is not None
        return int(row[0])

    return await office.database.read(work)


async def test_what_is_held_can_be_seen_and_read(office: Office):
    first, second = await held(office, "alice@example.test", "bob@example.test")
    keeper = Quarantine(office.store)
    shown = await keeper.list()
    assert [one.hold_id for one in shown] == [first, second] and await keeper.list(after=first) == shown[1:]
    one = await keeper.find(second)
    assert (str(one.envelope.sender), one.account, one.size) == ("joe@there.test", office.alice, 114)
    assert [str(recipient.address) for recipient in one.envelope.recipients] == ["bob@example.test"]
    assert one.facts == {"reason": "it smells", "subject": "x"}
    rope = await keeper.octets(one)
    assert (await office.store.read_octets(rope, 0, rope.size)).startswith(b"Subject: x\r\n\r\nxxx")
    assert await office.store.queue_size() == 0


async def test_a_release_queues_it_for_that_recipient_once(office: Office):
    first, second = await held(office, "alice@example.test", "bob@example.test")
    keeper = Quarantine(office.store, lifetime_s=DAY)
    await keeper.release(second, office.clock.now())
    (view,) = await office.store.queue_views()
    assert (str(view.recipient), view.destination) == ("bob@example.test", "local")
    with pytest.raises(NotFound):
        await keeper.release(second, office.clock.now())
    assert [one.hold_id for one in await keeper.list()] == [first]
    assert await blobs(office) == 1


@pytest.mark.parametrize("size", [100, 100_000])
async def test_the_body_goes_with_the_last_entry(office: Office, size: int):
    first, second = await held(office, "alice@example.test", "bob@example.test", size=size)
    keeper = Quarantine(office.store)
    await keeper.delete(first, office.clock.now())
    assert await blobs(office) == 1
    await keeper.delete(second, office.clock.now())
    assert await blobs(office) == 0
    with pytest.raises(NotFound):
        await keeper.delete(second, office.clock.now())


async def test_what_was_held_long_enough_goes_by_itself(office: Office):
    await held(office, "alice@example.test")
    office.clock.at += 10 * DAY
    kept = await held(office, "bob@example.test")
    keeper = Quarantine(office.store)
    assert await keeper.prune(office.clock.now()) == 0
    office.clock.at += 20 * DAY
    assert await keeper.prune(office.clock.now()) == 1
    assert [one.hold_id for one in await keeper.list()] == kept and await blobs(office) == 1


async def test_there_is_room_for_so_much_and_no_more(office: Office):
    kept = await held(office, "alice@example.test", "bob@example.test", room=300)
    keeper = Quarantine(office.store)
    assert await keeper.total() == (2, 228)
    with pytest.raises(DiskFull):
        await held(office, "alice@example.test", room=300)
    assert await keeper.total() == (2, 228) and await blobs(office) == 1
    await keeper.release(kept[0], office.clock.now())
    await held(office, "alice@example.test", room=300)
    await keeper.delete(kept[1], office.clock.now())
    assert await keeper.total() == (1, 114)


async def test_it_is_told_in_the_records(office: Office):
    await held(office, "alice@example.test")
    now = int(time.time())  # ids are of the real time
    (traced,) = await office.store.find_records("alice@example.test", now - DAY, now + 60)
    assert [record.stage for record in traced.records] == [Stage.ACCEPTED, Stage.QUARANTINED]


async def test_every_statement_uses_an_index(office: Office):
    noted: list[str] = []

    class Noting:
        def __init__(self, tx: Tx) -> None:
            self._tx = tx
            self.dialect = tx.dialect

        def one(self, sql: str, *values: object) -> object:
            noted.append(sql)
            return self._tx.one(sql, *values)

        def all(self, sql: str, *values: object) -> object:
            noted.append(sql)
            return self._tx.all(sql, *values)

        def run(self, sql: str, *values: object) -> int:
            noted.append(sql)
            return self._tx.run(sql, *values)

    def work(tx: Tx) -> None:
        noting: Tx = Noting(tx)  # type: ignore[assignment]
        quarantine.listed(noting, 0, 10)
        quarantine.prune(noting, 0)
        quarantine.remove(noting, 1, 0)
        quarantine.total(noting)
        with pytest.raises(NotFound):
            quarantine.one(noting, 1)
        if tx.dialect == "sqlite":
            for sql in noted:
                steps = str(tx.all("EXPLAIN QUERY PLAN " + sql, *[1] * sql.count("?")))
                assert "SCAN" not in steps, sql

    await office.database.write(work)
    assert len(noted) == 5
