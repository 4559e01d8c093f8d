"""Whom we know from before: hosts that waited for our greeting, networks that came back after a greylisting.

Marks in the side database, shared by all workers; what was found there is kept in memory for a while.
"""

from __future__ import annotations

from enum import Enum

from ..log import Log
from ..model.errors import Refusal
from ..seams import Clock, Database
from ..storage.store import limits
from .subjects import key_of, subjects

DAY = 86_400
KEPT = 20_000
"""Marks that a worker remembers at a time."""
PEND_S = 2 * DAY
"""How long a first visit is remembered: who does not come back within that begins anew."""
VISITS = 500
"""First visits of one network that are remembered in a day, on each worker, before one of them has come back."""
log = Log("known")


class Trial(Enum):
    """What strangers go through; the value begins the keys of its marks."""

    GREETING = b"h"
    """Waiting for our greeting; hosts pass it."""
    RETURN = b"r"
    """Coming back after a while; networks pass it."""


class Known:
    """*side* is the side database. A mark lives for *remember_s* and is renewed when it is used."""

    def __init__(self, side: Database, clock: Clock, *, remember_s: int = 36 * DAY) -> None:
        self._side = side
        self._clock = clock
        self._remember_s = remember_s
        self._visits: dict[str, tuple[int, int]] = {}
        """Network → (day, first visits on it)."""
        self._fresh: dict[bytes, int] = {}
        """Key → until when it needs no look into the database."""

    async def has_passed(self, test: Trial, address: str) -> bool:
        """Has *address* (its network) passed *test*? Trouble with the database: no."""
        key, now = _key(test, address), self._clock.now()
        if self._fresh.get(key, 0) > now:
            return True
        try:
            at = (await self._side.peek(lambda tx: limits.counts(tx, [key]))).get((key, 0))
            if at is None or at + self._remember_s <= now:
                return False
            if at + DAY <= now:
                await self._mark(key, now)
        except Refusal as refusal:
            log.warning("not known who is known", reason=refusal.detail or refusal.text)
            return False
        self._keep(key, now)
        return True

    async def passed(self, test: Trial, address: str) -> None:
        """Remember it. What cannot be written down is tested again next time."""
        key, now = _key(test, address), self._clock.now()
        self._keep(key, now)
        try:
            await self._mark(key, now)
        except Refusal as refusal:
            log.warning("not remembered who is known", reason=refusal.detail or refusal.text)

    async def wait_of(self, address: str, sender: str, recipient: str, wait_s: int) -> int:
        """Seconds until the mail of *sender* to *recipient* may come from *address*: 0 once it has come back after *wait_s*.

        The first visit begins the wait. Coming too early does not make it longer. Raises Refusal if the database does.
        """
        network, now = _network_of(Trial.RETURN, address), self._clock.now()
        key = key_of(b"t", f"{network} {_steady(sender)} {recipient}")
        first = (await self._side.peek(lambda tx: limits.counts(tx, [key]))).get((key, 0))
        if first is None or first + PEND_S <= now:
            if self._may_begin(network, now):
                await self._side.write(lambda tx: limits.mark(tx, key, now, now + PEND_S))
            return wait_s
        return max(first + wait_s - now, 0)

    def _may_begin(self, network: str, now: int) -> bool:
        """Whoever tries senders by the thousand without ever coming back does not fill the database."""
        day, visits = self._visits.get(network, (0, 0))
        if day != now // DAY:
            if len(self._visits) >= KEPT:
                self._visits.clear()
            visits = 0
        self._visits[network] = (now // DAY, visits + 1)
        return visits < VISITS

    async def _mark(self, key: bytes, now: int) -> None:
        await self._side.write(lambda tx: limits.mark(tx, key, now, now + self._remember_s))

    def _keep(self, key: bytes, now: int) -> None:
        if len(self._fresh) >= KEPT:
            del self._fresh[next(iter(self._fresh))]
        self._fresh[key] = now + 3600


def _key(test: Trial, address: str) -> bytes:
    return key_of(test.value, _network_of(test, address))


def _network_of(test: Trial, address: str) -> str:
    """For a return the /24 or /64, since large senders try again from a neighbouring address."""
    host, network = subjects(address)
    return host if test is Trial.GREETING or ":" in host else network


def _steady(sender: str) -> str:
    """*sender* without what changes from message to message: numbers, and what stands behind `+` or `=` (VERP, SRS)."""
    local, at, domain = sender.rpartition("@")
    for mark in "+=":
        local = local.partition(mark)[0]
    return "".join("#" if char.isdigit() else char for char in local) + at + domain
