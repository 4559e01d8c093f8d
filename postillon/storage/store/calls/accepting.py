"""Bodies on their way in, and plans made true."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from ....model.errors import DiskFull, Refusal, Unavailable
from ....model.ids import AccountId, BlobId, EmailId
from ....model.plan import Enqueue, Plan, Receipt
from ....model.record import Record, Stage
from ....seams import Work
from ...spool import Spool
from ..commit import accounts_of, commit, confirm, queueing
from .recording import Recording

T = TypeVar("T")


class Accepting(Recording):
    """Bodies on their way in, and plans made true."""

    def spool(self, max_size: int) -> Spool:
        """For the octets of one message on its way in."""
        return Spool(self._spool_dir, BlobId(self._ids.next()), max_size, self.space)

    async def _place(self, blob: BlobId, path: str) -> None:
        if path:
            await self._blobs.put(blob, path)

    async def _file(self, placed: Sequence[BlobId], work: Work[T], accounts: Sequence[AccountId], *, heavy: bool = False) -> T:
        """Write rows that name the files of *placed*; if it is certain that there will be none, the files go."""
        try:
            return await self.database.write(work, accounts, heavy=heavy)
        except Refusal as error:
            if placed and (isinstance(error, DiskFull) or not isinstance(error, Unavailable)):
                await self._blobs.delete(placed)
            raise

    async def commit(self, plan: Plan) -> Receipt:
        """Make *plan* true, whole or not at all; durable when this returns. Raises OverQuota, NotFound, Unavailable."""
        if not self._keeps_records:
            plan = _unrecorded(plan)
        plans = (plan, *plan.along)
        for each in plans:
            await self._place(each.body.blob, each.body.path)
        new, now = [EmailId(i) for i in self.new_ids(sum(len(each.items) for each in plans))], self._clock.now()
        files, acceptor = [each.body.blob for each in plans if each.body.path], self._acceptor
        with self._confirming() as confirmed:
            receipt = await self._file(files, lambda tx: commit(tx, plan, new, now, acceptor, confirmed), accounts_of(plan))
        if receipt.repeated:
            self.note(Record(Stage.REPEATED, now), receipt.blob)
            if files:
                await self._blobs.delete(files)
        else:
            self._name(*plans)
            self._remember(plans, now)
        return receipt

    def _remember(self, plans: Sequence[Plan], now: int) -> None:
        """Small bodies that the queue will want at once."""
        for plan in plans:
            body = plan.body
            if body.data is not None and any(isinstance(item, Enqueue) and item.due <= now for item in plan.items):
                self.recent.keep(body.blob, body.data)

    def _name(self, *plans: Plan | None) -> None:
        for plan in plans:
            if plan is not None and plan.records:
                self._notes.add_names(plan.body.blob, (*plan.records, *queueing(plan, 0)))

    def confirm(self, accept_key: bytes) -> None:
        """The peer has heard our 250: the same message may come again and is then another one."""
        if accept_key:
            self._confirmed.append(accept_key)

    async def flush_confirmed(self) -> None:
        """Write down what `confirm` was told; it otherwise goes along with the next commit."""
        if self._confirmed:
            with self._confirming() as confirmed:
                await self._write(lambda tx: confirm(tx, confirmed))

    @contextlib.contextmanager
    def _confirming(self) -> Iterator[list[bytes]]:
        """What `confirm` was told and a write now carries; it waits for the next one if that write fails."""
        confirmed, self._confirmed = self._confirmed, []
        try:
            yield confirmed
        except Exception:
            self._confirmed += confirmed
            raise

    async def unheard(self, accept_key: bytes) -> None:
        """The connection broke before the peer went on after our 250: the same message again is a repetition of this one."""
        sql, owner = "UPDATE accepted SET owner = 0 WHERE key = ? AND owner = ?", self._owner
        if accept_key:
            await self._write(lambda tx: tx.run(sql, accept_key, owner))


def _unrecorded(plan: Plan) -> Plan:
    return replace(plan, records=(), along=tuple(replace(each, records=()) for each in plan.along))
