"""Where our connections begin: from which of our addresses, with which name, or through which proxy.

A pool is a list of our addresses with shares; each attempt takes the next one, so that in the long run each has its share. An
address has its own EHLO name, which its PTR record should bear.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..model.queue import NextHop, Outcome
from ..net.socks import Proxy
from .hop import Hop, Origin
from .outcome import Undeliverable, deferred
from .pace import Backlog, Pace

DIRECT = "direct"
"""The name of no proxy, and of no pool: as the system does it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of our addresses in a pool."""

    origin: Origin
    share: int = 1
    per_minute: float | None = None
    """Messages that leave from it at most, as far as this worker is concerned; None: as many as there are."""


class _Turns:
    """Smooth weighted turns: of shares 3 and 1 it gives a, a, b, a. Who has had its messages of this minute is passed over."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = [member for member in members if member.share > 0]
        self._credit = [0] * len(self._members)
        self._paces = [Pace(member.per_minute) if member.per_minute else None for member in self._members]
        self._backlog = Backlog(sum(member.per_minute or 0 for member in self._members))

    @property
    def is_empty(self) -> bool:
        return not self._members

    def next(self, now: float | None = None) -> Origin | float:
        """Whose turn it is, or, when all have had their messages, in how many seconds to come again. *now* None: uncounted."""
        waits: list[float] = []
        turns = [credit + member.share for credit, member in zip(self._credit, self._members, strict=True)]
        for best in sorted(range(len(turns)), key=turns.__getitem__, reverse=True):
            pace = self._paces[best]
            wait_s = pace.take(now) if pace is not None and now is not None else 0
            if wait_s:
                waits.append(wait_s)
                continue
            turns[best] -= sum(member.share for member in self._members)
            self._credit = turns
            return self._members[best].origin
        assert now is not None, "only paces make wait"
        return self._backlog.place(min(waits), now)


@dataclass(frozen=True, slots=True)
class EgressSettings:
    pools: Mapping[str, Sequence[Member]] = field(default_factory=dict)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    pool: str = ""
    """For what names none; empty: the system chooses."""
    proxy: str = ""
    """For what names none; empty: no proxy."""
    pool_of: Mapping[str, str] = field(default_factory=dict)
    """By the recipients' domain."""
    proxy_of: Mapping[str, str] = field(default_factory=dict)


class Egress:
    def __init__(self, settings: EgressSettings | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._settings = settings or EgressSettings()
        self._turns = {
            (name, version): _Turns([member for member in members if (":" in member.origin.address) is (version == 6)])
            for name, members in self._settings.pools.items()
            for version in (4, 6)
        }

    def ways(self, hops: tuple[Hop, ...], domain: str, route: NextHop | None) -> tuple[Hop, ...]:
        """*hops* with where we begin; those that no address of the pool can reach are left out. Raises Undeliverable."""
        settings = self._settings
        proxy = (route.proxy if route else "") or settings.proxy_of.get(domain) or settings.proxy
        if proxy and proxy != DIRECT:
            return tuple(replace(hop, proxy=settings.proxies[proxy]) for hop in hops)
        pool = (route.pool if route else "") or settings.pool_of.get(domain) or settings.pool
        if not pool or pool == DIRECT:
            return hops
        found = self._from_pool(pool, hops)
        if not found:
            raise Undeliverable(_no_family(pool, hops))
        return found

    def _from_pool(self, pool: str, hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
        """Raises Undeliverable when the pool's addresses have sent what they may in this minute."""
        origins: dict[int, Origin] = {}
        now = self._monotonic()
        for version in dict.fromkeys(map(_version, hops)):
            turns = self._turns[pool, version]
            if turns.is_empty:
                continue
            # The first one that is tried is what counts.
            origin = turns.next(None if origins else now)
            if not isinstance(origin, Origin):
                text = f"the addresses of our pool {pool} have sent what they may in a minute"
                raise Undeliverable(replace(deferred("4.3.2", text), later_s=max(1, math.ceil(origin))))
            origins[version] = origin
        return tuple(replace(hop, origin=origins[_version(hop)]) for hop in hops if _version(hop) in origins)


def _version(hop: Hop) -> int:
    return 6 if ":" in hop.address else 4


def _no_family(pool: str, hops: tuple[Hop, ...]) -> Outcome:
    kind = "IPv6" if ":" in hops[0].address else "IPv4"
    return deferred("4.4.4", f"its mail hosts have only {kind} addresses, and our pool {pool} has none")
