"""Small kinds of the seams for tests: real objects, only smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from postillon.model.address import Address
from postillon.model.ids import AccountId
from postillon.seams import Answer, DnsStatus, FindKind, Found

Records = Mapping[str, Sequence[Any]]


@dataclass
class TableResolver:
    """`seams.Resolver` from a table: name -> {"mx"|"a"|"aaaa"|"txt"|"ptr"|"tlsa": records}, or name -> a status.

    A name that is not there does not exist; one without records of the type asked for has no data. `status` overrides a
    single type: {"mx": DnsStatus.SERVFAIL}. *asked* keeps what was asked, in order.
    """

    table: Mapping[str, Mapping[str, Any] | DnsStatus] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def _answer(self, name: str, *kinds: str) -> Answer:
        self.asked.append((kinds[0], name))
        found = self.table.get(name.lower().rstrip("."), DnsStatus.NXDOMAIN)
        if isinstance(found, DnsStatus):
            return Answer(found, name=name)
        records: list[Any] = []
        for kind in kinds:
            entry = found.get(kind, ())
            if isinstance(entry, DnsStatus):
                return Answer(entry, name=name)
            records += entry
        return Answer(DnsStatus.OK if records else DnsStatus.NODATA, tuple(records), name, ttl=60)

    async def txt(self, name: str) -> Answer:
        return self._answer(name, "txt")

    async def mx(self, name: str) -> Answer:
        return self._answer(name, "mx")

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        return self._answer(name, *(kind for kind, wanted in (("a", ipv4), ("aaaa", ipv6)) if wanted))

    async def ptr(self, address: str) -> Answer:
        return self._answer(address, "ptr")

    async def tlsa(self, name: str) -> Answer:
        return self._answer(name, "tlsa")


@dataclass
class FixedClock:
    """`seams.Clock` that stands until it is set."""

    at: int = 1_700_000_000

    def now(self) -> int:
        return self.at


@dataclass
class TableDirectory:
    """The part of `seams.Directory` that finds: address -> accounts (ints) and foreign addresses (text); domains are ours."""

    table: Mapping[str, Sequence[int | str]] = field(default_factory=dict)

    async def find(self, address: Address) -> Found:
        if address.domain not in {name.partition("@")[2] for name in self.table}:
            return Found(FindKind.FOREIGN)
        targets = self.table.get(address.key)
        if targets is None:
            return Found(FindKind.UNKNOWN)
        accounts = tuple(AccountId(target) for target in targets if isinstance(target, int))
        remote = tuple(Address.parse(target) for target in targets if isinstance(target, str))
        return Found(FindKind.LOCAL, accounts, remote)
