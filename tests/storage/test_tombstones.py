"""What is gone: how long that is known, and how long it can still be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from postillon.model.account import Principal
from postillon.model.errors import NotFound, OverQuota
from postillon.model.ids import MailboxId, ModSeq
from postillon.model.plan import File, Plan
from postillon.seams import Tx
from postillon.storage.store import AppendItem
from postillon.storage.store.calls.upkeep import KEEP_GONE_S

from .conftest import Office, add_account
from .test_store import PREPARED, append, inbox, spooled


async def clean(office: Office) -> None:
    while await office.store.clean():
        pass


async def test_a_pack_is_kept_as_long_as_changes_lead_on_from_it(office: Office):
    store, alice, p = office.store, office.alice, Principal(office.alice)
    box = await inbox(office)
    await append(store, alice, box, 3)
    row = await inbox(office)
    await store.keep_pack(p, alice, row.id, row.uidvalidity, row.modseq, b"one")
    assert await store.pack(p, alice, row.id, row.uidvalidity) == (row.modseq, b"one")
    assert await store.pack(p, alice, row.id, row.uidvalidity + 1) is None
    await store.keep_pack(p, alice, row.id, row.uidvalidity, ModSeq(row.modseq + 1), b"two")
    assert await store.pack(p, alice, row.id, row.uidvalidity) == (row.modseq + 1, b"two")
    await store.keep_pack(p, alice, row.id, row.uidvalidity + 1, row.modseq, b"of another life")
    assert await store.pack(p, alice, row.id, row.uidvalidity) == (row.modseq + 1, b"two")
    with pytest.raises(NotFound):
        await store.pack(Principal(office.bob), alice, row.id, row.uidvalidity)


async def test_changes_are_complete_until_tombstones_are_dropped(office: Office):
    store, alice, p = office.store, office.alice, Principal(office.alice)
    box = await inbox(office)
    await append(store, alice, box, 3)
    before = (await inbox(office)).modseq
    await store.remove(p, alice, box.id, [2])
    after = (await inbox(office)).modseq
    office.clock.at += KEEP_GONE_S
    await clean(office)
    changes = await store.changes(p, alice, box.id, before)
    assert (changes.gone, changes.complete) == ([2], True)
    await store.remove(p, alice, box.id, [3])
    office.clock.at += 1
    await clean(office)
    changes = await store.changes(p, alice, box.id, before)
    assert (changes.gone, changes.complete) == ([3], False)
    assert (await store.changes(p, alice, box.id, after)).complete
    assert (await store.changes(p, alice, box.id, ModSeq(after - 1))).complete is False


async def test_who_is_at_the_floor_of_another_account_misses_nothing(office: Office):
    store, alice, p = office.store, office.alice, Principal(office.alice)
    theirs = await inbox(office, office.bob)
    await append(store, office.bob, theirs, 50)
    await store.remove(Principal(office.bob), office.bob, theirs.id, list(range(1, 51)))
    box = await inbox(office)
    office.clock.at += KEEP_GONE_S + 1
    await append(store, alice, box)
    await clean(office)
    assert (await store.changes(p, alice, box.id, box.modseq)).complete


async def test_tombstones_are_dropped_in_steps(office: Office):
    store, alice, p = office.store, office.alice, Principal(office.alice)
    box = await inbox(office)
    await append(store, alice, box, 1200)
    await store.remove(p, alice, box.id, list(range(1, 1201)))
    office.clock.at += KEEP_GONE_S + 1
    await clean(office)

    def count(tx: Tx) -> int:
        row = tx.one("SELECT count(*) FROM gone WHERE account_id = ?", alice)
        assert row is not None
        return int(row[0])

    assert await office.database.read(count) == 0


async def test_what_was_expunged_a_moment_ago_can_still_be_read(office: Office):
    store, alice, p = office.store, office.alice, Principal(office.alice)
    box = await inbox(office)
    await append(store, alice, box, 3)
    before = (await inbox(office)).modseq
    (saved,) = [email.saved for email in await store.emails(p, alice, box.id, [2])]
    office.clock.at += 5
    await store.remove(p, alice, box.id, [2])
    (email,) = await store.expunged(p, alice, box.id, [1, 2, 3], before)
    assert (email.uid, email.saved) == (2, saved)
    assert b"Body." in await store.read_octets(store.octets(email), 0, email.size)
    assert await store.expunged(p, alice, box.id, [2], (await inbox(office)).modseq) == []
    office.clock.at += 120
    await clean(office)
    assert await store.expunged(p, alice, box.id, [2], before) == []
    with pytest.raises(NotFound):
        await store.expunged(Principal(office.bob), alice, box.id, [2], before)


async def test_a_message_that_cannot_be_filed_leaves_no_file(office: Office, tmp_path: Path):
    store = office.store
    poor = await add_account(store, "poor@example.test", quota=1000)
    box = await inbox(office, poor)
    body = await spooled(store, b"x" * 100_000)
    with pytest.raises(OverQuota):
        await store.append(Principal(poor), poor, box.id, [AppendItem(body, PREPARED)])
    body = await spooled(store, b"x" * 100_000)
    with pytest.raises(OverQuota):
        await store.commit(Plan(body, PREPARED, 0, items=(File(poor, b"", body.size, respects_quota=True),)))
    body = await spooled(store, b"x" * 100_000)
    with pytest.raises(NotFound):
        await store.append(Principal(office.alice), office.alice, MailboxId(1), [AppendItem(body, PREPARED)])
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    body = await spooled(store, b"x" * 100_000)
    await store.append(Principal(office.alice), office.alice, (await inbox(office)).id, [AppendItem(body, PREPARED)])
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1
