"""A large mailbox is kept packed: the next worker that opens it sees the same, and what happened since."""

from __future__ import annotations

import pytest

from postillon.model.account import Principal
from postillon.model.ids import MailboxId
from postillon.model.mail import DELETED, SEEN
from postillon.servers.imap import snapshots
from postillon.servers.imap.snapshot import Snapshot
from postillon.servers.imap.snapshots import Loaded, Snapshots

from .house import SIMPLE, House


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch):
    """Ten messages are a large mailbox here."""
    monkeypatch.setattr(snapshots, "PACK_FROM", 10)


async def opened(house: House) -> Loaded:
    """INBOX, as a worker opens it that has just started."""
    principal = Principal(house.alice.id)
    row = await house.store.find_mailbox(principal, house.alice.id, ("INBOX",))
    loaded, _ = await Snapshots(store=house.store).open(principal, row)
    return loaded


def picture(loaded: Loaded) -> list[tuple[int, int, int]]:
    snapshot = loaded.snapshot
    there = [slot for slot in range(len(snapshot)) if slot not in snapshot.gone]
    return [(snapshot.uids[slot], snapshot.flags(slot), snapshot.modseqs[slot]) for slot in there]


async def packed(house: House, mailbox: MailboxId, uidvalidity: int) -> tuple[int, bytes] | None:
    return await house.store.pack(Principal(house.alice.id), house.alice.id, mailbox, uidvalidity)


def test_a_pack_is_the_snapshot_it_was_made_of():
    snapshot = Snapshot()
    snapshot.extend([(1, SEEN, 5), (3, 1 << 40, 70_000), (2**31, 0, 1 << 40)])
    again = Snapshot.of_pack(snapshot.packed())
    assert again is not None
    assert [again.flags(slot) for slot in range(3)] == [SEEN, 1 << 40, 0]
    assert (list(again.uids), list(again.modseqs)) == ([1, 3, 2**31], [5, 70_000, 1 << 40])


async def test_a_small_mailbox_is_not_packed(house: House):
    await house.put(*[SIMPLE] * 9)
    loaded = await opened(house)
    assert await packed(house, loaded.mailbox, loaded.uidvalidity) is None


async def test_the_next_worker_sees_the_same(house: House):
    await house.put(*[SIMPLE] * 12)
    first = await opened(house)
    assert await packed(house, first.mailbox, first.uidvalidity) is not None
    assert picture(await opened(house)) == picture(first)


async def test_what_happened_since_is_there(house: House):
    await house.put(*[SIMPLE] * 12)
    first = await opened(house)
    store, p, account, box = house.store, Principal(house.alice.id), house.alice.id, first.mailbox
    await store.store_flags(p, account, box, [2], "add", SEEN, (b"$New",))
    await store.store_flags(p, account, box, [3], "add", DELETED)
    await store.expunge(p, account, box, None)
    await house.put(SIMPLE)
    second = await opened(house)
    await first.refresh()
    assert picture(second) == picture(first)
    assert [uid for uid, _, _ in picture(second)] == [1, 2, *range(4, 14)]


async def test_an_old_pack_is_made_anew(house: House):
    await house.put(*[SIMPLE] * 12)
    first = await opened(house)
    old = await packed(house, first.mailbox, first.uidvalidity)
    await house.put(*[SIMPLE] * 2)
    await opened(house)
    new = await packed(house, first.mailbox, first.uidvalidity)
    assert old is not None and new is not None and new[0] > old[0]


async def test_a_pack_from_before_the_oldest_tombstone_is_of_no_use(house: House):
    await house.put(*[SIMPLE] * 12)
    first = await opened(house)
    store, p, account = house.store, Principal(house.alice.id), house.alice.id
    await store.store_flags(p, account, first.mailbox, [1], "add", DELETED)
    await store.expunge(p, account, first.mailbox, None)
    house.clock.at += 400 * 86400
    while await store.clean():
        pass
    assert await packed(house, first.mailbox, first.uidvalidity) is None
    assert [uid for uid, _, _ in picture(await opened(house))] == list(range(2, 13))


async def test_a_deleted_mailbox_leaves_no_pack(house: House):
    client = await house.client()
    await client.ok("CREATE Large")
    await house.put(*[SIMPLE] * 12, mailbox="Large")
    await client.ok("SELECT Large")
    rows = "SELECT count(*) FROM mailbox_pack"
    assert await house.store.database.read(lambda tx: tx.one(rows)) == (1,)
    await client.ok("UNSELECT")
    await client.ok("DELETE Large")
    house.clock.at += 400 * 86400
    while await house.store.clean():
        pass
    assert await house.store.database.read(lambda tx: tx.one(rows)) == (0,)
