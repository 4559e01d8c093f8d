"""What became of messages."""

from __future__ import annotations

from dataclasses import replace

from ....model.record import Record, Traced
from ....seams import Tx
from ...space import octets_of
from .. import queue_orders, records
from .core import LIGHT, Core


class Recording(Core):
    """What became of messages."""

    def note(self, record: Record, trail: int = 0) -> None:
        """Write down, within a second and with others, what no commit carries; *trail*: the message's blob, 0 if there is none.

        It is lost when the worker is killed meanwhile, and when there is too much of it.
        """
        if self._keeps_records:
            record_id = self._ids.next()
            self._notes.add(record_id, trail or record_id, record)

    async def note_queued(self, queue_id: int, record: Record) -> None:
        """`note` about a message that waits in the queue, if it does."""
        found = await self.database.peek(lambda tx: queue_orders.stored(tx, queue_id))
        if found is not None:
            self.note(replace(record, facts={"queue": f"{queue_id:x}", **record.facts}), found[0])

    async def flush_notes(self) -> None:
        """Write what waits to be written. Raises Refusal; it waits for the next time then."""
        if not self._notes:
            return
        if self.space.is_stale:
            self.space.look(await self.database.peek(octets_of))
        rows, names = self._notes.take()
        if self.space.is_low:
            rows = []  # what is left on the disk is for mail
        try:
            await self.database.write(lambda tx: records.write(tx, rows, names), heavy=len(rows) + len(names) > LIGHT * 20)
        except Exception:
            self._notes.give_back(rows, names)
            raise

    async def find_records(self, text: str, since: int, until: int, limit: int = 50) -> list[Traced]:
        """The ways of the messages that *text* names (a Message-ID, an address, an id), the latest first."""
        await self.flush_notes()

        def work(tx: Tx) -> list[Traced]:
            found = [records.traced(tx, trail) for trail in records.named(tx, text, since, until, limit)]
            return [traced for traced in found if records.is_named(traced, text)]

        return await self.database.read(work)

    async def records_since(self, after: int, limit: int = 500) -> list[tuple[int, Traced]]:
        """(id, records) of rows above the id *after*, in order of time; `ids.first_id_at` makes an id of a time."""
        await self.flush_notes()
        return await self.database.read(lambda tx: records.since(tx, after, limit))

    async def prune_records(self, keep_s: int) -> int:
        """One step of removing what is older than *keep_s*; how much. Call again until 0."""
        before = self._clock.now() - keep_s
        return await self._write(lambda tx: records.prune(tx, before), heavy=True)

    def _row(self, *found: Record | None) -> tuple[int, bytes] | None:
        """(id, octets) of a row for those that are there."""
        there = [record for record in found if record is not None]
        return (self._ids.next(), records.encode(there)) if there and self._keeps_records else None

    async def _name_again(self) -> None:
        """The names that had not been written when a worker died."""
        now, after = self._clock.now(), 0

        def step(tx: Tx) -> int:
            names, following = records.unnamed(tx, now, after)
            records.write(tx, (), names)
            return following

        while after := await self.database.write(step, heavy=True):
            pass
