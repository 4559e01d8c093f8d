"""The queue's worker: leases what is due, runs attempts side by side, tells the store what became of each.

Nothing in flight lives only here: an entry is leased in the store while we work on it, the lease is renewed while we live, and
runs out (or is voided) when we do not. A destination never gets more leases than it can run soon, so a slow one keeps nobody
waiting but its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..flow.deliver import LOCAL
from ..flow.outbound import Outbound, Settlement
from ..flow.records import attempt
from ..flow.retry import waits
from ..log import Log
from ..model.errors import Refusal
from ..model.queue import Outcome, QueueEntry
from ..relay.pace import Pace
from ..relay.replies import Cause, cause_of
from ..seams import QUEUE_TOPIC, Bus, Clock
from ..storage.store import Store
from .concurrency import ConcurrencySettings, Destination, Group

log = Log("queue")


class Routing(Protocol):
    def next_hop(self, domain: str) -> str:
        """A name for where mail for *domain* goes first; equal names share connections."""
        ...


@dataclass(frozen=True, slots=True)
class QueueSettings:
    attempts: int = 200
    """At once, in this worker."""
    batch: int = 100
    """Entries leased in one statement."""
    per_destination: int = 40
    """Of them for one destination."""
    lease_s: int = 300
    renew_s: float = 100
    pause_s: float = 0.005
    """Least time between two leases: what comes in meanwhile is leased together."""
    idle_s: float = 5
    """Longest time without a look at the queue: the bus may lose a wake."""
    again_s: float = 1
    """How soon to look again when the database was away, or what is due belongs to somebody else."""
    put_off: int = 500
    """Rows of a destination that rests which are deferred in one statement, and seconds between two of those."""
    put_off_s: float = 0.1
    settle_s: float = 240
    """How long to try to write down what became of an attempt. Forgetting it means sending twice."""
    concurrency: ConcurrencySettings = field(default_factory=ConcurrencySettings)


class QueueWorker:
    """`run` until `stop`; then no new leases, and what runs gets `grace_s` seconds to end."""

    def __init__(
        self,
        *,
        store: Store,
        outbound: Outbound,
        routing: Routing,
        bus: Bus,
        clock: Clock,
        settings: QueueSettings | None = None,
        grace_s: float = 3,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        """*rates*: messages a minute, by domain or by the name of a next hop; of others as many as they take."""
        self._rates = rates or {}
        self._store = store
        self._outbound = outbound
        self._routing = routing
        self._bus = bus
        self._clock = clock
        self._settings = settings or QueueSettings()
        self._grace_s = grace_s
        self._destinations: dict[str, Destination] = {}
        self._live: dict[tuple[int, int], QueueEntry] = {}
        """All that is leased: waiting in line, being tried, being settled."""
        self._unsettled: dict[tuple[int, int], tuple[Settlement, float]] = {}
        """What could not be written down, since the lease was lost meanwhile, and when; it may come back to us."""
        self._attempts: set[asyncio.Task[None]] = set()
        self._nudge = asyncio.Event()
        self._has_to_put_off = False
        self._wants_room = False
        """The last lease ended for want of room: the next attempt that ends nudges."""
        self._is_stopping = False

    @property
    def attempts(self) -> int:
        """Attempts under way."""
        return len(self._attempts)

    def stop(self) -> None:
        self._is_stopping = True
        self._nudge.set()

    async def run(self) -> None:
        """Serve the queue. Returns after `stop`; a cancellation drops everything at once (the leases tell the rest)."""
        waker = self._bus.subscribe(QUEUE_TOPIC)
        waker.on_set(self._nudge.set)
        renewer = asyncio.create_task(self._renew())
        try:
            while not self._is_stopping:
                self._nudge.clear()
                waker.clear()
                await self._guarded(self._fill())
                await self._guarded(self._rest())
            await self._wind_up()
        finally:
            waker.close()
            for task in (renewer, *self._attempts):
                task.cancel()
            await asyncio.gather(renewer, *self._attempts, return_exceptions=True)

    async def _guarded(self, step: Awaitable[None]) -> None:
        """A database that is away for a while ends no worker, nor does a bug."""
        try:
            await step
        except Refusal as refusal:
            log.warning("queue not reached", status=refusal.status, reason=refusal.detail or refusal.text)
        except Exception as error:
            log.error("queue broke", exc=error)
        else:
            return
        await asyncio.sleep(self._settings.again_s)

    # --- leasing --------------------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Lease until nothing more is due that could run soon."""
        settings = self._settings
        self._start_all()
        while not self._is_stopping:
            room = settings.attempts - len(self._attempts)
            self._wants_room = room <= 0
            if self._wants_room:
                return
            full = self._full()
            for key in full.keys:
                self._destinations[key].has_more = True
            put_off = await self._put_off()
            full.keys |= put_off
            entries = await self._store.lease(
                self._clock.now(),
                min(room, settings.batch),
                settings.lease_s,
                per_destination=settings.per_destination,
                skip=full,
            )
            self._has_to_put_off = bool(put_off)
            if not entries:
                return
            for key, group in self._grouped(entries):
                destination = self._destinations.get(key) or self._new(key)
                destination.seen(group[0].destination)
                destination.waiting.append(group)
            self._start_all()

    async def _put_off(self) -> set[str]:
        """Defer in one go what is due to destinations that rest, step by step. The keys of those where there is more."""
        now = asyncio.get_running_loop().time()
        found = set()
        for key, destination in list(self._destinations.items()):
            trouble = destination.resting(now)
            if trouble is None or key == LOCAL:
                continue
            if now >= destination.put_off_next:
                counts = [await self._put_off_one(name, trouble) for name in destination.names]
                destination.has_to_put_off = any(counts)
                # The living must not feel it: a step, then some time for them; and no look for nothing at every lease.
                destination.put_off_next = now + (self._settings.put_off_s if any(counts) else self._settings.again_s)
            if destination.has_to_put_off:
                found.add(key)
        return found

    async def _put_off_one(self, name: str, trouble: Outcome) -> int:
        schedule = self._outbound.schedule_of(name)
        answer = f"{trouble.status} {trouble.text}"
        attempts = self._outbound.fallbacks.attempts_to(name)
        return await self._store.put_off(name, answer, waits(schedule), schedule.delay_report_s, self._settings.put_off, attempts)

    def _full(self) -> _Full:
        return _Full(self._key, {key for key, destination in self._destinations.items() if destination.is_full})

    def _key(self, destination: str) -> str:
        """Whose line it stands in: that of its next hop, or its own if it has a pace of its own."""
        return destination if destination == LOCAL or destination in self._rates else self._routing.next_hop(destination)

    def _new(self, key: str) -> Destination:
        rate = self._rates.get(key)
        found = Destination(self._settings.concurrency, pace=Pace(rate) if rate else None)
        self._destinations[key] = found
        return found

    def _grouped(self, entries: Sequence[QueueEntry]) -> Iterator[tuple[str, Group]]:
        """Recipients of one message that go the same way make one attempt; local copies are filed one by one."""
        groups: dict[tuple[str, int], Group] = {}
        for entry in entries:
            is_known = (entry.queue_id, entry.number) in self._live
            self._live[entry.queue_id, entry.number] = entry
            if is_known:  # the clock has jumped over the end of its lease; its attempt lives, and ends with this one
                continue
            late = self._unsettled.pop((entry.queue_id, entry.number), None)
            if late is not None:
                self._attempts.add(asyncio.create_task(self._settle_late(replace(late[0], entry=entry))))
                continue
            key = self._key(entry.destination)
            if key == LOCAL:
                yield key, [entry]
            else:
                groups.setdefault((key, entry.queue_id), []).append(entry)
        yield from ((key, group) for (key, _), group in groups.items())

    async def _rest(self) -> None:
        """Wait until something may be due, or somebody nudges."""
        await asyncio.sleep(self._settings.pause_s)
        if self._nudge.is_set():
            return
        due = await self._store.next_due()
        ahead = self._settings.idle_s if due is None else due - self._clock.now()
        # What is due already and was not leased belongs to a full destination (whose end nudges) or to another worker.
        wait_s = min(ahead, self._settings.idle_s) if ahead > 0 else self._settings.again_s
        if self._has_to_put_off:
            wait_s = min(wait_s, self._settings.put_off_s)
        try:
            async with asyncio.timeout(wait_s):
                await self._nudge.wait()
        except TimeoutError:
            return

    # --- attempts -------------------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        for key, destination in list(self._destinations.items()):
            if destination.waiting and destination.has_room:
                # Who is served goes to the end of the line, so that all get their turn when there is not room for all.
                self._destinations[key] = self._destinations.pop(key)
                self._start(key, destination)

    def _start(self, key: str, destination: Destination) -> None:
        while destination.waiting and destination.has_room:
            if len(self._attempts) >= self._settings.attempts:
                self._wants_room = True
                return
            if destination.pace is not None and self._has_to_wait(key, destination, destination.pace):
                return
            group = destination.waiting.popleft()
            destination.running += 1
            self._attempts.add(asyncio.create_task(self._attempt(key, destination, group)))

    def _has_to_wait(self, key: str, destination: Destination, pace: Pace) -> bool:
        """Whether its pace lets it start nothing now; then it starts by itself as soon as that changes."""
        if destination.timer is not None:
            return True
        loop = asyncio.get_running_loop()
        wait_s = pace.take(loop.time())
        if wait_s:
            destination.timer = loop.call_later(wait_s, self._go_on, key, destination)
        return wait_s > 0

    def _go_on(self, key: str, destination: Destination) -> None:
        destination.timer = None
        self._next(key, destination)

    async def _attempt(self, key: str, destination: Destination, entries: Group) -> None:
        """One attempt from beginning to end. Errors of ours are logged: the lease runs out and somebody tries again."""
        try:
            outcomes = await self._try(key, destination, entries)
            settlements = await self._outbound.judge(entries, outcomes)
            for settlement in settlements:
                if settlement.report is not None:
                    await self._settle(settlement)
            rest = [settlement for settlement in settlements if settlement.report is None]
            if len(rest) == 1:
                await self._settle(rest[0])
            elif rest:
                await asyncio.gather(*map(self._settle, rest))
        except Exception as error:
            log.error("attempt not settled", exc=error, queue=f"{entries[0].queue_id:x}")
        finally:
            for entry in entries:
                self._live.pop((entry.queue_id, entry.number), None)
            task = asyncio.current_task()
            assert task is not None
            self._attempts.discard(task)
            if self._wants_room:
                self._wants_room = False
                self._nudge.set()

    async def _try(self, key: str, destination: Destination, entries: Group) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            trouble = destination.resting(started)
            if trouble is not None:
                outcomes = [trouble] * len(entries)
            else:
                outcomes = await self._outbound.attempt(entries)
                destination.ended(outcomes, loop.time())
        finally:
            # The place is free before the store has heard of it: a commit must not slow the destination down.
            destination.running -= 1
            self._next(key, destination)
        _tell(entries, outcomes, key, loop.time() - started)
        return outcomes

    def _next(self, key: str, destination: Destination) -> None:
        if self._is_stopping:
            return
        self._start(key, destination)
        if destination.has_more and not destination.is_full:
            destination.has_more = False
            self._nudge.set()

    async def _settle_late(self, settlement: Settlement) -> None:
        """What became of an attempt whose lease was lost when it ended: with the new one, and no second attempt."""
        try:
            await self._settle(settlement)
        except Exception as error:
            log.error("attempt not settled", exc=error, queue=f"{settlement.entry.queue_id:x}")
        finally:
            self._live.pop((settlement.entry.queue_id, settlement.entry.number), None)
            task = asyncio.current_task()
            assert task is not None
            self._attempts.discard(task)

    def _held(self, entry: QueueEntry) -> QueueEntry:
        """*entry* with the lease that we have by now."""
        return self._live.get((entry.queue_id, entry.number), entry)

    async def _settle(self, settlement: Settlement) -> None:
        outcome = settlement.outcome
        if settlement.is_settled:
            return
        entry = self._held(settlement.entry)
        if settlement.is_untried and settlement.next_try is not None:
            await self._store.release(entry, settlement.next_try)
            return
        loop = asyncio.get_running_loop()
        record = attempt(entry, outcome, settlement.next_try, self._clock.now())
        until = loop.time() + self._settings.settle_s
        wait_s = 0.1
        while True:
            try:
                ours = await self._store.settle(
                    entry,
                    answer=f"{outcome.status} {outcome.text}",
                    next_try=settlement.next_try,
                    delay_reported=settlement.delay_reported,
                    destination=settlement.destination,
                    report=settlement.report,
                    record=record,
                    suppress=settlement.suppress,
                )
                now_held = self._held(entry)
                if ours or now_held.epoch == entry.epoch:
                    break
                entry = now_held  # it was leased to us once more while we wrote
                continue
            except Refusal as refusal:
                if loop.time() > until:
                    raise
                log.warning("not settled yet", queue=f"{entry.queue_id:x}", reason=refusal.detail or refusal.text)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 5)
        if ours and settlement.report is not None:
            # A message of our own: its way can be followed from here on, by its id.
            log.info("report", message=f"{settlement.report.body.blob:x}", about=f"{entry.blob:x}", queue=f"{entry.queue_id:x}")
        if settlement.next_try is not None and settlement.next_try - self._clock.now() < self._settings.idle_s:
            self._nudge.set()  # it may be due before the rest that began while it was leased ends
        if not ours:
            self._unsettled[entry.queue_id, entry.number] = settlement, loop.time()
            log.warning(
                "lease was lost", queue=f"{entry.queue_id:x}", recipient=entry.recipient.address, result=outcome.kind.value
            )

    # --- leases that live -----------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._settings.renew_s)
            now = asyncio.get_running_loop().time()
            self._destinations = {key: found for key, found in self._destinations.items() if not found.is_idle(now)}
            self._unsettled = {key: late for key, late in self._unsettled.items() if now - late[1] < self._settings.settle_s}
            if self._live:
                await self._guarded(self._renew_all())

    async def _renew_all(self) -> None:
        await self._store.renew(list(self._live.values()), self._clock.now() + self._settings.lease_s)

    async def _wind_up(self) -> None:
        """Give back what has not begun, let end what has."""
        waiting = [entry for destination in self._destinations.values() for group in destination.waiting for entry in group]
        for destination in self._destinations.values():
            destination.waiting.clear()
            if destination.timer is not None:
                destination.timer.cancel()
        try:
            async with asyncio.timeout(self._grace_s):
                await asyncio.gather(*(self._store.release(self._held(entry), self._clock.now()) for entry in waiting))
                if self._attempts:
                    await asyncio.wait(self._attempts)
        except (TimeoutError, Refusal):
            return


def _tell(entries: Group, outcomes: Sequence[Outcome], key: str, seconds: float) -> None:
    """A message's stage in the log: one line for each recipient and attempt."""
    for entry, outcome in zip(entries, outcomes, strict=True):
        if outcome.later_s:
            continue
        log.info(
            "attempt",
            message=f"{entry.blob:x}",
            queue=f"{entry.queue_id:x}",
            recipient=entry.recipient.address,
            host=outcome.remote or key,
            result=outcome.kind.value,
            status=outcome.status,
            answer=outcome.text,
            ms=round(seconds * 1000),
        )
        if outcome.code >= 400 and cause_of(outcome.status, outcome.text) is Cause.BLOCKED:
            log.warning("a destination blocks us", host=outcome.remote or key, answer=outcome.text, queue=entry.queue_id)


class _Full(Collection[str]):
    """Destinations not to be leased now, as a set whose members are known by where they lead. Asked in a database thread."""

    def __init__(self, key: Callable[[str], str], keys: set[str]) -> None:
        self._key = key
        self.keys = keys

    def __contains__(self, destination: object) -> bool:
        return bool(self.keys) and self._key(str(destination)) in self.keys

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)
