"""What all parts of the store share: its database, its clock, room on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ....message.octets import Octets
from ....model.access import Rights
from ....model.account import Principal
from ....model.errors import DiskFull, NotFound
from ....model.ids import AccountId, BlobId, MailboxId
from ....seams import BlobStore, Clock, Database, SearchIndex, Work
from ...ids import IdSource
from ...recent import Recent
from ...space import Space, octets_of
from ...spool import INLINE_LIMIT
from .. import (
    queue,
    records,
)
from ..commit import Acceptor
from ..rights import allowed

T = TypeVar("T")
READ_AT_ONCE = 16 << 20
"""Octets that `read_many` returns at most in one call."""
LIGHT = 50
"""Messages up to which a change is quick enough for the event loop."""


@dataclass(frozen=True, slots=True)
class Rope:
    """A stored message's octets: which blob, and how it is put together."""

    octets: Octets
    blob: BlobId

    @property
    def size(self) -> int:
        return self.octets.size


class Core:
    """*owner* is this worker's instance (see `owner_of`), *is_alive* tells whether another one lives; *slot* of *workers*
    decides which lanes of the queue it serves.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        clock: Clock,
        ids: IdSource,
        spool_dir: str,
        *,
        owner: int = 1,
        is_alive: Callable[[int], bool] = lambda owner: True,
        slot: int = 0,
        workers: int = 1,
        space: Space | None = None,
        index: SearchIndex | None = None,
        keeps_records: bool = True,
    ) -> None:
        self.database = database
        self.index = index
        """Hears of emails that are gone for good."""
        self.space = space or Space(spool_dir)
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._spool_dir = spool_dir
        self.recent = Recent()
        self._owner = owner
        self._acceptor = Acceptor(owner, is_alive)
        self._lanes = [lane for lane in range(queue.LANES) if lane % workers == slot]
        self._confirmed: list[bytes] = []
        self._notes = records.Notes()
        self._keeps_records = keeps_records

    def new_ids(self, count: int) -> tuple[int, ...]:
        return tuple(self._ids.next() for _ in range(count))

    async def check_space(self, size: int = 0) -> None:
        """Before a message of *size* octets is taken, 0: not known. Raises DiskFull."""
        if self.space.is_stale:
            self.space.look(await self.database.peek(octets_of))
        self.space.check(size, is_inline=size <= INLINE_LIMIT)

    async def _write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        """For whatever frees space or ends what was begun: on a full disk the reserve is given up for it."""
        try:
            return await self.database.write(work, accounts, heavy=heavy)
        except DiskFull:
            await asyncio.to_thread(self.space.release)  # another worker may have done so just now
            self.space.on_pressed()
            return await self.database.write(work, accounts, heavy=heavy)

    async def _look(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, work: Work[T], *, short: bool = False
    ) -> T:
        """Read something of the mailbox. Raises NotFound, NotPermitted."""
        return await self.database.read(allowed(principal, account, mailbox, Rights.READ, work), short=short)


def owner_of(slot: int, generation: int) -> int:
    """A worker's instance: its place among the workers and which one in that place it is. Never 0."""
    return (slot << 32) | (generation & 0xFFFFFFFF)


def _check(principal: Principal, account: AccountId) -> None:
    if not principal.may(account):
        # Whoever may not see it learns nothing about it.
        raise NotFound("No such mailbox", detail=f"principal {principal.account} asked for account {account}")
