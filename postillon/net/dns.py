"""The resolver: a stub that asks a few recursive servers, with a cache (RFC 1034 §5.3.1, RFC 2308, RFC 9520).

Against forged answers each query has a random port and id and a random mixture of cases, and only an answer that repeats
all of them counts; one that repeats only some is asked for again over TCP. The AD bit is believed from servers on loopback
or declared trusted, and from no others; a validating resolver beside us is what we recommend. No search lists, no hosts
file: mail domains are complete names.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..log import Log
from ..seams import Answer, DnsStatus
from . import dns_wire as wire
from .dns_exchange import Server, exchange

log = Log("dns")

MAX_CNAMES = 8
MAX_TTL = 86_400
NEGATIVE_TTL = 300
"""The most seconds that a "no" is believed, whatever the zone says (RFC 2308 §5): somebody may be setting up their mail."""
FAILURE_TTL = 5
"""Seconds that a failure is remembered (RFC 9520 §2.2), so that a burst of mail does not wait for each of them."""
CONCURRENT = 200
"""Queries on their way at one time; each holds a socket."""
# RFC 8914 §4: what a validating resolver says when the signatures are wrong.
_BOGUS = {1, 2, 5, 6, 7, 8, 9, 10, 11, 12}


@dataclass(frozen=True, slots=True)
class DnsSettings:
    timeout_s: float = 2.0
    """For one packet, in the first round; the next rounds wait longer."""
    attempts: int = 2
    """Rounds through all servers."""
    budget_s: float = 15.0
    """For one question with all its rounds and aliases."""
    cache_size: int = 10_000
    trusted: bool | None = None
    """Believe the AD bit: of all servers, of none, or (None) of those on loopback."""


class DnsResolver:
    """Asks *servers* in order, preferring the one that answered last. A `seams.Resolver`; never raises for DNS's faults."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        settings: DnsSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = [Server(*server) for server in servers]
        self._settings = settings or DnsSettings()
        self._cache = _Cache(self._settings.cache_size, clock)
        self._flights: dict[tuple[str, int], asyncio.Task[Answer]] = {}
        self._gate = asyncio.Semaphore(CONCURRENT)

    @classmethod
    def from_system(cls, path: str | Path = "/etc/resolv.conf", *, trusted: bool | None = None) -> DnsResolver:
        """The resolver that resolv.conf(5) names. A file without servers, or none, means the one on this machine.

        *trusted* as in DnsSettings; None also leaves it to the file's `trust-ad`.
        """
        servers: list[tuple[str, int]] = []
        options: dict[str, str] = {}
        try:
            lines = Path(path).read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            lines = []
        for words in (line.split("#")[0].split(";")[0].split() for line in lines):
            if words[:1] == ["nameserver"] and len(words) > 1 and _is_address(words[1]):
                servers.append((words[1], 53))
            elif words[:1] == ["options"]:
                options |= {name: value for name, _, value in (word.partition(":") for word in words[1:])}
        settings = DnsSettings(
            timeout_s=min(10.0, max(1.0, float(_number(options.get("timeout", ""), 2)))),
            attempts=min(5, max(1, _number(options.get("attempts", ""), 2))),
            trusted=True if trusted is None and "trust-ad" in options else trusted,
        )
        return cls(servers[:3] or [("127.0.0.1", 53)], settings)

    async def close(self) -> None:
        """Give up all questions under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def txt(self, name: str) -> Answer:
        """Text records, the strings of each put together; octets that are not UTF-8 are surrogate escapes."""
        return await self._lookup(name, wire.TXT)

    async def mx(self, name: str) -> Answer:
        """(preference, host) by preference; a null MX (RFC 7505) is one record with an empty host."""
        answer = await self._lookup(name, wire.MX)
        return replace(answer, records=tuple(sorted(answer.records)))

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        """A and AAAA as text, IPv4 first. One of the two failing matters only if the other has nothing."""
        if _is_localhost(name):
            return _localhost(name, ipv6, ipv4)
        kinds = [kind for kind, wanted in ((wire.A, ipv4), (wire.AAAA, ipv6)) if wanted]
        return _joined(name, await asyncio.gather(*(self._lookup(name, kind) for kind in kinds)))

    async def ptr(self, address: str) -> Answer:
        """Names for an IP address. Raises ValueError if it is none."""
        return await self._lookup(ipaddress.ip_address(address).reverse_pointer, wire.PTR)

    async def tlsa(self, name: str) -> Answer:
        """(usage, selector, matching type, data) at *name* (`_25._tcp.mail.example.org`), RFC 6698."""
        return await self._lookup(name, wire.TLSA)

    async def _lookup(self, name: str, kind: int) -> Answer:
        name = name.lower().removesuffix(".")
        try:
            wire.wire_name(name)
        except wire.BadName:
            return Answer(DnsStatus.NXDOMAIN, name=name)
        key = (name, kind)
        known = self._cache.get(key)
        if known is not None:
            return known
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._fly(key))
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        # One who gives up does not take the answer away from the others who wait for it.
        return await asyncio.shield(flight)

    async def _fly(self, key: tuple[str, int]) -> Answer:
        try:
            async with asyncio.timeout(self._settings.budget_s):
                answer = await self._resolve(*key)
        except TimeoutError:
            answer = Answer(DnsStatus.TIMEOUT, name=key[0], ttl=FAILURE_TTL)
        if answer.is_temporary:
            log.debug("question failed", name=key[0], type=key[1], status=answer.status.value)
        self._cache.put(key, answer)
        return answer

    async def _resolve(self, name: str, kind: int) -> Answer:
        """Ask, and ask again for where an alias leads if the answer does not say (RFC 1034 §3.6.2)."""
        target, secure, ttl, links = name, True, MAX_TTL, 0
        while True:
            status, message, trusted = await self._ask(target, kind)
            if message is None:
                return Answer(status, name=target, ttl=FAILURE_TTL)
            start = target
            chain = _follow(message.answers, target, kind)
            links += len(chain.aliases)
            if links > MAX_CNAMES:
                return Answer(DnsStatus.SERVFAIL, name=name, ttl=FAILURE_TTL)
            target = chain.target
            secure = secure and trusted and message.authentic
            ttl = min([ttl, *chain.ttls])
            if chain.records:
                return Answer(DnsStatus.OK, chain.records, target, secure, ttl)
            negative = _negative_ttl(message.authority)
            if message.rcode == wire.NXDOMAIN or target == start or negative is not None:
                status = DnsStatus.NXDOMAIN if message.rcode == wire.NXDOMAIN else DnsStatus.NODATA
                return Answer(status, (), target, secure, min(ttl, negative or 0))

    async def _ask(self, name: str, kind: int) -> tuple[DnsStatus, wire.Message | None, bool]:
        """One question to the servers until one gives an answer: (status, its message, whether its AD bit counts)."""
        status = DnsStatus.TIMEOUT
        for attempt in range(self._settings.attempts):
            silent = False
            for server in tuple(self._servers):
                try:
                    async with self._gate:
                        message = await exchange(server, name, kind, self._settings.timeout_s * (attempt + 1))
                except TimeoutError:
                    silent = True
                    continue
                except (OSError, wire.BadMessage) as error:
                    log.debug("server failed", server=server.host, name=name, reason=str(error) or type(error).__name__)
                    status, silent = DnsStatus.SERVFAIL, True
                    continue
                if message.rcode in (wire.NOERROR, wire.NXDOMAIN):
                    self._prefer(server)
                    return DnsStatus.OK, message, self._is_trusted(server)
                if self._is_trusted(server) and _BOGUS.intersection(message.errors):
                    return DnsStatus.BOGUS, None, True
                status = DnsStatus.SERVFAIL
            if not silent:  # all of them said no; they will say it again
                break
        return status, None, False

    def _prefer(self, server: Server) -> None:
        if self._servers[0] != server:
            self._servers.remove(server)
            self._servers.insert(0, server)

    def _is_trusted(self, server: Server) -> bool:
        if self._settings.trusted is None:
            return ipaddress.ip_address(server.host).is_loopback
        return self._settings.trusted


class _Chain(NamedTuple):
    target: str
    aliases: tuple[str, ...]
    records: tuple[Any, ...]
    ttls: tuple[int, ...]


def _follow(answers: Sequence[wire.Record], name: str, kind: int) -> _Chain:
    """The records of *kind* at the end of the aliases that begin at *name*. Records that lie elsewhere are not looked at."""
    aliases: list[str] = []
    ttls: list[int] = []
    while len(aliases) <= MAX_CNAMES:
        found = [record for record in answers if record.type == kind and record.name == name]
        if found:
            values = dict.fromkeys(record.value for record in found)
            return _Chain(name, tuple(aliases), tuple(values), (*ttls, *(record.ttl for record in found)))
        alias = next((record for record in answers if record.type == wire.CNAME and record.name == name), None)
        if alias is None:
            break
        name = alias.value
        aliases.append(name)
        ttls.append(alias.ttl)
    return _Chain(name, tuple(aliases), (), tuple(ttls))


def _negative_ttl(authority: Sequence[wire.Record]) -> int | None:
    """RFC 2308 §5; None where there is no SOA record, and the "no" must not be cached."""
    for record in authority:
        if record.type == wire.SOA:
            return min(record.ttl, int(record.value), NEGATIVE_TTL)
    return None


class _Cache:
    """Answers until their TTL is over, the least recently used leave first."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[tuple[str, int], tuple[Answer, float]] = OrderedDict()

    def get(self, key: tuple[str, int]) -> Answer | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        answer, expires = entry
        left = expires - self._clock()
        if left <= 0:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return replace(answer, ttl=int(left))

    def put(self, key: tuple[str, int], answer: Answer) -> None:
        if answer.ttl <= 0:
            return
        self._entries[key] = (answer, self._clock() + answer.ttl)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _joined(name: str, answers: Sequence[Answer]) -> Answer:
    """A and AAAA as one answer: records if there are any, else a failure if there was one, else no."""
    found = [answer for answer in answers if answer.records]
    if found:
        records = tuple(record for answer in found for record in answer.records)
        secure = all(answer.secure for answer in found)
        return Answer(DnsStatus.OK, records, found[0].name, secure, min(answer.ttl for answer in found))
    order = (DnsStatus.BOGUS, DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.NODATA, DnsStatus.NXDOMAIN)
    return min(answers, key=lambda answer: order.index(answer.status), default=Answer(DnsStatus.NODATA, name=name))


def _is_localhost(name: str) -> bool:
    """RFC 6761 §6.3: never asked for outside."""
    name = name.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")


def _localhost(name: str, ipv6: bool, ipv4: bool) -> Answer:
    records = (("127.0.0.1",) if ipv4 else ()) + (("::1",) if ipv6 else ())
    return Answer(DnsStatus.OK if records else DnsStatus.NODATA, records, name, False, MAX_TTL)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else otherwise
