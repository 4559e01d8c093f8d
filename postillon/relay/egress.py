"""Where our connections begin: from which of our addresses, with which name, or through which proxy.

A pool is a list of our addresses with shares; each attempt takes the next one, so that in the long run each has its share. An
address has its own EHLO name, which its PTR record should bear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..model.queue import NextHop, Outcome
from ..net.socks import Proxy
from .hop import Hop, Origin
from .outcome import Undeliverable, deferred

DIRECT = "direct"
"""The name of no proxy, and of no pool: as the system does it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of our addresses in a pool."""

    origin: Origin
    share: int = 1


class _Turns:
    """Smooth weighted turns: of shares 3 and 1 it gives a, a, b, a."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = [member for member in members if member.share > 0]
        self._credit = [0] * len(self._members)
        self._total = sum(member.share for member in self._members)

    def next(self) -> Origin | None:
        if not self._members:
            return None
        for number, member in enumerate(self._members):
            self._credit[number] += member.share
        best = max(range(len(self._members)), key=self._credit.__getitem__)
        self._credit[best] -= self._total
        return self._members[best].origin


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
    def __init__(self, settings: EgressSettings | None = None) -> None:
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
        origins = {version: self._turns[pool, version].next() for version in {4 if ":" not in hop.address else 6 for hop in hops}}
        found = tuple(
            replace(hop, origin=origin) for hop in hops if (origin := origins[6 if ":" in hop.address else 4]) is not None
        )
        if not found:
            raise Undeliverable(_no_family(pool, hops))
        return found


def _no_family(pool: str, hops: tuple[Hop, ...]) -> Outcome:
    kind = "IPv6" if ":" in hops[0].address else "IPv4"
    return deferred("4.4.4", f"its mail hosts have only {kind} addresses, and our pool {pool} has none")
