"""What people do with their mail is learned, once, after the fact: over a real store."""

from __future__ import annotations

import time

import pytest

from postillon.filters.notebook import Notebook
from postillon.message.prepare import prepare
from postillon.model.account import SERVER
from postillon.model.ids import AccountId, MailboxId, Uid
from postillon.model.mail import ANSWERED, DELETED
from postillon.storage.knowledge import EVERYBODY, Knowledge
from postillon.storage.store import AppendItem
from postillon.workers.learner import Learner, LearnerSettings
from tests.storage.conftest import Office, office

__all__ = ["office"]

TEXT = (
    b"Return-Path: <joe@sender.test>\r\n"
    b"Authentication-Results: mx.test; dkim=pass header.d=sender.test; dmarc=pass header.from=sender.test;\r\n"
    b"\tiprev=pass policy.iprev=192.0.2.7\r\n"
    b"From: Joe <joe@sender.test>\r\nSubject: offer\r\n\r\nlottery winner casino\r\n"
)


class Desk:
    """Alice's mail, and a learner."""

    def __init__(self, office: Office) -> None:
        self.office, self.store, self.alice = office, office.store, office.alice
        self.knowledge = Knowledge(office.database, office.clock)
        self.learner = Learner(
            store=office.store,
            knowledge=self.knowledge,
            notebook=Notebook(self.knowledge),
            clock=office.clock,
            learns=True,
            settings=LearnerSettings(hostname="mx.test"),
        )

    async def box(self, *path: str) -> MailboxId:
        return (await self.store.find_mailbox(SERVER, self.alice, path)).id

    async def put(self, mailbox: MailboxId, text: bytes = TEXT) -> Uid:
        spool = self.store.spool(10**6)
        spool.write(text)
        item = AppendItem(await spool.finish(), prepare(text))
        _, uids = await self.store.append(SERVER, self.alice, mailbox, [item])
        return uids[0]

    async def learned(self) -> tuple[int, int]:
        """(good, bad) messages that were learned, the same by Alice and by everybody."""
        self.office.clock.at += 60
        while await self.knowledge.lessons(10):
            await self.learner.run_once()
        totals = {owner: (good, bad) for owner, good, bad in await self.knowledge.totals()}
        assert totals.get(EVERYBODY) == totals.get(self.alice)
        return totals.get(self.alice, (0, 0))


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


async def test_moving_to_junk_and_back_is_learned_and_unlearned(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    uid = await desk.put(inbox)
    assert await desk.learned() == (0, 0)
    result = await desk.store.move(SERVER, desk.alice, inbox, [uid], junk)
    assert await desk.learned() == (0, 1)
    assert await desk.learned() == (0, 1)
    await desk.store.move(SERVER, desk.alice, junk, [result.pairs[0][1]], inbox)
    assert await desk.learned() == (1, 0)


async def test_the_words_themselves_are_learned(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    for n in range(3):
        await desk.store.move(SERVER, desk.alice, inbox, [await desk.put(inbox)], junk)
        assert await desk.learned() == (0, n + 1)
    from zlib import crc32

    counts = await desk.knowledge.tokens([EVERYBODY], [crc32(b"lottery"), crc32(b"subject:offer"), crc32(b"unheard")])
    assert counts[EVERYBODY].tokens == {crc32(b"lottery"): (0, 3), crc32(b"subject:offer"): (0, 3)}


async def test_copy_and_delete_is_a_move_and_counts_once(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    uid = await desk.put(inbox)
    await desk.store.copy(SERVER, desk.alice, inbox, [uid], junk)
    await desk.store.store_flags(SERVER, desk.alice, inbox, [uid], "add", DELETED)
    await desk.store.expunge(SERVER, desk.alice, inbox, None)
    assert await desk.learned() == (0, 1)


async def test_keywords_say_it_too_and_taking_them_away_takes_it_back(desk: Desk):
    inbox = await desk.box("INBOX")
    uid = await desk.put(inbox)
    for operation, keyword, expected in (
        ("add", b"$Junk", (0, 1)),
        ("remove", b"$Junk", (0, 0)),
        ("add", b"$NotJunk", (1, 0)),
        ("add", b"$Junk", (0, 1)),
        ("add", b"$Other", (0, 1)),
    ):
        await desk.store.store_flags(SERVER, desk.alice, inbox, [uid], operation, 0, [keyword])  # type: ignore[arg-type]
        assert await desk.learned() == expected, (operation, keyword)


async def test_who_moves_by_mistake_and_back_at_once_teaches_the_last_word(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    uid = await desk.put(inbox)
    there = (await desk.store.move(SERVER, desk.alice, inbox, [uid], junk)).pairs[0][1]
    await desk.store.move(SERVER, desk.alice, junk, [there], inbox)
    assert await desk.learned() == (1, 0)


async def test_throwing_junk_away_says_nothing(desk: Desk):
    junk, trash = await desk.box("Junk"), await desk.box("Trash")
    uid = await desk.put(junk)
    await desk.store.move(SERVER, desk.alice, junk, [uid], trash)
    assert await desk.learned() == (0, 0)


async def test_an_answer_says_good_of_what_nobody_judged(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    uid = await desk.put(inbox)
    await desk.store.store_flags(SERVER, desk.alice, inbox, [uid], "add", ANSWERED)
    assert await desk.learned() == (1, 0)
    there = (await desk.store.move(SERVER, desk.alice, inbox, [uid], junk)).pairs[0][1]
    assert await desk.learned() == (0, 1)
    await desk.store.store_flags(SERVER, desk.alice, junk, [there], "remove", ANSWERED)
    await desk.store.store_flags(SERVER, desk.alice, junk, [there], "add", ANSWERED)
    assert await desk.learned() == (0, 1)


async def test_the_senders_reputation_follows(desk: Desk):
    from postillon.filters.known import sender_keys

    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    keys = sender_keys("joe@sender.test", ["sender.test"], "192.0.2.7", True)
    result = await desk.store.move(SERVER, desk.alice, inbox, [await desk.put(inbox)], junk)

    async def counts() -> set[tuple[float, float]]:
        from postillon.storage.knowledge import About

        known = await desk.knowledge.about(About((AccountId(1),), senders=tuple(keys.values())))
        return {(round(one.good), round(one.bad)) for one in known.reputations.values()}

    await desk.learned()
    assert await counts() == {(0, 3)}
    await desk.store.move(SERVER, desk.alice, junk, [result.pairs[0][1]], inbox)
    await desk.learned()
    assert await counts() == {(3, 0)}


async def test_mail_that_is_gone_is_no_lesson_and_keeps_nobody_waiting(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    there = (await desk.store.move(SERVER, desk.alice, inbox, [await desk.put(inbox)], junk)).pairs[0][1]
    await desk.store.remove(SERVER, desk.alice, junk, [there])
    desk.office.clock.at += 1000
    while await desk.store.clean():
        pass
    assert await desk.learned() == (0, 0)
    assert await desk.knowledge.lessons(10) == []


async def test_many_lessons_are_learned_in_little_time(desk: Desk):
    inbox, junk = await desk.box("INBOX"), await desk.box("Junk")
    uids = [await desk.put(inbox, TEXT + b"more %d\r\n" % n) for n in range(120)]
    await desk.store.move(SERVER, desk.alice, inbox, uids, junk)
    started = time.monotonic()
    assert await desk.learned() == (0, 120)
    assert time.monotonic() - started < 10
