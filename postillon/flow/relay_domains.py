"""Domains whose mail we take for their own server (backup MX): who exists there is found out while the sender waits.

What cannot be found out is taken, since that is what a backup is for; what is known not to exist is refused, since a report about
it would go to a forged sender (backscatter).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ..log import Log
from ..model.address import Address
from ..model.errors import NotFound
from ..model.queue import Outcome, OutcomeKind
from ..relay.replies import Cause, cause_of
from ..seams import Clock

log = Log("receive")

ASK_S = 20.0
"""Longest wait for the other server while a sender waits for us."""
KNOWN_S, UNKNOWN_S, SILENT_S = 86400, 3600, 300
"""How long an answer is remembered: that the address exists, that it does not, that there was none."""
MAX_REMEMBERED = 10_000

Ask = Callable[[Address], Awaitable[Outcome]]
"""What the domain's server says to a recipient, without a message."""


@dataclass(frozen=True, slots=True)
class RelayDomain:
    recipients: frozenset[str] = frozenset()
    """Keys of addresses that exist."""
    verify: str = "ask"
    """`ask`, `list` or `any`."""


class RelayDomains:
    def __init__(self, domains: Mapping[str, RelayDomain], ask: Ask, clock: Clock) -> None:
        self._domains = domains
        self._ask = ask
        self._clock = clock
        self._answers: OrderedDict[str, tuple[bool, int]] = OrderedDict()
        """By address: whether it may exist, and until when that is remembered."""
        self._asking: dict[str, asyncio.Future[bool]] = {}
        """Questions under way, by address: who wants to know the same waits for the same answer."""

    async def takes(self, recipient: Address, sender: Address | None) -> bool:
        """Whether it is in one of the domains; an address that does not exist there raises NotFound."""
        domain = self._domains.get(recipient.domain)
        if domain is None:
            return False
        if recipient.key in domain.recipients or domain.verify == "any":
            return True
        if domain.verify == "list" or not await self._may_exist(recipient, sender):
            raise NotFound(f"No such mailbox: <{recipient}>", status="5.1.1")
        return True

    async def _may_exist(self, recipient: Address, sender: Address | None) -> bool:
        found = self._answers.get(recipient.key)
        if found is not None and found[1] > self._clock.now():
            return found[0]
        asking = self._asking.get(recipient.key)
        if asking is None:
            asking = self._asking[recipient.key] = asyncio.ensure_future(self._learned(recipient))
        elif sender is None:
            # Our own question may have come back to us (we ask with the null sender), and waiting would be for ourselves. A
            # report to an address that does not exist is never answered with another one, so taking it hurts nobody.
            return True
        return await asyncio.shield(asking)

    async def _learned(self, recipient: Address) -> bool:
        """Ask, and remember the answer."""
        try:
            may_exist, remember_s = await self._asked(recipient)
        finally:
            del self._asking[recipient.key]
        self._answers[recipient.key] = may_exist, self._clock.now() + remember_s
        self._answers.move_to_end(recipient.key)
        if len(self._answers) > MAX_REMEMBERED:
            self._answers.popitem(last=False)
        return may_exist

    async def _asked(self, recipient: Address) -> tuple[bool, int]:
        try:
            async with asyncio.timeout(ASK_S):
                outcome = await self._ask(recipient)
        except TimeoutError:
            return True, SILENT_S
        log.debug("asked about a recipient", recipient=recipient, result=outcome.kind.value, answer=outcome.text)
        if outcome.kind is OutcomeKind.DELIVERED:
            return True, KNOWN_S
        # A no that is not about the address (a block, a policy) says nothing about whether it exists.
        if outcome.kind is OutcomeKind.FAILED and outcome.code and cause_of(outcome.status, outcome.text) is Cause.BAD_ADDRESS:
            return False, UNKNOWN_S
        return True, SILENT_S
