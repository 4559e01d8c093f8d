"""Clients and snapshots that were away for so long that the tombstones are gone."""

from __future__ import annotations

from postillon.model.account import SERVER
from postillon.servers.imap.vanished import without
from postillon.storage.store.calls.upkeep import KEEP_GONE_S

from .house import SIMPLE, House


async def forget_the_gone(house: House) -> None:
    house.clock.at += KEEP_GONE_S + 1
    while await house.store.clean():
        pass


async def test_after_a_long_absence_qresync_tells_of_all_that_is_not_there(house: House):
    await house.put(*[SIMPLE] * 6)
    box = await house.mailbox()
    await house.store.remove(SERVER, house.alice.id, box.id, [2, 3])
    await forget_the_gone(house)
    await house.store.remove(SERVER, house.alice.id, box.id, [6])
    client = await house.client()
    await client.ok("ENABLE QRESYNC")
    lines = await client.ok(f"SELECT INBOX (QRESYNC ({box.uidvalidity} {box.modseq}))")
    assert [line for line in lines if b"VANISHED" in line] == [b"* VANISHED (EARLIER) 2:3,6"]
    lines = await client.ok(f"SELECT INBOX (QRESYNC ({box.uidvalidity} {box.modseq} 1:2,4))")
    assert [line for line in lines if b"VANISHED" in line] == [b"* VANISHED (EARLIER) 2"]
    lines = await client.ok(f"UID FETCH 1:3,5:* (FLAGS) (CHANGEDSINCE {box.modseq} VANISHED)")
    assert lines == [b"* VANISHED (EARLIER) 2:3,6"]


async def test_a_snapshot_that_slept_long_sees_what_went(house: House):
    await house.put(*[SIMPLE] * 4)
    box = await house.mailbox()
    client = await house.client(select="INBOX")
    await client.ok("UNSELECT")  # the snapshot stays in memory
    await house.store.remove(SERVER, house.alice.id, box.id, [2])
    await forget_the_gone(house)
    await house.put(SIMPLE)
    assert b"* 4 EXISTS" in await client.ok("SELECT INBOX")
    assert await client.ok("FETCH 1:* UID") == [b"* %d FETCH (UID %d)" % pair for pair in ((1, 1), (2, 3), (3, 4), (4, 5))]


async def test_a_view_that_slept_long_hears_what_went(house: House):
    await house.put(*[SIMPLE] * 4)
    box = await house.mailbox()
    client = await house.client(select="INBOX")
    await house.store.remove(SERVER, house.alice.id, box.id, [2])
    await forget_the_gone(house)
    await house.put(SIMPLE)
    assert await client.ok("NOOP") == [b"* 2 EXPUNGE", b"* 4 EXISTS"]


async def test_what_another_session_expunged_can_be_read_at_every_level(house: House):
    await house.put(*[SIMPLE] * 3)
    client = await house.client(select="INBOX")
    for what in ("RFC822.SIZE SAVEDATE EMAILID", "ENVELOPE INTERNALDATE", "BODY.PEEK[] BODYSTRUCTURE"):
        before = await client.ok(f"FETCH 1:* ({what})")
        box = await house.mailbox()
        row = (await house.store.snapshot(SERVER, house.alice.id, box.id, 0))[0]
        await house.store.remove(SERVER, house.alice.id, box.id, [row[0]])
        house.clock.at += 3
        assert await client.ok(f"FETCH 1:* ({what})") == before
        assert await client.ok("NOOP") == [b"* 1 EXPUNGE"]
        if not (await house.mailbox()).total:
            return


def test_ranges_less_ranges():
    assert without([(1, 10)], []) == [(1, 10)]
    assert without([(1, 10)], [(1, 10)]) == []
    assert without([(1, 10)], [(3, 4), (7, 7)]) == [(1, 2), (5, 6), (8, 10)]
    assert without([(1, 3), (5, 9)], [(2, 6), (9, 20)]) == [(1, 1), (7, 8)]
    assert without([(4, 5)], [(1, 2), (8, 9)]) == [(4, 5)]
