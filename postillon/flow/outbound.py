"""An attempt at queued recipients, from the lease to what the queue is told: try once, then decide for each.

Done, again later, or never: the peer's words come from the transport, the times from `retry`, the report from `bounce`. The
worker that leased the entries (`workers.queue`) settles them with what stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..log import Log
from ..message.octets import Octets
from ..model.envelope import Envelope
from ..model.errors import Refusal
from ..model.plan import Plan
from ..model.queue import Outcome, OutcomeKind, QueueEntry
from ..relay.outcome import deferred, failed
from ..relay.replies import Cause, advised_wait, cause_of
from ..relay.smarthost import VIA
from ..seams import Clock, Transport
from ..storage.store import Rope, Store
from . import wishes
from .bounce import Reporter, wants_delay, wants_trace
from .convert import Converter
from .deliver import LOCAL
from .retry import RetrySchedule, is_late, next_try, try_to_report, usual_wait

log = Log("queue")

SMALL = 64 * 1024
"""Octets up to which a read shares its visit to the database with others."""
BATCH = 64

DeliverLocal = Callable[[QueueEntry], Awaitable[Outcome]]
"""`flow.deliver.Deliverer.file_entry`: a delivered entry has been settled with its copy."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Where mail goes that could not be delivered in *after* attempts."""

    after: int = 3
    everywhere: str = ""
    """A destination of the queue; empty: nowhere else."""
    domains: Mapping[str, str] = field(default_factory=dict)
    """For these domains another one."""

    def of(self, destination: str) -> str:
        """Where mail to *destination* goes then; empty: on as before."""
        if destination == LOCAL or destination.startswith(VIA):
            return ""
        return self.domains.get(destination, self.everywhere)

    def attempts_to(self, destination: str) -> int | None:
        """How many attempts that takes; None: it never goes elsewhere."""
        return self.after if self.of(destination) else None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the queue is to be told about one entry."""

    entry: QueueEntry
    outcome: Outcome
    next_try: int | None
    """Epoch seconds; None: delivered or failed, the entry is done."""
    report: Plan | None = None
    """Committed together with the settlement. One for all recipients of an attempt with the same fate, with the first of them."""
    delay_reported: bool = False
    destination: str = ""
    """Where it goes from now on, if that is another place than before."""
    suppress: str = ""
    """There is no such address, in these words: the account that sent it had better not write to it for a time."""
    is_untried: bool = False
    """It was not its turn: the lease is given back, and nothing is counted, told or written down."""
    is_settled: bool = False
    """A local copy: filing it has settled the entry in the same transaction."""


class Reads:
    """Reads of attempts that run side by side, gathered into one visit to the database: a thread hop costs more than a row."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Rope, int, int, asyncio.Future[bytes]]] = []
        self._visit: asyncio.Task[None] | None = None

    async def read(self, rope: Rope, start: int, stop: int) -> bytes:
        """Octets *start* to *stop* of the message. Raises Unavailable."""
        body = self._store.recent.get(rope.blob)
        if body is not None:
            pieces = [
                body[piece[0] : piece[1]] if isinstance(piece, tuple) else piece for piece in rope.octets.range(start, stop)
            ]
            return b"".join(pieces)
        if stop - start > SMALL:
            return await self._store.read_octets(rope, start, stop)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((rope, start, stop, future))
        if self._visit is None:
            self._visit = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        """Visit the database until nobody waits; whoever comes during a visit is served by the next."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                try:
                    found = await self._store.read_many([(rope, start, stop) for rope, start, stop, _ in batch])
                except Exception:
                    # One message that cannot be read must not keep the others from being sent.
                    await asyncio.gather(*(self._serve_one(*one) for one in batch))
                    continue
                for (_, _, _, future), octets in zip(batch, found, strict=True):
                    if not future.done():
                        future.set_result(octets)
        finally:
            self._visit = None

    async def _serve_one(self, rope: Rope, start: int, stop: int, future: asyncio.Future[bytes]) -> None:
        try:
            octets = await self._store.read_octets(rope, start, stop)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(octets)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A queued message's octets, for a transport (`relay.session.Source`)."""

    reads: Reads
    rope: Rope

    @property
    def size(self) -> int:
        return self.rope.size

    async def read(self, start: int, stop: int) -> bytes:
        return await self.reads.read(self.rope, start, stop)


class Outbound:
    """Makes attempts. *entries* of one call belong to one message and one next hop (or are one local copy)."""

    def __init__(
        self,
        *,
        store: Store,
        transport: Transport,
        deliver_local: DeliverLocal,
        reporter: Reporter,
        clock: Clock,
        schedule: RetrySchedule | None = None,
        schedules: Mapping[str, RetrySchedule] | None = None,
        fallbacks: Fallbacks | None = None,
        converter: Converter | None = None,
    ) -> None:
        """*schedules*: by the recipient's domain, where it is not *schedule*."""
        self._reads = Reads(store)
        self._transport = transport
        self._deliver_local = deliver_local
        self._reporter = reporter
        self._clock = clock
        self._schedule = schedule or RetrySchedule()
        self._schedules = schedules or {}
        self.fallbacks = fallbacks or Fallbacks()
        self._converter = converter

    async def attempt(self, entries: Sequence[QueueEntry]) -> list[Outcome]:
        """Try once: exactly one outcome for each entry, in order. Nothing but a cancellation is raised."""
        try:
            if entries[0].destination == LOCAL:
                return [await self._deliver_local(entry) for entry in entries]
            now = self._clock.now()
            if (late := wishes.too_late(entries[0], now)) is not None:
                return [late] * len(entries)
            envelope = replace(entries[0].envelope, recipients=tuple(entry.recipient for entry in entries))
            envelope = wishes.handed_on(envelope, entries[0].made_at, now)
            way = (entries[0].destination,) if entries[0].destination.startswith(VIA) else ()
            found = await self._transport.attempt(envelope, self._message(entries[0]), *way)
            if any(map(_is_unfit, found.values())):
                found |= await self._converted(entries[0], envelope, [i for i in found if _is_unfit(found[i])], way)
            return [found[i] for i in range(len(entries))]
        except Refusal as refusal:
            # Ours, not the peer's: a blob that cannot be read now, a local mailbox that says no.
            log.warning(
                "attempt refused", queue=f"{entries[0].queue_id:x}", status=refusal.status, reason=refusal.detail or refusal.text
            )
            outcome = _refused(refusal, is_local=entries[0].destination == LOCAL)
        except Exception as error:
            log.error("attempt broke", exc=error, queue=f"{entries[0].queue_id:x}", destination=entries[0].destination)
            outcome = deferred("4.3.0", "internal error of this server")
        return [outcome] * len(entries)

    async def _converted(
        self, entry: QueueEntry, envelope: Envelope, unfit: list[int], way: tuple[str, ...]
    ) -> dict[int, Outcome]:
        """Once more for those whose server takes no 8-bit octets, if the message is our own people's and may be converted."""
        if self._converter is None:
            return {}
        octets = await self._converter.seven_bit(entry, self._message(entry), self._clock.now())
        if octets is None:
            return {}
        envelope = replace(envelope, body="7BIT", recipients=tuple(envelope.recipients[i] for i in unfit))
        found = await self._transport.attempt(envelope, octets, *way)
        return {unfit[i]: outcome for i, outcome in found.items()}

    def _message(self, entry: QueueEntry) -> StoredMessage:
        return StoredMessage(self._reads, Rope(Octets.decode(entry.recipe, entry.blob_size), entry.blob))

    async def judge(self, entries: Sequence[QueueEntry], outcomes: Sequence[Outcome]) -> list[Settlement]:
        """What becomes of each entry after an attempt that ended in *outcomes*, those that carry a report first.

        If we die in the middle, the others are tried and reported again; the other way round they would vanish in silence.
        """
        now = self._clock.now()
        settled = [self._settlement(entry, outcome, now) for entry, outcome in zip(entries, outcomes, strict=True)]
        settled = await self._report(settled, now)
        return sorted(settled, key=lambda found: found.report is None)

    async def _report(self, settled: list[Settlement], now: int) -> list[Settlement]:
        """The same with a report for each kind of news, carried by the first that it is about."""
        lost = [found for found in settled if found.outcome.kind is OutcomeKind.FAILED]
        late = [found for found in settled if self._is_late_now(found, now)]
        taken = [found for found in settled if _is_to_confirm(found)]
        done: dict[int, Settlement] = {}
        for concerned, make in ((lost, self._reporter.failure), (late, self._reporter.delay), (taken, self._reporter.relayed)):
            if not concerned:
                continue
            try:
                report = await make([(found.entry, found.outcome) for found in concerned])
            except Exception as error:
                log.error("report not made", exc=error, queue=f"{concerned[0].entry.queue_id:x}")
                # A delay is reported after the next attempt. What was taken cannot be sent again for the sake of a report.
                done.update((id(found), self._unreported(found, now)) for found in (concerned if concerned is lost else ()))
                continue
            is_late = concerned is late
            if report is None and not is_late:
                continue
            done.update((id(found), replace(found, delay_reported=found.delay_reported or is_late)) for found in concerned)
            done[id(concerned[0])] = replace(done[id(concerned[0])], report=report)
        return [done.get(id(found), found) for found in settled]

    def _is_late_now(self, found: Settlement, now: int) -> bool:
        entry = found.entry
        is_waiting = found.next_try is not None and not entry.delay_reported and not found.is_untried
        return is_waiting and wants_delay(entry) and is_late(entry.made_at, now, self._schedule_of(entry))

    def _schedule_of(self, entry: QueueEntry) -> RetrySchedule:
        return wishes.schedule_of(entry, self.schedule_of(entry.recipient.address.domain))

    def schedule_of(self, domain: str) -> RetrySchedule:
        """The times for mail to *domain*."""
        return self._schedules.get(domain, self._schedule)

    def _unreported(self, found: Settlement, now: int) -> Settlement:
        """A failure that nobody could be told of is tried again as long as there is time: better twice than in silence."""
        outcome = deferred("4.3.0", f"the report of a failure could not be made; the failure: {found.outcome.text}")
        again = next_try(found.entry.attempts + 1, found.entry.expires, now, self._schedule_of(found.entry))
        return found if again is None else replace(found, outcome=outcome, next_try=again)

    def _settlement(self, entry: QueueEntry, outcome: Outcome, now: int) -> Settlement:
        if outcome.kind is not OutcomeKind.DEFERRED:
            is_filed = entry.destination == LOCAL and outcome.kind is OutcomeKind.DELIVERED
            return Settlement(entry, outcome, None, is_settled=is_filed, suppress=_no_such_address(entry, outcome))
        if outcome.later_s and now + outcome.later_s <= entry.expires:
            return Settlement(entry, outcome, now + outcome.later_s, is_untried=True)
        schedule = self._schedule_of(entry)
        elsewhere = self.fallbacks.of(entry.destination)
        if elsewhere and entry.attempts + 1 >= self.fallbacks.after:
            return Settlement(entry, outcome, now, delay_reported=entry.delay_reported, destination=elsewhere)
        again = next_try(entry.attempts + 1, entry.expires, now, schedule)
        if again is None:
            return Settlement(entry, _expired(outcome), None)
        # Their words may ask for another time; the last try is never lost over that.
        usual = usual_wait(entry.attempts + 1, schedule)
        again = min(now + advised_wait(outcome, entry.attempts + 1, usual, schedule.longest_wait_s), entry.expires)
        if wants_delay(entry) and not entry.delay_reported:
            again = try_to_report(again, entry.made_at, now, schedule)
        return Settlement(entry, outcome, again, delay_reported=entry.delay_reported)


def _is_unfit(outcome: Outcome) -> bool:
    """We ourselves saw that the server does not take such octets (`relay.session`)."""
    return outcome.status == "5.6.3" and not outcome.code


def _is_to_confirm(found: Settlement) -> bool:
    """Delivered to a server that will not confirm it (RFC 3461 §5.2.2). What was filed here was reported with the filing."""
    outcome = found.outcome
    is_taken = outcome.kind is OutcomeKind.DELIVERED and not found.is_settled
    return is_taken and (not outcome.confirms or wants_trace(found.entry))


def _no_such_address(entry: QueueEntry, outcome: Outcome) -> str:
    """The words of a server that does not know the recipient of one of our accounts; empty if it is anything else."""
    if entry.account is None or outcome.kind is not OutcomeKind.FAILED or not outcome.code or outcome.code == 556:
        return ""
    is_unknown = cause_of(outcome.status, outcome.text) is Cause.BAD_ADDRESS
    return f"{outcome.code} {outcome.status} {outcome.text}" if is_unknown else ""


def _refused(refusal: Refusal, *, is_local: bool) -> Outcome:
    # Only local delivery says a final no for the recipient; whatever else is wrong here is no reason to return mail.
    if is_local and not refusal.is_temporary:
        return failed(refusal.status, refusal.text)
    return deferred(refusal.status if refusal.is_temporary else "4.3.0", refusal.text)


def _expired(last: Outcome) -> Outcome:
    # RFC 3463 §3.5: 4.4.7, delivery time expired; its words are the last that were said.
    return replace(last, kind=OutcomeKind.FAILED, status="4.4.7")
