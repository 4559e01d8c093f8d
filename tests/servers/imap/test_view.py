"""Views against a model: a client that counts messages as RFC 3501 §7.4.1 tells it to."""

from __future__ import annotations

import random
import time

import pytest

from postillon.model.ids import ModSeq
from postillon.model.mail import FLAGGED, SEEN, Changes
from postillon.servers.imap.snapshot import Snapshot
from postillon.servers.imap.view import View


def snapshot_of(*uids: int, modseq: int = 1) -> Snapshot:
    snapshot = Snapshot()
    snapshot.extend([(uid, 0, modseq) for uid in uids])
    snapshot.modseq = ModSeq(modseq)
    return snapshot


def change(modseq: int, *changed: tuple[int, int], gone: tuple[int, ...] = ()) -> Changes:
    return Changes(ModSeq(modseq), [(uid, flags, ModSeq(modseq)) for uid, flags in changed], list(gone))  # type: ignore[misc]


def test_numbers_and_slots_agree_around_gaps():
    snapshot = snapshot_of(*range(10, 110, 10))
    snapshot.apply(change(2, gone=(10, 40, 50, 100)))
    view = View(snapshot)
    assert view.exists == 6
    assert [snapshot.uids[view.slot_of(n)] for n in range(1, 7)] == [20, 30, 60, 70, 80, 90]
    assert [view.number_of(view.slot_of(n)) for n in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    assert view.numbers_of(view.all_slots()) == [1, 2, 3, 4, 5, 6]
    assert view.last_uid == 90
    assert [snapshot.uids[s] for s in view.slots_of([(2, 3), (5, 99)])] == [30, 60, 80, 90]
    assert [snapshot.uids[s] for s in view.slots_of_uids([(1, 20), (35, 61), (100, 4_294_967_295)])] == [20, 60]
    assert view.slot_of_uid(40) is None
    assert view.slot_of_uid(41) is None
    assert view.slot_of_uid(60) == 5


def test_an_empty_mailbox_has_no_last_uid():
    view = View(Snapshot())
    assert (view.exists, view.last_uid) == (0, 0)
    assert not view.all_slots()


def test_an_expunge_waits_and_holds_back_the_modseq():
    snapshot = snapshot_of(1, 2, 3)
    view = View(snapshot)
    snapshot.apply(change(5, (4, 0), gone=(1,)))
    news = view.news(expunges=False)
    assert (news.expunged, news.exists) == ((), 4)
    assert view.modseq == 1
    assert view.number_of(1) == 2
    snapshot.apply(change(6, (2, SEEN)))
    news = view.news(expunges=False)
    assert news.changed == (1,)
    assert view.modseq == 1
    news = view.news(expunges=True)
    assert (news.expunged, news.vanished, news.exists) == ((1,), (1,), None)
    assert view.modseq == 6
    assert not view.has_news


def test_expunges_are_numbered_one_after_the_other():
    snapshot = snapshot_of(*range(1, 12))
    view = View(snapshot)
    snapshot.apply(change(2, gone=(3, 4, 7, 11)))
    assert view.news(expunges=True).expunged == (3, 3, 5, 8)  # the example of RFC 3501 §6.4.3


def test_what_came_and_went_unseen_is_never_told():
    snapshot = snapshot_of(1)
    view = View(snapshot)
    snapshot.apply(change(2, (2, 0), (3, 0)))
    snapshot.apply(change(3, gone=(2,)))
    news = view.news(expunges=True)
    assert (news.expunged, news.exists) == ((), 2)
    assert view.last_uid == 3


def test_changes_twice_or_late_do_no_harm():
    snapshot = snapshot_of(1, 2)
    view = View(snapshot)
    new, old = change(3, (1, FLAGGED), (3, 0), gone=(2,)), change(2, (1, SEEN))
    snapshot.apply(new)
    snapshot.apply(old)
    snapshot.apply(new)
    assert snapshot.flags(0) == FLAGGED
    assert snapshot.modseq == 3
    news = view.news(expunges=True)
    assert (news.expunged, news.exists, news.changed) == ((2,), 2, (0,))


def test_flags_of_ones_own_store_are_no_news_but_later_ones_are():
    snapshot = snapshot_of(1, 2)
    mine, other = View(snapshot), View(snapshot)
    snapshot.update([(1, SEEN, 2)])
    mine.told(0, 2)
    assert mine.news(expunges=True).changed == ()
    assert other.news(expunges=True).changed == (0,)
    snapshot.update([(1, SEEN, 3)])
    mine.told(0, 3)
    snapshot.apply(change(4, (1, SEEN | FLAGGED)))
    assert mine.news(expunges=True).changed == (0,)


def test_an_expunged_message_is_not_news_by_its_flags():
    snapshot = snapshot_of(1, 2)
    view = View(snapshot)
    snapshot.apply(change(2, (1, SEEN)))
    snapshot.apply(change(3, gone=(1,)))
    assert view.news(expunges=False).changed == ()


def test_columns_widen_when_values_do_not_fit():
    snapshot = snapshot_of(1, 2)
    snapshot.update([(1, 1 << 62, 1 << 40)])
    snapshot.extend([(3, 4, (1 << 40) + 1)])
    assert snapshot.flags(0) == 1 << 62
    assert list(snapshot.modseqs) == [1 << 40, 1, (1 << 40) + 1]
    many = Snapshot()
    many.extend([(uid, uid << 7, 1) for uid in range(1, 70_000)])
    assert [many.flags(slot) for slot in (0, 65_536, 69_998)] == [1 << 7, 65_537 << 7, 69_999 << 7]


def test_a_uid_below_the_last_is_refused():
    with pytest.raises(ValueError, match="not above"):
        snapshot_of(5).extend([(4, 0, 2)])


def test_first_unseen_follows_flags_and_expunges():
    snapshot = snapshot_of(1, 2, 3)
    assert snapshot.first_unseen() == 0
    snapshot.apply(change(2, (1, SEEN), (2, SEEN)))
    assert snapshot.first_unseen() == 2
    snapshot.apply(change(3, (2, 0)))
    assert snapshot.first_unseen() == 1
    snapshot.apply(change(4, gone=(2,)))
    assert snapshot.first_unseen() == 2
    snapshot.apply(change(5, (3, SEEN)))
    assert snapshot.first_unseen() is None
    snapshot.apply(change(6, (4, 0)))
    assert snapshot.first_unseen() == 3


def test_a_silent_view_costs_no_endless_log():
    snapshot = snapshot_of(1, 2, 3)
    view = View(snapshot)
    for modseq in range(2, 20_000):
        snapshot.apply(change(modseq, (modseq % 3 + 1, modseq % 2)))
    assert snapshot.size < 60_000
    assert view.news(expunges=True).changed == (0, 1, 2)


def test_a_compacted_snapshot_is_the_same_mailbox():
    snapshot = snapshot_of(*range(1, 3001))
    snapshot.apply(change(7, (3000, SEEN), gone=tuple(range(1, 2999, 2))))
    assert snapshot.is_sparse
    fresh = snapshot.compacted()
    assert not fresh.gone
    assert fresh.modseq == 7
    old, new = View(snapshot), View(fresh)
    assert old.exists == new.exists == 1501
    assert [snapshot.uids[s] for s in old.all_slots()] == list(fresh.uids)
    assert fresh.flags(1500) == SEEN


@pytest.mark.parametrize("seed", range(60))
def test_clients_that_count_for_themselves_agree_with_their_views(seed):
    """Random arrivals, flags and expunges; several clients that hear news at random moments, expunges only sometimes."""
    rng = random.Random(seed)
    truth: dict[int, int] = {}
    snapshot, modseq, next_uid = Snapshot(), 0, 1
    clients: list[tuple[View, list[int], dict[int, int]]] = []  # view, uid by number, flags as heard
    waiting: list[Changes] = []
    for _ in range(400):
        act = rng.random()
        if act < 0.35:
            modseq += 1
            arrived, changed, gone = {}, {}, []
            for _ in range(rng.choice((0, 1, 1, 20))):
                arrived[next_uid] = rng.choice((0, SEEN, 1 << 9))
                next_uid += rng.choice((1, 1, 5))
            for uid in rng.sample(sorted(truth), min(len(truth), rng.choice((0, 1, 3)))):
                changed[uid] = truth[uid] ^ rng.choice((SEEN, FLAGGED, 1 << 20))
            for uid in rng.sample(sorted(truth), min(len(truth), rng.choice((0, 0, 1, 12)))):
                gone.append(uid)
                changed.pop(uid, None)
                del truth[uid]
            truth |= arrived | changed
            waiting.append(change(modseq, *sorted((arrived | changed).items()), gone=tuple(sorted(gone))))
            if rng.random() < 0.8:
                for changes in waiting:
                    snapshot.apply(changes)
                if rng.random() < 0.3:
                    snapshot.apply(waiting[-1])
                waiting.clear()
        elif act < 0.4:
            base = snapshot
            view = View(base)
            uids = [base.uids[slot] for slot in view.all_slots()]
            clients.append((view, uids, {base.uids[slot]: base.flags(slot) for slot in view.all_slots()}))
        elif clients:
            hear(*rng.choice(clients), expunges=rng.random() < 0.5)
    for changes in waiting:
        snapshot.apply(changes)
    for view, uids, flags in clients:
        hear(view, uids, flags, expunges=True)
        assert uids == sorted(truth)
        assert flags == truth
        assert view.modseq == snapshot.modseq


def hear(view: View, uids: list[int], flags: dict[int, int], *, expunges: bool) -> None:
    snapshot = view.snapshot
    news = view.news(expunges=expunges)
    assert expunges or not news.expunged
    vanished = [uids.pop(number - 1) for number in news.expunged]
    assert sorted(vanished) == list(news.vanished)
    for uid in vanished:
        del flags[uid]
    if news.exists is not None:
        assert news.exists > len(uids)
        fresh = [snapshot.uids[view.slot_of(n)] for n in range(len(uids) + 1, news.exists + 1)]
        uids += fresh
        flags |= {uid: snapshot.flags(snapshot.slot(uid)) for uid in fresh}  # the client fetches what is new
    for slot in news.changed:
        assert uids[view.number_of(slot) - 1] == snapshot.uids[slot]
        flags[snapshot.uids[slot]] = snapshot.flags(slot)
    assert [snapshot.uids[view.slot_of(n + 1)] for n in range(len(uids))] == uids
    assert view.exists == len(uids)


def test_a_million_messages_load_fast_and_small():
    rows = [(uid, uid % 7, uid // 3 + 1) for uid in range(1, 1_000_001)]
    begin = time.process_time()
    snapshot = Snapshot()
    for start in range(0, len(rows), 2000):
        snapshot.extend(rows[start : start + 2000])
    view = View(snapshot)
    elapsed = time.process_time() - begin
    assert view.exists == 1_000_000
    assert snapshot.size <= 10_500_000
    assert elapsed < 4, elapsed  # 0.3 s on an idle machine
    begin = time.process_time()
    for number in range(1, 1_000_000, 1000):
        view.number_of(view.slot_of(number))
    assert time.process_time() - begin < 1
