"""The queue's worker over a real store: everything is tried, once, and nobody waits for somebody else's server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from postillon.bus.local import LocalBus
from postillon.flow.bounce import Reporter
from postillon.flow.outbound import Fallbacks, Outbound
from postillon.flow.retry import RetrySchedule
from postillon.model.account import SERVER
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import Unavailable
from postillon.model.ids import QueueId
from postillon.model.plan import Enqueue, Plan
from postillon.model.queue import Outcome, OutcomeKind, QueueEntry
from postillon.seams import QUEUE_TOPIC
from postillon.storage.ids import IdSource
from postillon.storage.store import Store
from postillon.workers.concurrency import ConcurrencySettings, Destination
from postillon.workers.queue import QueueSettings, QueueWorker

from ..kinds import TableDirectory
from ..storage.conftest import Office

DELIVERED = Outcome(OutcomeKind.DELIVERED, "2.0.0", "taken", "mx [192.0.2.1]", 250)
DEFERRED = Outcome(OutcomeKind.DEFERRED, "4.2.1", "busy", "mx [192.0.2.1]", 450)
FAILED = Outcome(OutcomeKind.FAILED, "5.1.1", "nobody", "mx [192.0.2.1]", 550)
NOBODY = Outcome(OutcomeKind.DEFERRED, "4.4.1", "no connection", "mx [192.0.2.1]")
MESSAGE = b"Subject: hello\r\n\r\nhello\r\n"


@dataclass
class Post:
    """`seams.Transport` whose destinations can be slow or down, and that remembers what it did."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By domain; others are delivered."""
    doors: dict[str, asyncio.Event] = field(default_factory=dict)
    """Attempts at these domains wait for their event."""
    hops: dict[str, str] = field(default_factory=dict)
    attempts: list[tuple[str, ...]] = field(default_factory=list)
    delivered: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    def next_hop(self, domain: str) -> str:
        return self.hops.get(domain, domain)

    async def attempt(self, envelope: Envelope, octets: Any, destination: str = "") -> dict[int, Outcome]:
        domain = destination or envelope.recipients[0].address.domain
        names = tuple(str(recipient.address) for recipient in envelope.recipients)
        self.attempts.append(names)
        self.running[domain] += 1
        self.most[domain] = max(self.most[domain], self.running[domain])
        self.began.set()
        try:
            if domain in self.doors:
                await self.doors[domain].wait()
            else:
                await asyncio.sleep(0)
            assert await octets.read(0, octets.size) == MESSAGE
        finally:
            self.running[domain] -= 1
        outcome = self.outcomes.get(domain, DELIVERED)
        if outcome is DELIVERED:
            self.delivered.update(names)
        return dict.fromkeys(range(len(names)), outcome)


class Watched:
    """A store that tells how often it was asked, and is away when it is told so: each of *failures* fails once."""

    def __init__(self, store: Store, failures: Sequence[str] = ()) -> None:
        self._store = store
        self.failures = list(failures)
        self.asked: Counter[str] = Counter()
        self._news = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def watched(*arguments: Any, **options: Any) -> Any:
            if name in self.failures:
                self.failures.remove(name)
                raise Unavailable("the database is away", detail=name)
            found = await method(*arguments, **options)
            self.asked[name] += 1
            self._news.set()
            return found

        return watched

    async def again(self, name: str, times: int = 2) -> None:
        """Returns after *times* more answers to *name*."""
        goal = self.asked[name] + times
        async with asyncio.timeout(10):
            while self.asked[name] < goal:
                self._news.clear()
                await self._news.wait()


@dataclass
class Filing:
    """Files local copies, as the deliverer does: the entry is settled with its copy."""

    store: Store
    filed: list[str] = field(default_factory=list)

    async def __call__(self, entry: QueueEntry) -> Outcome:
        self.filed.append(str(entry.recipient.address))
        assert await self.store.settle(entry)
        return replace(DELIVERED, remote="")


@asynccontextmanager
async def working(
    office: Office,
    post: Post,
    *,
    settings: QueueSettings | None = None,
    store: Any = None,
    grace_s: float = 3,
    fallbacks: Fallbacks | None = None,
    **more: Any,
) -> AsyncIterator[QueueWorker]:
    bus = LocalBus()
    office.wakes.topics = _Forward(bus)  # type: ignore[assignment]
    reporter = Reporter(
        store=office.store,
        directory=TableDirectory({"alice@example.test": [office.alice]}),  # type: ignore[arg-type]
        clock=office.clock,
        ids=IdSource(9),
        hostname="mail.example.test",
    )
    outbound = Outbound(
        store=office.store,
        transport=post,
        deliver_local=Filing(office.store),
        reporter=reporter,
        clock=office.clock,
        schedule=RetrySchedule(),
        fallbacks=fallbacks,
    )
    settings = replace(settings or QueueSettings(), pause_s=0.001, again_s=0.05)
    worker = QueueWorker(
        store=store or office.store,
        outbound=outbound,
        routing=post,
        bus=bus,
        clock=office.clock,
        settings=settings,
        grace_s=grace_s,
        **more,
    )
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(10):
            await task


class _Forward(list[int]):
    """What the store publishes goes on the bus."""

    def __init__(self, bus: LocalBus) -> None:
        super().__init__()
        self._bus = bus

    def __iadd__(self, topics: Any) -> _Forward:  # type: ignore[misc, override]
        self._bus.publish(list(topics))
        return self


async def enqueue(office: Office, *recipients: str, destination: str = "", due: int = 0, now: int = 0) -> QueueId:
    spool = office.store.spool(10**7)
    spool.write(MESSAGE)
    addresses = tuple(Recipient(Address.parse(recipient)) for recipient in recipients)
    envelope, now = Envelope(Address.parse("alice@example.test"), addresses), office.clock.now()
    destinations = tuple(destination or address.address.domain for address in addresses)
    queue_id = QueueId(office.store.new_ids(1)[0])
    item = Enqueue(queue_id, envelope, destinations, b"", None, due or now, now + 5 * 86400)
    await office.store.commit(Plan(await spool.finish(), None, now, items=(item,)))
    return queue_id


async def until(condition: Callable[[], Any], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)


async def empty(office: Office) -> bool:
    return await office.store.queue_size() == 0


async def test_what_waits_is_delivered_and_leaves_the_queue(office: Office):
    post = Post()
    for n in range(30):
        await enqueue(office, f"r{n}@d{n % 3}.test")
    async with working(office, post):
        await until(lambda: empty(office))
    assert post.delivered == Counter({f"r{n}@d{n % 3}.test": 1 for n in range(30)})


async def test_what_comes_in_is_tried_at_once(office: Office):
    post, watched = Post(), Watched(office.store)
    async with working(office, post, settings=QueueSettings(idle_s=60), store=watched):
        await watched.again("next_due", 1)
        started = asyncio.get_running_loop().time()
        await enqueue(office, "bob@there.test")
        await until(lambda: post.delivered)
        assert asyncio.get_running_loop().time() - started < 1


async def test_a_lost_wake_only_costs_a_moment(office: Office):
    post = Post()
    async with working(office, post, settings=QueueSettings(idle_s=0.1)):
        office.wakes.topics = []
        await enqueue(office, "bob@there.test")
        await until(lambda: post.delivered)


async def test_recipients_of_one_message_at_one_destination_are_one_attempt(office: Office):
    post = Post(hops={"b.test": "smart", "c.test": "smart"})
    await enqueue(office, "1@a.test", "2@a.test", "3@a.test", "1@b.test", "1@c.test")
    await enqueue(office, "1@a.test")
    async with working(office, post):
        await until(lambda: empty(office))
    assert sorted(post.attempts) == [("1@a.test",), ("1@a.test", "2@a.test", "3@a.test"), ("1@b.test", "1@c.test")]


async def test_a_slow_destination_keeps_nobody_else_waiting(office: Office):
    post = Post(doors={"slow.test": asyncio.Event()})
    for n in range(150):
        await enqueue(office, f"r{n}@slow.test")
    for n in range(20):
        await enqueue(office, f"r{n}@fast.test")
    settings = QueueSettings(attempts=10, batch=50)
    async with working(office, post, settings=settings):
        await until(lambda: sum(post.delivered.values()) == 20)
        assert post.running["slow.test"] == ConcurrencySettings().start
        leased = await leased_of(office, "slow.test")
        assert leased <= settings.per_destination
        post.doors["slow.test"].set()
        await until(lambda: empty(office))
    assert set(post.delivered.values()) == {1}
    assert len(post.delivered) == 170


async def leased_of(office: Office, destination: str) -> int:
    def work(tx: Any) -> int:
        sql = "SELECT count(*) FROM queue_recipient WHERE destination = ? AND owner <> 0"
        return int(tx.one(sql, destination.encode())[0])

    return await office.database.read(work)


async def test_many_dead_destinations_do_not_use_up_the_worker(office: Office):
    post = Post(outcomes={f"dead{n}.test": NOBODY for n in range(40)})
    for n in range(40):
        for m in range(5):
            await enqueue(office, f"r{m}@dead{n}.test")
    for n in range(20):
        await enqueue(office, f"r{n}@fine.test")
    async with working(office, post, settings=QueueSettings(attempts=5, batch=20)):
        await until(lambda: sum(post.delivered.values()) == 20)
        await until(lambda: all_tried(office, 200))


async def all_tried(office: Office, count: int) -> bool:
    views = await office.store.queue_views(limit=1000)
    return len(views) == count and all(view.attempts == 1 for view in views)


async def test_concurrency_grows_with_success(office: Office):
    post = Post()
    for n in range(400):
        await enqueue(office, f"r{n}@big.test")
    async with working(office, post):
        await until(lambda: empty(office), 30)
    assert 2 < post.most["big.test"] <= ConcurrencySettings().most
    assert set(post.delivered.values()) == {1}


async def test_a_dead_destination_rests_and_what_waits_for_it_is_put_off(office: Office):
    post = Post(outcomes={"dead.test": NOBODY})
    for n in range(50):
        await enqueue(office, f"r{n}@dead.test")
    async with working(office, post):
        await until(lambda: all_tried(office, 50))
    assert len(post.attempts) < 10
    views = await office.store.queue_views()
    assert {view.last_answer for view in views} == {"4.4.1 no connection"}
    assert {view.due for view in views} == {office.clock.now() + 1800}


async def test_a_deferred_recipient_is_due_again_later(office: Office):
    post, watched = Post(outcomes={"busy.test": DEFERRED}), Watched(office.store)
    await enqueue(office, "bob@busy.test")
    async with working(office, post, settings=QueueSettings(idle_s=0.02), store=watched):
        await until(lambda: all_tried(office, 1))
        (view,) = await office.store.queue_views()
        assert (view.due, view.last_answer) == (office.clock.now() + 1800, "4.2.1 busy")
        post.outcomes.clear()
        office.clock.at += 1799
        await watched.again("next_due")
        assert not post.delivered
        office.clock.at += 1
        await until(lambda: empty(office))
    assert post.delivered == Counter({"bob@busy.test": 1})


async def test_a_failure_is_reported_once(office: Office):
    post = Post(outcomes={"no.test": FAILED})
    await enqueue(office, "a@no.test", "b@no.test", "c@yes.test")
    async with working(office, post):
        await until(lambda: empty(office))
    box = await office.store.find_mailbox(SERVER, office.alice, ("INBOX",))
    assert box.total == 1


async def test_local_copies_are_filed_one_by_one(office: Office):
    post = Post()
    await enqueue(office, "bob@example.test", "alice@example.test", destination="local")
    async with working(office, post):
        await until(lambda: empty(office))
    assert not post.attempts


async def test_an_attempt_longer_than_its_lease_is_not_made_twice(office: Office):
    post = Post(doors={"slow.test": asyncio.Event()})
    await enqueue(office, "bob@slow.test")
    settings, watched = QueueSettings(renew_s=0.02, idle_s=0.02), Watched(office.store)
    async with working(office, post, settings=settings, store=watched):
        await until(lambda: post.attempts)
        for _ in range(5):
            office.clock.at += 250  # less than a lease, more than one altogether
            await watched.again("renew")
            await watched.again("next_due")
        assert len(post.attempts) == 1
        post.doors["slow.test"].set()
        await until(lambda: empty(office))


async def test_a_dead_workers_leases_run_out(office: Office):
    await enqueue(office, "bob@there.test")
    assert len(await office.store.lease(office.clock.now(), 10, 300)) == 1  # and then it died
    post, watched = Post(), Watched(office.again())
    async with working(office, post, settings=QueueSettings(idle_s=0.02), store=watched):
        await watched.again("next_due")
        assert not post.attempts
        office.clock.at += 301
        await until(lambda: empty(office))


async def test_stopping_gives_back_what_has_not_begun(office: Office):
    post = Post(doors={"slow.test": asyncio.Event()})
    for n in range(20):
        await enqueue(office, f"r{n}@slow.test")
    async with working(office, post, grace_s=0.1) as worker:
        await until(lambda: post.running["slow.test"] == 2)
        worker.stop()
    assert await leased_of(office, "slow.test") == 2
    assert not post.delivered
    views = await office.store.queue_views()
    assert {view.attempts for view in views} == {0}


async def test_stopping_lets_running_attempts_end(office: Office):
    post = Post(doors={"slow.test": asyncio.Event()})
    await enqueue(office, "bob@slow.test")
    async with working(office, post) as worker:
        await until(lambda: post.attempts)
        worker.stop()
        post.doors["slow.test"].set()
    assert await empty(office)


@pytest.mark.parametrize("failure", ["lease", "next_due", "settle"])
async def test_a_database_that_is_away_for_a_moment_loses_nothing(office: Office, failure: str):
    post, watched = Post(), Watched(office.store, [failure])
    await enqueue(office, "bob@there.test")
    async with working(office, post, store=watched):
        await until(lambda: empty(office))
        await until(lambda: not watched.failures)
    assert post.delivered == Counter({"bob@there.test": 1})


# --- concurrency ------------------------------------------------------------------------------------------------------


def test_a_destination_gets_one_more_when_all_have_succeeded():
    destination = Destination(ConcurrencySettings(start=2, most=4))
    limits = []
    for _ in range(12):
        destination.ended([DELIVERED], 0)
        limits.append(int(destination.limit))
    assert limits[:3] == [2, 2, 3]
    assert limits[-1] == 4


def test_trouble_halves_it_and_three_times_is_a_rest():
    destination = Destination(ConcurrencySettings(start=8, rest_s=60))
    destination.ended([NOBODY], 100)
    destination.ended([NOBODY], 100)
    assert (destination.limit, destination.resting(100)) == (2, None)
    destination.ended([NOBODY], 100)
    assert destination.resting(159) == NOBODY
    assert destination.resting(161) is None
    destination.ended([NOBODY], 161)
    assert destination.resting(162) == NOBODY
    destination.ended([FAILED], 300)
    destination.ended([NOBODY], 300)
    assert destination.resting(301) is None


def test_a_recipients_refusal_says_nothing_about_the_host():
    destination = Destination(ConcurrencySettings(start=8))
    for outcome in (FAILED, DEFERRED, replace(NOBODY, status="4.3.0")):
        destination.ended([outcome], 0)
    assert (destination.limit, destination.troubles) == (8, 0)
    destination.ended([replace(DEFERRED, code=421)], 0)
    assert destination.limit == 4


def test_the_queue_topic_is_the_one_the_store_publishes():
    assert QUEUE_TOPIC == -1


async def test_one_of_twenty_destinations_that_hangs_delays_no_other(office: Office):
    """It has the most waiting, came first, and never answers."""
    hanging = Post(doors={"hangs.test": asyncio.Event()})
    names = [f"u{n}@hangs.test" for n in range(200)]
    for at in range(0, len(names), 10):
        await enqueue(office, *names[at : at + 10])
        for n in range(19):
            await enqueue(office, f"u{at}@d{n}.test")
    async with working(office, hanging, settings=QueueSettings(attempts=20)):
        await until(lambda: hanging.delivered.total() == 19 * 20)
        assert hanging.running["hangs.test"] == ConcurrencySettings().start
        assert {address.partition("@")[2] for address in hanging.delivered} == {f"d{n}.test" for n in range(19)}
        hanging.doors.pop("hangs.test").set()
        await until(lambda: empty(office))


def test_a_rate_limit_makes_it_slower_without_a_rest():
    destination = Destination(ConcurrencySettings())
    for _ in range(100):
        destination.ended([DELIVERED], 0)
    fast = destination.limit
    limited = replace(DEFERRED, status="4.7.28", text="unusual rate of mail")
    destination.ended([limited], 1)
    assert destination.limit == fast / 2
    for _ in range(10):
        destination.ended([limited], 1)
    assert (destination.limit, destination.resting(1)) == (1, None)


async def test_what_is_due_while_a_destination_rests_is_deferred_without_an_attempt_for_each(office: Office):
    post = Post(outcomes={"dead.test": NOBODY})
    now = office.clock.now()
    for n in range(5):
        await enqueue(office, *(f"u{n}.{i}@dead.test" for i in range(300)))
    settings = QueueSettings(concurrency=ConcurrencySettings(rest_s=600), put_off_s=0.001)
    async with working(office, post, settings=settings):
        await until(lambda: all_deferred(office, now))
        await enqueue(office, "x@living.test")
        await until(lambda: post.delivered["x@living.test"])
    assert len(post.attempts) < 20
    rows = await office.store.queue_views(limit=2000)
    assert {row.due for row in rows} == {now + 1800}
    assert {(row.attempts, row.last_answer) for row in rows} == {(1, "4.4.1 no connection")}


async def all_deferred(office: Office, now: int) -> bool:
    return all(total.due > now for total in await office.store.queue_totals())


async def test_what_is_due_again_soon_does_not_wait_for_the_next_look(office: Office):
    post = Post(outcomes={"busy.test": DEFERRED})
    await enqueue(office, "x@busy.test")
    async with working(office, post, settings=QueueSettings(idle_s=3600)) as worker:
        worker._outbound._schedule = RetrySchedule(first_wait_s=1)
        await until(lambda: len(post.attempts) == 1 and not worker.attempts)
        office.clock.at += 1
        await until(lambda: len(post.attempts) == 2)


async def test_what_fails_again_and_again_goes_by_the_other_next_hop(office: Office):
    """Also while the destination rests, in which nobody tries it for long."""
    post = Post(outcomes={"dead.test": NOBODY, "never.test": NOBODY})
    fallbacks = Fallbacks(3, "via:hop=gate:0", {"never.test": ""})
    for n in range(8):
        await enqueue(office, f"u{n}@dead.test")
    await enqueue(office, "x@never.test")
    settings = QueueSettings(concurrency=ConcurrencySettings(rest_s=600), put_off_s=0.001)
    async with working(office, post, settings=settings, fallbacks=fallbacks) as worker:
        async with asyncio.timeout(20):
            while len(views := await office.store.queue_views()) > 1 or views[0].attempts < 3:
                office.clock.at += 3600
                worker._nudge.set()
                await asyncio.sleep(0.01)
    assert post.delivered == Counter(f"u{n}@dead.test" for n in range(8))
    assert (views[0].recipient, views[0].destination) == ("x@never.test", "never.test")


async def test_the_pace_of_a_destination_is_kept(office: Office):
    post, loop = Post(hops={"slow.test": "hub:25", "other.test": "hub:25"}), asyncio.get_running_loop()
    for n in range(12):
        await enqueue(office, f"s{n}@slow.test")
        await enqueue(office, f"o{n}@other.test")
    async with working(office, post, rates={"slow.test": 30.0}):  # one in two seconds, five of them at once
        began = loop.time()
        await until(lambda: _done(post, "other.test", 12))
        await until(lambda: _done(post, "slow.test", 6))
        assert 1.5 < loop.time() - began < 8
        assert sum("slow.test" in name for name in post.delivered) == 6
    assert len(await office.store.queue_views()) == 6


async def _done(post: Post, domain: str, count: int) -> bool:
    return sum(domain in name for name in post.delivered) >= count


@pytest.mark.parametrize("jump", [3600, 10 * 365 * 86400])
async def test_a_clock_that_jumps_over_the_end_of_a_lease_makes_no_second_attempt(office: Office, jump: int):
    post, watched = Post(doors={"slow.test": asyncio.Event()}), Watched(office.store)
    await enqueue(office, "bob@slow.test")
    settings = QueueSettings(renew_s=600, idle_s=0.02)
    async with working(office, post, settings=settings, store=watched):
        await until(lambda: post.attempts)
        office.clock.at += jump
        await watched.again("lease")
        office.clock.at -= jump // 2
        await watched.again("next_due")
        assert len(post.attempts) == 1
        post.doors["slow.test"].set()
        await until(lambda: empty(office))
    assert post.delivered == Counter({"bob@slow.test": 1})


async def test_what_had_to_wait_for_its_turn_was_no_attempt(office: Office):
    not_yet = replace(DEFERRED, status="4.3.2", text="our turn comes", code=0, later_s=7)
    post = Post(outcomes={"later.test": not_yet})
    await enqueue(office, "bob@later.test")
    async with working(office, post):
        await until(lambda: post.attempts)
        await until(lambda: _is_due(office, 7))
    (view,) = await office.store.queue_views()
    assert (view.attempts, view.last_answer) == (0, "")
    post.outcomes.clear()
    async with working(office, post):
        office.clock.at += 7
        await until(lambda: empty(office))


async def _is_due(office: Office, ahead: int) -> bool:
    return [view.due for view in await office.store.queue_views()] == [office.clock.now() + ahead]
