"""Reports that others send us: found in the mail of some of our addresses, read after it was filed, and counted.

The mail itself is filed as any other. What anybody may send is read only if it is authenticated, within bounds, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ..log import Log
from ..mailauth.evaluate import Verdict
from ..mailauth.result import Result
from ..message.incoming import Incoming
from ..message.octets import Octets
from ..message.report_parts import ReportPart, report_parts
from ..model.address import Address
from ..model.ids import BlobId
from ..model.plan import Body
from ..storage.store import Rope, Store

MAX_MESSAGE = 4 << 20
"""Octets of a message that is looked into."""
AT_ONCE = 2
WAITING = 100
log = Log("reports")

Read = Callable[[ReportPart, str], Awaitable[bool]]
"""Takes an attachment and the domain that sent it; False: it is no report of that kind. Raises ValueError for a bad one."""


class ReportInbox:
    """*addresses*: local parts, or whole addresses, whose mail is looked into. *readers*: one for each kind of report."""

    def __init__(self, store: Store, addresses: Sequence[str], readers: Sequence[Read]) -> None:
        self._store = store
        self._addresses = frozenset(address.casefold() for address in addresses)
        self._readers = tuple(readers)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def offer(self, incoming: Incoming, blob: BlobId, verdict: Verdict | None) -> None:
        """*incoming* was filed as *blob*: if it may be a report, read it in the background. *verdict*: who sent it."""
        if incoming.body.size > MAX_MESSAGE or len(self._tasks) >= WAITING:
            return
        if not any(self.wants(one.recipient.address) for one in incoming.accepted):
            return
        reporter = _reporter(verdict)
        if reporter is None:
            return
        self._start(self._body(incoming.body, blob), reporter)

    def offer_own(self, octets: bytes, hostname: str) -> None:
        """The message *octets* was made here for an address of ours: if it is a report, read it in the background."""

        async def known() -> bytes:
            return octets

        self._start(known(), hostname)

    def _start(self, reading: Coroutine[Any, Any, bytes], reporter: str) -> None:
        task = asyncio.create_task(self._take(reading, reporter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _body(self, body: Body, blob: BlobId) -> bytes:
        if body.data is not None:
            return body.data
        return await self._store.read_octets(Rope(Octets.whole(body.size), blob), 0, body.size)

    def wants(self, address: Address) -> bool:
        """Is mail to *address* looked into?"""
        return address.key in self._addresses or address.key.rpartition("@")[0] in self._addresses

    async def _take(self, reading: Coroutine[Any, Any, bytes], reporter: str) -> None:
        try:
            async with self._turns:
                await self.take(await reading, reporter)
        except Exception as error:
            log.error("report not read", exc=error, domain=reporter)

    async def take(self, octets: bytes, reporter: str) -> int:
        """Read the reports in the message *octets* from the domain *reporter*; returns how many."""
        found = 0
        for part in await asyncio.to_thread(report_parts, octets):
            for read in self._readers:
                try:
                    if await read(part, reporter):
                        found += 1
                        break
                except ValueError as error:
                    log.warning("report not understood", domain=reporter, reason=str(error)[:200])
        return found


def _reporter(verdict: Verdict | None) -> str | None:
    """The domain that stands behind the message; None if nobody proved to. Empty where mail is not authenticated at all."""
    if verdict is None:
        return ""
    passed = [one.domain for one in verdict.dmarc if one.result is Result.PASS]
    passed += [one.domain for one in verdict.dkim if one.result is Result.PASS]
    passed += [verdict.spf.domain] if verdict.spf.result is Result.PASS else []
    return next(iter(passed), None)
