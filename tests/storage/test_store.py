"""The store's promises, on every kind of database."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from postillon.message.octets import Octets
from postillon.model.account import SERVER, Principal
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Notify, Recipient
from postillon.model.errors import AlreadyExists, HasChildren, NotFound, NotPermitted, OverQuota, TooLarge
from postillon.model.ids import AccountId, MailboxId, QueueId
from postillon.model.mail import DELETED, FLAGGED, SEEN, Mailbox
from postillon.model.plan import Body, Enqueue, File, Plan, Prepared
from postillon.model.queue import QueueState
from postillon.seams import QUEUE_TOPIC, Tx
from postillon.storage.store import AppendItem, Chosen, Store
from postillon.storage.store.commit import Acceptor

from .conftest import Office, add_account

TEXT = b"From: a@example.test\r\nSubject: hello\r\n\r\nBody.\r\n"
PREPARED = Prepared(b"overview", b"structure", message_id=b"one@example.test", subject=b"hello")


async def spooled(store: Store, data: bytes) -> Body:
    spool = store.spool(10**8)
    for at in range(0, len(data), 50_000):
        spool.write(data[at : at + 50_000])
    return await spool.finish()


async def append(store: Store, account: AccountId, box: Mailbox, count: int = 1, flags: int = 0) -> list[int]:
    items = [AppendItem(await spooled(store, TEXT), PREPARED, flags=flags, received=5, zone=60) for _ in range(count)]
    return (await store.append(Principal(account), account, box.id, items))[1]


async def inbox(office: Office, account: AccountId | None = None) -> Mailbox:
    who = account or office.alice
    return await office.store.find_mailbox(Principal(who), who, ("INBOX",))


# --- mailboxes -----------------------------------------------------------------------------------------------------


async def test_a_new_account_has_its_default_mailboxes_inbox_first(office: Office):
    boxes = await office.store.mailboxes(Principal(office.alice), office.alice)
    assert [(box.path, box.role) for box in boxes] == [
        (("INBOX",), "inbox"),
        (("Archive",), "archive"),
        (("Drafts",), "drafts"),
        (("Junk",), "junk"),
        (("Sent",), "sent"),
        (("Trash",), "trash"),
    ]
    assert all(box.subscribed and box.selectable and box.uidnext == 1 for box in boxes)


async def test_creating_a_mailbox_makes_its_parents_and_not_twice(office: Office):
    alice = Principal(office.alice)
    box = await office.store.create_mailbox(alice, office.alice, ("a", "b", "ç"))
    assert box.path == ("a", "b", "ç")
    with pytest.raises(AlreadyExists):
        await office.store.create_mailbox(alice, office.alice, ("a", "b"))
    with pytest.raises(AlreadyExists):
        await office.store.create_mailbox(alice, office.alice, ("inBox",))


async def test_a_deleted_parent_stays_as_a_name_until_its_children_are_gone(office: Office):
    alice, store = Principal(office.alice), office.store
    child = await store.create_mailbox(alice, office.alice, ("a", "b"))
    parent = await store.find_mailbox(alice, office.alice, ("a",))
    await append(store, office.alice, parent)
    await store.delete_mailbox(alice, office.alice, parent.id)
    left = await store.find_mailbox(alice, office.alice, ("a",))
    assert not left.selectable and left.total == 0
    with pytest.raises(HasChildren):
        await store.delete_mailbox(alice, office.alice, left.id)
    again = await store.create_mailbox(alice, office.alice, ("a",))
    assert again.selectable and again.uidvalidity > parent.uidvalidity
    assert not (await store.changes(alice, office.alice, parent.id, parent.modseq)).exists
    await store.delete_mailbox(alice, office.alice, child.id)
    await store.delete_mailbox(alice, office.alice, again.id)
    with pytest.raises(NotFound):
        await store.find_mailbox(alice, office.alice, ("a",))


async def test_inbox_cannot_be_deleted_and_gives_its_messages_away_when_renamed(office: Office):
    alice, store = Principal(office.alice), office.store
    box = await inbox(office)
    await append(store, office.alice, box, 3)
    with pytest.raises(NotPermitted):
        await store.delete_mailbox(alice, office.alice, box.id)
    await store.rename_mailbox(alice, office.alice, box.id, ("old",))
    assert (await inbox(office)).total == 0
    assert (await store.find_mailbox(alice, office.alice, ("old",))).total == 3


async def test_a_renamed_mailbox_takes_its_tree_along(office: Office):
    alice, store = Principal(office.alice), office.store
    await store.create_mailbox(alice, office.alice, ("a", "b", "c"))
    await store.rename_mailbox(alice, office.alice, (await store.find_mailbox(alice, office.alice, ("a", "b"))).id, ("x", "y"))
    assert (await store.find_mailbox(alice, office.alice, ("x", "y", "c"))).path == ("x", "y", "c")
    with pytest.raises(NotFound):
        await store.find_mailbox(alice, office.alice, ("a", "b"))
    a = await store.find_mailbox(alice, office.alice, ("a",))
    with pytest.raises(AlreadyExists):
        await store.rename_mailbox(alice, office.alice, a.id, ("Sent",))


async def test_a_recreated_mailbox_has_a_greater_uidvalidity(office: Office):
    alice, store = Principal(office.alice), office.store
    first = await store.create_mailbox(alice, office.alice, ("a",))
    await store.delete_mailbox(alice, office.alice, first.id)
    assert (await store.create_mailbox(alice, office.alice, ("a",))).uidvalidity > first.uidvalidity


async def test_another_account_sees_nothing_and_learns_nothing(office: Office):
    box = await inbox(office)
    bob = Principal(office.bob)
    with pytest.raises(NotFound):
        await office.store.mailbox(bob, office.alice, box.id)
    with pytest.raises(NotFound):
        await office.store.append(bob, office.alice, box.id, [])
    with pytest.raises(NotFound):
        await office.store.mailbox(bob, office.bob, box.id)


# --- messages ------------------------------------------------------------------------------------------------------


async def test_appended_messages_get_ascending_uids_and_are_counted(office: Office):
    box = await inbox(office)
    assert await append(office.store, office.alice, box, 2) == [1, 2]
    assert await append(office.store, office.alice, box, 1, SEEN) == [3]
    after = await inbox(office)
    assert (after.total, after.unseen, after.uidnext, after.size) == (3, 2, 4, 3 * len(TEXT))
    assert after.modseq > box.modseq
    assert office.wakes.topics.count(office.alice) == 2


@pytest.mark.parametrize("size", [10, 65_536, 65_537, 300_000])
async def test_octets_come_back_as_they_went_in_inline_or_from_a_file(office: Office, size: int):
    alice, store = Principal(office.alice), office.store
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    body = await spooled(store, data)
    assert (body.data is None) == (size > 65_536)
    box = await inbox(office)
    await store.append(alice, office.alice, box.id, [AppendItem(body, PREPARED)])
    (email,) = await store.emails(alice, office.alice, box.id, [1])
    rope = store.octets(email)
    assert rope.size == size == email.size
    assert await store.read_octets(rope, 0, size) == data
    assert await store.read_octets(rope, 3, 9) == data[3:9]
    assert email.overview == b"overview" and email.structure == b"structure"


async def test_a_message_with_a_prefix_is_read_across_the_seam(office: Office):
    store = office.store
    body = await spooled(store, TEXT)
    octets = Octets.whole(body.size).with_prefix(b"X-A: 1\r\n")
    plan = Plan(body, PREPARED, received=9, items=(File(office.alice, octets.encode(), octets.size),))
    receipt = await store.commit(plan)
    (filed,) = receipt.filed
    (email,) = await store.emails(SERVER, office.alice, filed.mailbox, [filed.uid])
    assert await store.read_octets(store.octets(email), 0, octets.size) == b"X-A: 1\r\n" + TEXT
    assert await store.read_octets(store.octets(email), 6, 12) == b"\r\nFrom"


async def test_a_spool_refuses_what_is_too_large_and_leaves_nothing(office: Office):
    spool = office.store.spool(100_000)
    spool.write(b"x" * 70_000)
    with pytest.raises(TooLarge):
        spool.write(b"x" * 70_000)
    spool.discard()
    spool.discard()


async def test_a_finished_spool_that_nobody_commits_is_removed_by_discard(office: Office, tmp_path: Path):
    spool = office.store.spool(100_000)
    spool.write(b"x" * 70_000)
    await spool.finish()
    assert len(list((tmp_path / "spool").iterdir())) == 1
    spool.discard()
    assert list((tmp_path / "spool").iterdir()) == []


async def test_appending_beyond_the_quota_files_nothing(office: Office):
    carol = await add_account(office.store, "carol@example.test", quota=len(TEXT) * 2)
    box = await inbox(office, carol)
    await append(office.store, carol, box, 2)
    with pytest.raises(OverQuota):
        await append(office.store, carol, box, 1)
    assert (await inbox(office, carol)).total == 2
    await office.store.remove(Principal(carol), carol, box.id, [1])
    await append(office.store, carol, box, 1)


# --- flags ---------------------------------------------------------------------------------------------------------


async def test_flags_are_added_removed_and_replaced_and_only_changes_get_a_modseq(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 2)
    first = await store.store_flags(alice, office.alice, box.id, [1, 2, 99], "add", SEEN | FLAGGED)
    assert [(uid, flags) for uid, flags, _ in first.changed] == [(1, SEEN | FLAGGED), (2, SEEN | FLAGGED)]
    again = await store.store_flags(alice, office.alice, box.id, [1], "add", SEEN)
    assert again.changed == [] and again.modseq == first.modseq
    removed = await store.store_flags(alice, office.alice, box.id, [1], "remove", SEEN)
    assert removed.changed[0][1] == FLAGGED and removed.modseq > first.modseq
    replaced = await store.store_flags(alice, office.alice, box.id, [2], "replace", DELETED)
    assert replaced.changed[0][1] == DELETED
    after = await inbox(office)
    assert (after.unseen, after.deleted) == (2, 1)


async def test_unchangedsince_leaves_what_changed_since_and_names_it(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 2)
    seen = await inbox(office)
    await store.store_flags(alice, office.alice, box.id, [2], "add", SEEN)
    result = await store.store_flags(alice, office.alice, box.id, [1, 2], "add", FLAGGED, (), seen.modseq)
    assert result.failed == [2] and [uid for uid, _, _ in result.changed] == [1]


async def test_keywords_are_names_of_the_account_in_any_case(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 2)
    first = await store.store_flags(alice, office.alice, box.id, [1], "add", 0, [b"$Forwarded"])
    second = await store.store_flags(alice, office.alice, box.id, [2], "add", 0, [b"$forwarded"])
    assert first.changed[0][1] == second.changed[0][1]
    assert list((await store.keywords(office.alice)).values()) == [b"$Forwarded"]
    none = await store.store_flags(alice, office.alice, box.id, [1], "remove", 0, [b"never"])
    assert none.changed == [] and len(await store.keywords(office.alice)) == 1


# --- copy, move, expunge, changes ----------------------------------------------------------------------------------


async def test_copy_keeps_flags_and_move_leaves_a_tombstone(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 3, FLAGGED)
    archive = await store.find_mailbox(alice, office.alice, ("Archive",))
    copied = await store.copy(alice, office.alice, box.id, [1, 3], archive.id)
    assert copied.pairs == [(1, 1), (3, 2)] and copied.uidvalidity == archive.uidvalidity
    moved = await store.move(alice, office.alice, box.id, [2], archive.id)
    assert moved.pairs == [(2, 3)]
    changes = await store.changes(alice, office.alice, box.id, box.modseq)
    assert [uid for uid, _, _ in changes.changed] == [1, 3] and changes.gone == [2]
    there = await store.snapshot(alice, office.alice, archive.id, 0)
    assert [(row[0], row[1]) for row in there] == [(1, FLAGGED), (2, FLAGGED), (3, FLAGGED)]


async def test_a_message_can_be_copied_into_its_own_mailbox(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 1)
    assert (await store.copy(alice, office.alice, box.id, [1], box.id)).pairs == [(1, 2)]
    assert (await store.move(alice, office.alice, box.id, [1, 2], box.id)).pairs == [(1, 3), (2, 4)]
    assert (await inbox(office)).total == 2


async def test_copying_to_nowhere_changes_nothing(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 1)
    with pytest.raises(NotFound):
        await store.move(alice, office.alice, box.id, [1], MailboxId(12345))
    assert (await inbox(office)).total == 1


async def test_expunge_removes_the_deleted_and_only_those_asked_for(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await append(store, office.alice, box, 5)
    await store.store_flags(alice, office.alice, box.id, [2, 4, 5], "add", DELETED)
    assert await store.expunge(alice, office.alice, box.id, [1, 4]) == [4]
    assert await store.expunge(alice, office.alice, box.id, None) == [2, 5]
    after = await inbox(office)
    assert (after.total, after.deleted, after.size) == (2, 0, 2 * len(TEXT))
    assert await append(store, office.alice, box) == [6]


async def test_a_fetch_under_way_still_finds_what_was_expunged_until_the_janitor_comes(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    await store.append(alice, office.alice, box.id, [AppendItem(await spooled(store, b"y" * 70_000), PREPARED)])
    (email,) = await store.emails(alice, office.alice, box.id, [1])
    await store.remove(alice, office.alice, box.id, [1])
    await store.clean()
    assert await store.read_octets(store.octets(email), 0, 3) == b"yyy"
    assert len(await store.emails_by_id(alice, office.alice, [email.id])) == 1
    for _ in range(3):
        office.clock.at += 100
        await store.clean()
    assert await store.emails_by_id(alice, office.alice, [email.id]) == []
    rows = await store.database.read(lambda tx: tx.all("SELECT (SELECT count(*) FROM blob), (SELECT count(*) FROM reap)"))
    assert rows == [(0, 0)]


async def test_a_deleted_mailbox_is_emptied_by_the_janitor_and_its_quota_given_back(office: Office):
    alice, store = Principal(office.alice), office.store
    box = await store.create_mailbox(alice, office.alice, ("big",))
    await append(store, office.alice, box, 30)
    await store.delete_mailbox(alice, office.alice, box.id)
    for _ in range(5):
        office.clock.at += 100
        await store.clean()

    def left(tx: Tx) -> list[tuple[int, ...]]:
        return tx.all(
            "SELECT (SELECT count(*) FROM placement), (SELECT count(*) FROM email), (SELECT count(*) FROM blob),"
            " (SELECT used FROM account_state WHERE account_id = ?)",
            office.alice,
        )

    assert await store.database.read(left) == [(0, 0, 0, 0)]


async def test_messages_that_answer_each_other_share_a_thread(office: Office):
    alice, store, box = Principal(office.alice), office.store, await inbox(office)
    replies = [
        Prepared(b"", b"", message_id=b"2@x", references=(b"1@x",), subject=b"s"),
        Prepared(b"", b"", message_id=b"1@x", subject=b"s"),
        Prepared(b"", b"", message_id=b"3@x", references=(b"1@x", b"2@x"), subject=b"s"),
        Prepared(b"", b"", message_id=b"4@x", subject=b"other"),
    ]
    for prepared in replies:
        await store.append(alice, office.alice, box.id, [AppendItem(await spooled(store, TEXT), prepared)])
    threads = [email.thread for email in await store.emails(alice, office.alice, box.id, [1, 2, 3, 4])]
    assert threads[0] == threads[1] == threads[2] != threads[3]


# --- acceptance and queue ------------------------------------------------------------------------------------------


def envelope(*recipients: str) -> Envelope:
    return Envelope(
        Address.parse("alice@example.test"),
        tuple(Recipient(Address.parse(text), frozenset({Notify.FAILURE}), "rfc822;x") for text in recipients),
        envid="E1",
    )


async def enqueued(office: Office, *recipients: str, key: bytes = b"") -> QueueId:
    store, now = office.store, office.clock.now()
    queue_id = QueueId(store.new_ids(1)[0])
    destinations = tuple(text.split("@")[1] for text in recipients)
    item = Enqueue(queue_id, envelope(*recipients), destinations, b"", office.alice, now, now + 500_000)
    await store.commit(Plan(await spooled(store, TEXT), None, received=now, items=(item,), accept_key=key))
    return queue_id


async def test_a_message_sent_again_is_another_one_unless_the_answer_was_lost(office: Office):
    store = office.store

    async def deliver() -> bool:
        plan = Plan(await spooled(store, TEXT), PREPARED, 9, items=(File(office.alice, b"", len(TEXT)),), accept_key=b"k1")
        return (await store.commit(plan)).repeated

    assert [await deliver(), await deliver()] == [False, False]  # by two connections at a time
    await store.unheard(b"k1")
    assert [await deliver(), await deliver()] == [True, True]
    store.confirm(b"k1")
    assert await deliver() is False
    assert (await inbox(office)).total == 3


async def test_the_answers_of_a_dead_worker_are_lost_and_those_that_were_heard_are_not(office: Office):
    store = office.store

    async def deliver(key: bytes) -> bool:
        plan = Plan(await spooled(store, TEXT), PREPARED, 9, items=(File(office.alice, b"", len(TEXT)),), accept_key=key)
        return (await store.commit(plan)).repeated

    assert [await deliver(b"heard"), await deliver(b"not heard")] == [False, False]
    store.confirm(b"heard")
    await store.flush_confirmed()
    await store.void_all()
    assert [await deliver(b"heard"), await deliver(b"not heard")] == [False, True]


async def test_an_answer_that_was_heard_is_not_forgotten_when_the_write_that_carries_it_fails(office: Office):
    store = office.store

    async def deliver(key: bytes, mailbox: int = 0) -> bool:
        item = File(office.alice, b"", len(TEXT), mailbox=MailboxId(mailbox))
        plan = Plan(await spooled(store, TEXT), PREPARED, 9, items=(item,), accept_key=key)
        return (await store.commit(plan)).repeated

    await deliver(b"k1")
    await store.unheard(b"k1")
    store.confirm(b"k1")  # by another connection, whose client went on
    with pytest.raises(NotFound):
        await deliver(b"k2", 77)
    assert await deliver(b"k1") is False, "mail that was meant to be sent twice would be lost"


@pytest.mark.parametrize(
    ("owner", "at", "is_lost"),
    [(0, 1000, True), (7, 1000, False), (8, 1000, False), (9, 1000, True), (7, 900, True), (8, 900, True)],
)
def test_whose_answer_is_lost(owner: int, at: int, is_lost: bool):
    """Nobody's, and a dead worker's; our own and a living one's only after a long silence."""
    acceptor = Acceptor(7, is_alive=lambda other: other == 8)
    assert acceptor.has_lost(owner, at, now=1010) is is_lost


async def test_each_recipient_is_leased_once_and_settled_with_its_lease(office: Office):
    store, now = office.store, office.clock.now()
    await enqueued(office, "x@a.test", "y@b.test")
    assert QUEUE_TOPIC in office.wakes.topics
    entries = await store.lease(now, 10, 300)
    assert sorted(entry.destination for entry in entries) == ["a.test", "b.test"]
    assert entries[0].envelope.envid == "E1" and entries[0].recipient.notify == {Notify.FAILURE}
    assert await store.lease(now, 10, 300) == []
    assert await store.next_due() == now + 300
    assert await store.settle(entries[0], answer="250 ok")
    assert not await store.settle(entries[0], answer="250 ok")
    assert await store.settle(entries[1], answer="451 later", next_try=now + 60)
    (again,) = await store.lease(now + 60, 10, 300)
    assert (again.attempts, again.last_answer, again.epoch) == (1, "451 later", 2)
    assert not await store.settle(entries[1], answer="late")
    assert await store.settle(again, answer="550 no")
    rows = await store.database.read(lambda tx: tx.all("SELECT count(*) FROM blob"))
    assert rows == [(0,)] and await store.next_due() is None


async def test_a_lease_runs_out_by_itself_and_a_dead_workers_is_void_at_once(office: Office):
    store, now = office.store, office.clock.now()
    await enqueued(office, "x@a.test")
    (entry,) = await store.lease(now, 10, 300)
    second = office.again(generation=2)
    assert await second.lease(now + 299, 10, 300) == []
    assert await second.void_former() == 1
    (taken,) = await second.lease(now, 10, 300)
    assert not await store.settle(entry) and await second.settle(taken)


async def test_one_destination_with_much_waiting_does_not_delay_another(office: Office):
    store, now = office.store, office.clock.now()
    await enqueued(office, *[f"u{n}@slow.test" for n in range(50)])
    await enqueued(office, "x@fast.test")
    found = {entry.destination for entry in await store.lease(now, 10, 300, per_destination=4)}
    assert "fast.test" in found
    assert await store.lease(now, 10, 300, skip={"slow.test"}) == []


async def test_held_messages_wait_until_they_are_released_and_dropped_ones_are_gone(office: Office):
    store, now = office.store, office.clock.now()
    first, second = await enqueued(office, "x@a.test"), await enqueued(office, "y@a.test")
    await store.queue_state(Chosen(first), QueueState.HELD)
    assert await store.queue_drop(second) == 1
    assert await store.lease(now, 10, 300) == []
    (view,) = await store.queue_views()
    assert (view.queue_id, view.state, view.recipient) == (first, QueueState.HELD, "x@a.test")
    await store.queue_state(Chosen(first), QueueState.WAITING)
    assert len(await store.lease(now, 10, 300)) == 1


async def test_the_lanes_of_two_workers_together_are_the_whole_queue(office: Office):
    now = office.clock.now()
    for n in range(20):
        await enqueued(office, f"x@d{n}.test")
    one, two = office.again(slot=0, workers=2), office.again(slot=1, workers=2)
    first = {entry.destination for entry in await one.lease(now, 100, 300)}
    second = {entry.destination for entry in await two.lease(now, 100, 300)}
    assert len(first | second) == 20 and not first & second and first and second


async def test_a_lock_has_one_owner_and_dies_with_its_worker(office: Office):
    store = office.store
    assert await store.lock("pop3/1") and not await office.again().lock("pop3/1")
    await office.again().unlock("pop3/1")
    assert not await office.again().lock("pop3/1")
    await office.again().void_former()
    assert await office.again().lock("pop3/1")


# --- works ---------------------------------------------------------------------------------------------------------


async def test_many_works_at_once_all_stand_and_a_failing_one_fails_alone(office: Office):
    store, box = office.store, await inbox(office)
    item = AppendItem(await spooled(store, TEXT), PREPARED)

    async def one(n: int) -> str:
        body = dataclasses.replace(item.body, blob=store.new_ids(1)[0])
        target = box.id if n % 5 else MailboxId(77)
        try:
            await store.append(Principal(office.alice), office.alice, target, [dataclasses.replace(item, body=body)])
        except NotFound:
            return "refused"
        return "filed"

    results = await asyncio.gather(*(one(n) for n in range(100)))
    assert results.count("refused") == 20
    rows = await store.snapshot(SERVER, office.alice, box.id, 0)
    assert [row[0] for row in rows] == list(range(1, 81))
    assert len({row[2] for row in rows}) == 80, "each change has a modseq of its own"


async def test_a_work_that_does_not_declare_its_account_is_refused(office: Office):
    with pytest.raises(RuntimeError):
        await office.database.write(lambda tx: tx.modseq(office.alice))


async def test_settings_are_walked_and_removed_unless_they_changed(office: Office):
    for name in ("b", "a", "c"):
        await office.store.set_setting(f"walk:{name}", name.encode())
    assert await office.store.settings_after("walk:", 2) == [("walk:a", b"a"), ("walk:b", b"b")]
    await office.store.remove_setting("walk:a", b"another")
    await office.store.remove_setting("walk:b", b"b")
    assert [name for name, _ in await office.store.settings_after("walk:", 9)] == ["walk:a", "walk:c"]


async def test_settings_are_kept(office: Office):
    assert await office.store.setting("secret") is None
    await office.store.set_setting("secret", b"\0\1")
    await office.store.set_setting("secret", b"\0\2")
    assert await office.store.setting("secret") == b"\0\2"
