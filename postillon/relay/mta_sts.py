"""MTA-STS (RFC 8461): which mail hosts a domain has, and that they must prove it, as told over HTTPS and remembered.

A policy once seen holds until its max_age is over, whatever DNS or the web server say meanwhile: taking them away is the
attack that it protects against.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from ..log import Log
from ..message.tlsrpt import Failure, UsedPolicy
from ..net.http_client import HttpError, get
from ..seams import Clock, DnsStatus, Resolver
from .tls_outcomes import TlsOutcomes

log = Log("relay")

MAX_AGE = 31_557_600  # RFC 8461 §3.2
REFRESH_S = 86_400
"""A policy is fetched again after so long although its id is the same (RFC 8461 §3.3)."""
RETRY_S = 300
"""After a fetch that failed nobody asks again for so long."""
PREFIX = "mta-sts:"
PRUNED_AT_ONCE = 200
KEPT = 2000
"""Policies in memory; the others are read again from the store."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


class BadPolicy(ValueError):
    """What the web server gave is no policy."""


@dataclass(frozen=True, slots=True)
class Policy:
    mode: str
    """`enforce`, `testing` or `none`."""
    mx: tuple[str, ...]
    """Patterns in lower case; `*.` stands for one label."""
    max_age: int

    def allows(self, host: str) -> bool:
        """RFC 8461 §4.1: is *host* one of the domain's mail hosts?"""
        host = host.lower().rstrip(".")
        above = "*." + host.partition(".")[2]
        return any(pattern in (host, above) for pattern in self.mx)


@dataclass(frozen=True, slots=True)
class Known:
    """A policy as remembered."""

    id: str
    fetched: int
    policy: Policy

    def expires(self) -> int:
        return self.fetched + self.policy.max_age

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Known:
        value = json.loads(data)
        policy = value["policy"]
        return cls(value["id"], value["fetched"], Policy(policy["mode"], tuple(policy["mx"]), policy["max_age"]))


def record_id(records: tuple[str, ...]) -> str | None:
    """The id in the `_mta-sts` TXT records, or None: without exactly one valid record there is no (new) policy (§3.1)."""
    mine = [record for record in records if re.match(r"v=STSv1[ \t]*;", record)]
    if len(mine) != 1:
        return None
    for field in mine[0].split(";")[1:]:
        name, _, value = field.partition("=")
        if name.strip() == "id":
            return value.strip() if _ID.fullmatch(value.strip()) else None
    return None


def parse_policy(text: bytes) -> Policy:
    """RFC 8461 §3.2. Raises BadPolicy."""
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadPolicy("not UTF-8") from None
    found: dict[str, str] = {}
    patterns = []
    for name, colon, value in (line.partition(":") for line in lines if line.strip()):
        if not colon:
            raise BadPolicy("a line without a colon")
        if name.strip() == "mx":
            patterns.append(value.strip().rstrip("."))
        else:
            found.setdefault(name.strip(), value.strip())
    age = found.get("max_age", "")
    if found.get("version") != "STSv1":
        raise BadPolicy("not version STSv1")
    if found.get("mode") not in ("enforce", "testing", "none"):
        raise BadPolicy("unknown mode")
    if not (age.isascii() and age.isdigit() and len(age) <= 10):
        raise BadPolicy("bad max_age")
    if not all(map(_PATTERN.fullmatch, patterns)) or (not patterns and found["mode"] != "none"):
        raise BadPolicy("bad or missing mx")
    return Policy(found["mode"], tuple(pattern.lower() for pattern in patterns), min(int(age), MAX_AGE))


class Memory(Protocol):
    """Where policies outlive us: the store's settings."""

    async def setting(self, name: str) -> bytes | None: ...
    async def set_setting(self, name: str, value: bytes) -> None: ...
    async def settings_after(self, name: str, limit: int) -> list[tuple[str, bytes]]:
        """The next *limit* ones by name past *name*."""
        ...

    async def remove_setting(self, name: str, value: bytes) -> None:
        """Unless it has another value by now."""
        ...


Fetch = Callable[[str], Awaitable[bytes]]
"""The text of a domain's policy. Raises HttpError."""


class StsPolicies:
    """What is known of domains' policies. `of` never raises for anybody's faults."""

    def __init__(
        self, *, resolver: Resolver, fetch: Fetch, memory: Memory, clock: Clock, outcomes: TlsOutcomes | None = None
    ) -> None:
        """*outcomes* counts policies that could not be had."""
        self._outcomes = outcomes
        self._resolver = resolver
        self._fetch = fetch
        self._memory = memory
        self._clock = clock
        self._known: OrderedDict[str, Known | None] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Known | None]] = {}
        self._pruned = ""
        """How far `prune` has come."""
        self._failed: OrderedDict[str, int] = OrderedDict()
        """When a fetch failed last."""

    async def of(self, domain: str) -> Policy | None:
        """The policy to follow for mail to *domain*; None: there is none, or one of mode `none`."""
        answer = await self._resolver.txt(f"_mta-sts.{domain}")
        known = await self._remembered(domain)
        new_id = record_id(tuple(map(str, answer.records))) if answer.status is DnsStatus.OK else None
        if new_id is not None and self._is_to_fetch(known, new_id, domain):
            known = await self._fetched(domain, new_id) or known
        if known is None or known.policy.mode == "none":
            return None
        return known.policy

    async def prune(self) -> int:
        """A step of the janitor's: look at the next policies that are remembered, and forget those that are over; how many."""
        after = self._pruned or PREFIX
        found = [one for one in await self._memory.settings_after(after, PRUNED_AT_ONCE) if one[0].startswith(PREFIX)]
        self._pruned = found[-1][0] if len(found) == PRUNED_AT_ONCE else ""
        now, removed = self._clock.now(), 0
        for name, value in found:
            if _is_over(value, now):
                await self._memory.remove_setting(name, value)
                self._known.pop(name.removeprefix(PREFIX), None)
                removed += 1
        return removed

    def _is_to_fetch(self, known: Known | None, new_id: str, domain: str) -> bool:
        now = self._clock.now()
        if now < self._failed.get(domain, -RETRY_S) + RETRY_S:
            return False
        return known is None or known.id != new_id or now >= known.fetched + REFRESH_S

    async def _remembered(self, domain: str) -> Known | None:
        """What was fetched and still holds."""
        if domain not in self._known:
            data = await self._memory.setting(_setting(domain))
            self._keep(domain, Known.decode(data) if data else None)
        known = self._known[domain]
        return known if known is not None and self._clock.now() < known.expires() else None

    def _keep(self, domain: str, known: Known | None) -> None:
        self._known[domain] = known
        self._known.move_to_end(domain)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)

    async def _fetched(self, domain: str, new_id: str) -> Known | None:
        """Fetch and remember; one at a time for each domain. None if that fails."""
        flight = self._flights.get(domain)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._fly(domain, new_id))
            self._flights[domain] = flight
            flight.add_done_callback(lambda _: self._flights.pop(domain, None))
        return await asyncio.shield(flight)

    async def _fly(self, domain: str, new_id: str) -> Known | None:
        try:
            policy = parse_policy(await self._fetch(domain))
        except (HttpError, BadPolicy) as error:
            log.warning("MTA-STS policy not fetched", domain=domain, reason=str(error))
            if self._outcomes is not None:
                self._outcomes.note(domain, UsedPolicy("sts"), Failure(_result(error), reason=str(error)[:100]))
            self._failed[domain] = self._clock.now()
            if len(self._failed) > KEPT:
                self._failed.popitem(last=False)
            return None
        known = Known(new_id, self._clock.now(), policy)
        self._failed.pop(domain, None)
        self._keep(domain, known)
        await self._memory.set_setting(_setting(domain), known.encode())
        log.info("MTA-STS policy fetched", domain=domain, mode=policy.mode, hosts=" ".join(policy.mx), max_age=policy.max_age)
        return known


def _result(error: Exception) -> str:
    """RFC 8460 §4.3.2.2."""
    if isinstance(error, BadPolicy):
        return "sts-policy-invalid"
    return "sts-webpki-invalid" if isinstance(error.__cause__, ssl.SSLCertVerificationError) else "sts-policy-fetch-error"


def _setting(domain: str) -> str:
    return f"{PREFIX}{domain}"


def _is_over(value: bytes, now: int) -> bool:
    try:
        return Known.decode(value).expires() <= now
    except (ValueError, KeyError, TypeError):
        return True


class PolicyFetcher:
    """Fetches policies from `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` (RFC 8461 §3.3), at public addresses only."""

    def __init__(self, *, resolver: Resolver, context: ssl.SSLContext, port: int, is_allowed: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._context = context
        self._port = port
        self._is_allowed = is_allowed

    async def __call__(self, domain: str) -> bytes:
        host = f"mta-sts.{domain}"
        answer = await self._resolver.addresses(host)
        addresses = [str(address) for address in answer.records if self._is_allowed(str(address))]
        if not addresses:
            raise HttpError(f"{host}: {'its address is not public' if answer.records else answer.status.value}")
        found = await get(host, "/.well-known/mta-sts.txt", port=self._port, addresses=addresses, context=self._context)
        if found.media_type != "text/plain":
            raise HttpError(f"{host}: the policy is {found.media_type or 'of no type'}, not text/plain")
        return found.body
