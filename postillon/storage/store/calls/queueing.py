"""The queue, and the locks and leases of workers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ....message.octets import Octets
from ....model.errors import InUse, NotFound
from ....model.ids import AccountId, EmailId
from ....model.plan import Body, File, Plan, Prepared
from ....model.queue import QueueEntry, QueueState, QueueTotal, QueueView
from ....model.record import Record, Stage
from ....seams import Tx, Work
from .. import queue, queue_orders, records, suppression
from ..commit import accounts_of, commit, filing, reported
from ..filing import file
from ..queue_orders import Chosen
from .accepting import Accepting
from .core import Rope


class Queueing(Accepting):
    """The queue, and the locks and leases of workers."""

    async def lease(
        self, now: int, limit: int, lease_s: int, *, per_destination: int = 20, skip: Collection[str] = ()
    ) -> list[QueueEntry]:
        """Lease due entries of this worker's lanes, fairly by destination; none of the destinations in *skip*."""
        lanes = self._lanes
        if not await self.database.peek(lambda tx: queue.due_destinations(tx, lanes, now, skip, 1)):
            return []  # looked before taking the write lock
        self._lanes = lanes[1:] + lanes[:1]
        owner = self._owner
        return await self._write(lambda tx: queue.lease(tx, lanes, now, now + lease_s, owner, limit, per_destination, skip))

    async def renew(self, entries: Sequence[QueueEntry], until: int) -> int:
        return await self._write(lambda tx: queue.renew(tx, entries, until))

    async def release(self, entry: QueueEntry, due: int) -> bool:
        """Give a lease back without counting an attempt."""
        return await self._write(lambda tx: queue.release(tx, entry, due))

    async def put_off(
        self,
        destination: str,
        answer: str,
        waits: Sequence[int],
        delay_report_s: int,
        limit: int,
        attempts: int | None = None,
    ) -> int:
        """Defer what is due to a destination that does not answer, without an attempt for each: *limit* at most; how many.

        *attempts*: those whose last one of so many it would be have it.
        """
        now = self._clock.now()
        lanes = self._lanes
        if queue.lane_of(destination) not in lanes:
            return 0
        return await self._write(
            lambda tx: queue.put_off(tx, destination, now, answer, waits, delay_report_s, limit, attempts), heavy=True
        )

    async def settle(
        self,
        entry: QueueEntry,
        *,
        answer: str = "",
        next_try: int | None = None,
        delay_reported: bool = False,
        destination: str = "",
        report: Plan | None = None,
        record: Record | None = None,
        suppress: str = "",
    ) -> bool:
        """The attempt is over: due again at *next_try* (by *destination*, if given), or done with None. *report* and *record* are
        committed along with it. *suppress*: there is no such address, in these words, so the account does not write to it for a
        time.

        False: the lease had been lost, nothing was changed and no report was made.
        """
        now = self._clock.now()
        new = [EmailId(i) for i in self.new_ids(len(report.items))] if report else []
        if report is not None:
            await self._place(report.body.blob, report.body.path)
        written = self._row(record, reported(report, now) if report else None)

        def work(tx: Tx) -> bool:
            if next_try is None:
                ours = queue.finish(tx, entry, now)
            else:
                ours = queue.reschedule(tx, entry, next_try, answer, delay_reported, destination)
            if ours and written is not None:
                records.record(tx, entry.blob, *written)
            if ours and report is not None:
                commit(tx, report, new, now)
            if ours and suppress and entry.account is not None:
                cause = suppression.Cause.BOUNCE
                suppression.add(tx, entry.account, entry.recipient.address.key, now, cause, suppress)
            return ours

        ours = await self._write(work, accounts_of(report) if report else ())
        if ours:
            self._name(report)
        return ours

    async def file_queued(self, entry: QueueEntry, account: AccountId, prepared: Prepared, report: Plan | None = None) -> bool:
        """File the copy that *entry* kept for *account* and settle it, with *report*, as one: it is filed exactly once.

        False: the lease had been lost and nothing was changed. Raises NotFound.
        """
        now, email = self._clock.now(), EmailId(self._ids.next())
        record_id, keeps = self._ids.next(), self._keeps_records
        body = Body(entry.blob, entry.blob_size, b"")
        item = File(account, entry.recipe, Octets.decode(entry.recipe, entry.blob_size).size)
        new = [EmailId(i) for i in self.new_ids(len(report.items))] if report else []
        if report is not None:
            await self._place(report.body.blob, report.body.path)

        def work(tx: Tx) -> bool:
            if not queue.is_leased(tx, entry):
                return False
            filed = file(tx, item, body, prepared, email, entry.made_at, 0, now)
            if keeps:
                done = (filing(filed, now), *(() if report is None else (reported(report, now),)))
                records.record(tx, entry.blob, record_id, records.encode(done))
            if report is not None:
                commit(tx, report, new, now)
            return queue.finish(tx, entry, now)

        ours = await self._write(work, tuple({account, *(accounts_of(report) if report else ())}))
        if ours:
            self._name(report)
        return ours

    async def next_due(self) -> int | None:
        """When the earliest waiting entry is due, epoch seconds; past times are possible."""
        return await self.database.peek(queue.next_due)

    async def queue_views(self, queue_id: int | None = None, after: int = 0, limit: int = 200) -> list[QueueView]:
        return await self.database.read(lambda tx: queue_orders.views(tx, queue_id, after, limit))

    async def queue_octets(self, queue_id: int) -> Rope:
        """A queued message's octets. Raises NotFound."""
        found = await self.database.read(lambda tx: queue_orders.stored(tx, queue_id))
        if found is None:
            raise NotFound("Nothing is queued under that id")
        blob, size, recipe = found
        return Rope(Octets.decode(recipe, size), blob)

    async def queue_totals(self) -> list[QueueTotal]:
        """What waits, by destination and state, the most first."""
        return await self.database.read(queue_orders.totals)

    async def queue_due(self, chosen: Chosen, due: int) -> int:
        """Make what is chosen and waits due at *due*; how many recipients."""
        count = await self._in_steps(lambda tx: queue_orders.set_due(tx, chosen, due, earlier=True))
        if due > self._clock.now():
            count += await self._in_steps(lambda tx: queue_orders.set_due(tx, chosen, due, earlier=False))
        return count

    async def queue_retry(self, domain: str, *, below: bool = False) -> int:
        """Make what was tried before and waits for *domain* (*below*: and those below it) due now; how many recipients."""
        now, names = self._clock.now(), [domain]
        if below:
            names += [total.destination for total in await self.queue_totals() if total.destination.endswith("." + domain)]
        return sum([await self._in_steps(lambda tx, name=name: queue_orders.retry(tx, name, now)) for name in names])  # type: ignore[misc]

    async def queue_state(self, chosen: Chosen, state: QueueState) -> int:
        """Hold, or release; how many recipients were not so before."""
        return await self._in_steps(lambda tx: queue_orders.set_state(tx, chosen, state))

    async def queue_reroute(self, chosen: Chosen, target: str) -> int:
        """Send what is chosen by *target*, or by its own domain if that is empty, from now on; how many recipients."""
        now = self._clock.now()
        return await self._in_steps(lambda tx: queue_orders.reroute(tx, chosen, target, now))

    async def _in_steps(self, work: Work[int]) -> int:
        """*work* changes a bounded number of rows and says how many, until there are none left."""
        total = 0
        while changed := await self._write(work, heavy=True):
            total += changed
            if changed < queue_orders.STEP:
                break
        return total

    async def queue_drop(self, queue_id: int) -> int:
        now = self._clock.now()
        return await self._write(lambda tx: queue_orders.drop(tx, queue_id, now))

    async def queue_entries(self, queue_id: int) -> list[QueueEntry]:
        """What waits of a message, without leasing it; those with an owner are being tried."""
        return await self.database.read(lambda tx: queue_orders.entries_of(tx, queue_id))

    async def queue_remove(self, entries: Sequence[QueueEntry], report: Plan | None) -> None:
        """Settle *entries* (`queue_entries`) as failed, with *report*, as one. Raises InUse if one was leased meanwhile."""
        now = self._clock.now()
        new = [EmailId(i) for i in self.new_ids(len(report.items))] if report else []
        if report is not None:
            await self._place(report.body.blob, report.body.path)
        dropped = [Record(Stage.DROPPED, now, {"recipient": str(entry.recipient.address)}) for entry in entries]
        written = self._row(*dropped, reported(report, now) if report else None)

        def work(tx: Tx) -> None:
            if not all(queue.finish(tx, entry, now) for entry in entries):
                raise InUse("A delivery of that message has begun at this moment; try again")
            if written is not None:
                records.record(tx, entries[0].blob, *written)
            if report is not None:
                commit(tx, report, new, now)

        await self._write(work, accounts_of(report) if report else ())
        self._name(report)

    async def queue_recall(self, queue_id: int) -> tuple[list[str], list[str]]:
        """Take back a message that waits: (recipients who will not get it, recipients to whom it is under way)."""
        now = self._clock.now()
        return await self._write(lambda tx: queue_orders.recall(tx, queue_id, now), heavy=True)

    async def queue_size(self) -> int:
        def work(tx: Tx) -> int:
            row = tx.one("SELECT count(*) FROM queue_recipient")
            return int(row[0]) if row else 0

        return await self.database.read(work)

    async def lock(self, name: str) -> bool:
        """Take the lock *name* for this worker; False if somebody has it. It is void when the worker dies."""
        owner, now = self._owner, self._clock.now()

        def work(tx: Tx) -> bool:
            sql = "INSERT INTO lock (name, owner, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            return bool(tx.run(sql, name.encode(), owner, now))

        return await self._write(work)

    async def unlock(self, name: str) -> None:
        owner = self._owner
        await self._write(lambda tx: tx.run("DELETE FROM lock WHERE name = ? AND owner = ?", name.encode(), owner))

    async def void_former(self) -> int:
        """What earlier generations of this worker's slot had leased or locked is free again."""
        slot, now = self._owner >> 32, self._clock.now()
        first, last, keep = slot << 32, (slot << 32) | 0xFFFFFFFF, self._owner
        await self._name_again()
        return await self._write(lambda tx: queue.void(tx, first, last, keep, now))

    async def void_all(self) -> int:
        """Before any worker runs: nothing is leased or locked."""
        now = self._clock.now()
        await self._name_again()
        return await self._write(lambda tx: queue.void(tx, 1, (1 << 62), 0, now))
