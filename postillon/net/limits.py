"""How many connections a stranger may hold and open: counters of one process, bounded in memory."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "::1")
NOBODY = ""
"""An address that only the total counts for: a proxy that has not yet said whom it brings."""


def host_key(address: str) -> str:
    """Under what an address is counted: itself, or the /64 that one IPv6 host owns."""
    return address if ":" not in address else _network(address, 64)


def network_key(address: str) -> str:
    """Its neighbourhood: the /24, or the /56 that one IPv6 customer owns."""
    return _network(address, 56) if ":" in address else address.rpartition(".")[0]


def _network(address: str, bits: int) -> str:
    return ipaddress.IPv6Address(address.partition("%")[0]).packed[: bits // 8].hex()


class TokenBuckets:
    """A token bucket for each key: *burst* at once, then *rate_s* a second.

    Holds at most *bound* keys: full buckets are forgotten first, then the oldest, so a flood of keys costs no memory.
    """

    def __init__(self, rate_s: float, burst: float, *, bound: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_s = rate_s
        self._burst = burst
        self._bound = bound
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, tokens: float = 1.0) -> bool:
        """Take *tokens* for *key*; False, and nothing taken, if there are not so many."""
        now = self._clock()
        left, at = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate_s)
        granted = left >= tokens
        self._buckets[key] = (left - tokens if granted else left, now)  # at the end: the order is that of use
        if len(self._buckets) > self._bound:
            self._prune(now)
        return granted

    def _prune(self, now: float) -> None:
        full = self._burst / self._rate_s
        kept = {key: bucket for key, bucket in self._buckets.items() if now - bucket[1] < full}
        excess = len(kept) - self._bound * 3 // 4
        for key in list(kept)[: max(0, excess)]:
            del kept[key]
        self._buckets = kept


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Connections at one time *per_address* and *per_network* (see `host_key`, `network_key`), new ones a minute, and in all."""

    per_address: int = 30
    per_network: int = 100
    per_minute: int = 300
    total: int = 10_000
    exempt: Collection[str] = LOOPBACK
    """Addresses that only *total* counts for."""


class ConnectionLimits:
    """Who is connected. Shared by all listeners of a process that should count together."""

    def __init__(self, settings: LimitSettings | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings or LimitSettings()
        self._rate = TokenBuckets(self.settings.per_minute / 60, self.settings.per_minute, clock=clock)
        self._counts: dict[str, int] = {}
        self.total = 0

    def enter(self, address: str) -> str:
        """Count a connection in and return "", or return why it may not come in (then it is not counted)."""
        settings = self.settings
        if self.total >= settings.total:
            return "server is full"
        if address != NOBODY and address not in settings.exempt:
            host, network = host_key(address), network_key(address)
            if not self._rate.take(host):
                return "too many connections a minute"
            if self._counts.get(host, 0) >= settings.per_address:
                return "too many connections from the address"
            if self._counts.get(network + "/", 0) >= settings.per_network:
                return "too many connections from the network"
            for key in (host, network + "/"):
                self._counts[key] = self._counts.get(key, 0) + 1
        self.total += 1
        return ""

    def leave(self, address: str) -> None:
        """The end of a connection that came in."""
        self.total -= 1
        if address == NOBODY or address in self.settings.exempt:
            return
        for key in (host_key(address), network_key(address) + "/"):
            left = self._counts[key] - 1
            if left:
                self._counts[key] = left
            else:
                del self._counts[key]
