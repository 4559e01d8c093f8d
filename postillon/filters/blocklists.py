"""DNS blocklists and allowlists (RFC 5782): any zone, with a score for each and for each of its answers.

Zones are asked at the same time. One that answers everything, answers outside of 127.0.0.0/8, says that it refuses to serve us,
or does not answer at all, is told to the log and left alone for a while: no mail suffers from a list that has died.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..log import Log
from ..mailauth.names import canonical
from ..mailauth.result import Result
from ..message.encoded_words import decode_parameters
from ..model.ip import ip_of
from ..model.verdict import NO_OPINION, Finding, Opinion, finding
from ..seams import Answer, DnsStatus, Resolver
from .examined import Examined, address_text
from .links import links_of

log = Log("blocklists")

ADDRESS, HELO, SENDER, DKIM, LINKS, MAILS, FILES = "address", "helo", "sender", "dkim", "links", "mails", "files"
WHATS = (ADDRESS, HELO, SENDER, DKIM, LINKS, MAILS, FILES)
REST_S = 600.0
"""How long a zone is left alone that answers wrongly."""
FAILURES = 5
"""So many questions in a row without an answer, and it is left alone."""
PROBE_S = 3600.0
"""How often we ask a zone about its test entries."""
MAX_DOMAINS = 20
MAX_PARENTS = 3
MAX_MAILS, MAX_FILES, MAX_FILE = 5, 10, 8 << 20
_TESTS = {True: ("1.0.0.127", "2.0.0.127"), False: ("invalid", "test")}
"""RFC 5782 §5: of a list of addresses, and of one of domains: what it must not list, and what it must."""


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    score: float = 3.0
    """Above 0 for a blocklist, below for an allowlist."""
    codes: Mapping[str, float] = field(default_factory=dict)
    """Answer → score: `127.0.0.2`, `127.0.0.4-7`, `127.0.*.3`. Where there are any, other answers mean nothing."""
    checks: tuple[str, ...] = (ADDRESS,)
    """What is looked up there: some of WHATS."""
    hash: str = "sha1"
    """How MAILS and FILES are looked up: `sha1` or `md5` in hexadecimal, `sha256` in base 32."""

    @property
    def is_of_addresses(self) -> bool:
        return ADDRESS in self.checks

    def score_of(self, answers: Iterable[str]) -> tuple[float, str]:
        """(score, answer) of the weightiest of *answers*."""
        found = [(self._score(answer), answer) for answer in answers]
        return max(found, key=lambda one: abs(one[0]))

    def _score(self, answer: str) -> float:
        if not self.codes:
            return self.score
        return next((score for pattern, score in self.codes.items() if matches(pattern, answer)), 0.0)


def matches(pattern: str, answer: str) -> bool:
    """Does `127.0.*.4-7` name the IPv4 address *answer*? Raises ValueError for what is no pattern."""
    parts = pattern.split(".")
    if len(parts) != 4:
        raise ValueError(f"{pattern!r} is no answer like 127.0.0.2")
    ranges = [(0, 255) if part == "*" else _range(part) for part in parts]
    return all(low <= int(octet) <= high for (low, high), octet in zip(ranges, answer.split("."), strict=True))


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    return int(low), int(high if dash else low)


@dataclass(frozen=True, slots=True)
class Listing:
    """A zone knows something."""

    zone: str
    what: str
    """One of WHATS."""
    subject: str
    answer: str
    score: float

    @property
    def finding(self) -> Finding:
        kind = "dnswl.listed" if self.score < 0 else "dnsbl.listed" if self.what == ADDRESS else "rhsbl.listed"
        if self.what in (MAILS, FILES):
            kind = "hashbl.listed"
        return finding(kind, self.score, zone=self.zone, subject=self.subject, answer=self.answer)


class _Health:
    """What we think of a zone."""

    def __init__(self) -> None:
        self.rests_until = 0.0
        self.probed_at = float("-inf")
        self.failures = 0
        self.probing: asyncio.Task[None] | None = None


class Blocklists:
    """*zones* asked by *resolver*, each question at most *time_s* seconds. *now*: seconds on a clock that only goes forward."""

    def __init__(
        self, *, resolver: Resolver, zones: Iterable[Zone], time_s: float = 5.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolver = resolver
        self._zones = tuple(zones)
        self._time_s = time_s
        self._now = now
        self._health = {zone.name: _Health() for zone in self._zones}

    def __bool__(self) -> bool:
        return bool(self._zones)

    def asks(self, what: str) -> bool:
        """Is there a zone for that?"""
        return any(what in zone.checks for zone in self._zones)

    async def of_address(self, address: str) -> list[Listing]:
        """What zones know of the IP *address*; nothing for what is none."""
        name = reversed_name(address)
        return await self._ask([(zone, ADDRESS, address, name) for zone in self._zones if ADDRESS in zone.checks and name])

    async def of_domains(self, what: str, domains: Iterable[str]) -> list[Listing]:
        """What zones know of *domains* (as they come), and of the names above them; *what* is one of WHATS."""
        if not self.asks(what):
            return []
        names = list(dict.fromkeys(name for domain in domains if (name := canonical(domain)) and "." in name))[:MAX_DOMAINS]
        found = await self._ask(
            [(zone, what, name, each) for zone in self._zones if what in zone.checks for name in names for each in _upwards(name)]
        )
        unique: dict[tuple[str, str], Listing] = {}
        for one in found:
            unique.setdefault((one.zone, one.subject), one)
        return list(unique.values())

    async def of_digests(self, what: str, subjects: Mapping[str, bytes]) -> list[Listing]:
        """What zones know of some octets, by their hash; *subjects*: what they are called → the octets."""
        return await self._ask(
            [
                (zone, what, subject, digest(zone.hash, octets))
                for zone in self._zones
                if what in zone.checks
                for subject, octets in subjects.items()
            ]
        )

    async def _ask(self, questions: list[tuple[Zone, str, str, str]]) -> list[Listing]:
        if not questions:
            return []
        found = await asyncio.gather(*(self._one(*question) for question in questions))
        return [one for one in found if one is not None]

    async def _one(self, zone: Zone, what: str, subject: str, name: str) -> Listing | None:
        if not await self._is_usable(zone):
            return None
        answer = await self._addresses(f"{name}.{zone.name}")
        if not self._is_sane(zone, answer):
            return None
        score, code = zone.score_of(map(str, answer.records))
        return Listing(zone.name, what, subject, code, score) if score else None

    async def _addresses(self, name: str) -> Answer:
        try:
            async with asyncio.timeout(self._time_s):
                return await self._resolver.addresses(name, ipv6=False)
        except TimeoutError:
            return Answer(DnsStatus.TIMEOUT)

    # --- what a zone is worth

    async def _is_usable(self, zone: Zone) -> bool:
        health, now = self._health[zone.name], self._now()
        if health.rests_until > now:
            return False
        if health.probed_at + PROBE_S <= now:
            if health.probing is None:
                health.probing = asyncio.create_task(self._probe(zone, health))
            await asyncio.shield(health.probing)
        return health.rests_until <= now

    async def _probe(self, zone: Zone, health: _Health) -> None:
        """A list of everything lists the loopback address or `invalid`, too."""
        try:
            innocent, test = _TESTS[zone.is_of_addresses]
            clean, listed = await asyncio.gather(
                self._addresses(f"{innocent}.{zone.name}"), self._addresses(f"{test}.{zone.name}")
            )
            health.probed_at = self._now()
            if clean.records:
                self._rest(zone, f"it lists {innocent}, so it may list everything")
            elif listed.status in (DnsStatus.NXDOMAIN, DnsStatus.NODATA):
                log.warning("blocklist without its test entry", zone=zone.name, reason=f"{test} is not listed (RFC 5782 §5)")
            else:
                self._is_sane(zone, listed)
        finally:
            health.probing = None

    def _is_sane(self, zone: Zone, answer: Answer) -> bool:
        """Does *answer* say that something is listed? What no list should answer is noticed."""
        health = self._health[zone.name]
        if answer.is_temporary:
            health.failures += 1
            if health.failures >= FAILURES:
                self._rest(zone, f"no answer {health.failures} times in a row ({answer.status.value})")
            return False
        health.failures = 0
        if not answer.records:
            return False
        strange = next((text for text in map(str, answer.records) if not text.startswith("127.")), "")
        # RFC 5782 §2.1: 127.0.0.1 is never an entry. 127.255.255.x is how lists tell that they do not serve us.
        blocked = next((text for text in map(str, answer.records) if text == "127.0.0.1" or text.startswith("127.255.")), "")
        if strange or blocked:
            self._rest(zone, f"it answers {strange or blocked}: " + ("no list does" if strange else "it may refuse to serve us"))
            return False
        return True

    def _rest(self, zone: Zone, reason: str) -> None:
        health = self._health[zone.name]
        health.failures = 0
        if health.rests_until <= self._now():
            log.warning("blocklist ignored for a while", zone=zone.name, reason=reason, seconds=int(REST_S))
        health.rests_until = self._now() + REST_S


def digest(kind: str, octets: bytes) -> str:
    """The label under which a zone has the hash of *octets*."""
    if kind == "sha256":  # in hexadecimal it is one letter longer than a label may be
        return base64.b32encode(hashlib.sha256(octets).digest()).decode().rstrip("=").lower()
    return hashlib.new(kind, octets, usedforsecurity=False).hexdigest()


def reversed_name(address: str) -> str:
    """`4.3.2.1` for 1.2.3.4, nibbles for IPv6 (RFC 5782 §2.4); empty for what is no address."""
    try:
        ip = ip_of(address.partition("%")[0])
    except ValueError:
        return ""
    return ip.reverse_pointer.rpartition(".")[0].rpartition(".")[0]


def _upwards(name: str) -> list[str]:
    """*name* and the names above it that still have a dot, the nearest first."""
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)][-MAX_PARENTS:]


def total(found: Iterable[Listing]) -> float:
    return sum(one.score for one in found)


class BlocklistFilter:
    """Findings of all zones: the connecting host, its EHLO name, the sender's domain, those that signed, and those of links."""

    name = "blocklists"
    is_local = False

    def __init__(self, blocklists: Blocklists) -> None:
        self._blocklists = blocklists

    async def examine(self, examined: Examined) -> Opinion:
        client, sender, lists = examined.incoming.client, examined.incoming.envelope.sender, self._blocklists
        found = await asyncio.gather(
            lists.of_address(client.address),
            lists.of_domains(HELO, [client.hello]),
            lists.of_domains(SENDER, [sender.domain] if sender else []),
            self._signers(examined),
            self._linked(examined),
            self._hashed(examined),
        )
        listings = [one for some in found for one in some]
        return Opinion(tuple(one.finding for one in listings)) if listings else NO_OPINION

    async def _hashed(self, examined: Examined) -> list[Listing]:
        found = await self._blocklists.of_digests(MAILS, mails(examined)) if self._blocklists.asks(MAILS) else []
        if self._blocklists.asks(FILES):
            found += await self._blocklists.of_digests(FILES, await asyncio.to_thread(files, examined))
        return found

    async def _linked(self, examined: Examined) -> list[Listing]:
        if not self._blocklists.asks(LINKS):
            return []
        return await self._blocklists.of_domains(LINKS, [one.host for one in links_of(examined) if not one.is_numeric])

    async def _signers(self, examined: Examined) -> list[Listing]:
        if not self._blocklists.asks(DKIM):
            return []
        verdict = await examined.authenticated()
        passed = [one.domain for one in verdict.dkim if one.result is Result.PASS] if verdict else []
        return await self._blocklists.of_domains(DKIM, passed)


def mails(examined: Examined) -> dict[str, bytes]:
    """Addresses that an answer could go to: From, Reply-To, the envelope's sender; in lower case."""
    sender = examined.incoming.envelope.sender
    found = [address_text(one) for name in (b"from", b"reply-to") for one in examined.addresses(name)[:MAX_MAILS] if one.domain]
    found += [str(sender).lower()] if sender is not None else []
    return {address: address.encode("utf-8", "replace") for address in found}


def files(examined: Examined) -> dict[str, bytes]:
    """Attached files, decoded, by the names they give themselves. Takes time with their size."""
    found: dict[str, bytes] = {}
    for part in examined.leaves:
        if part.type not in (b"text", b"multipart") and part.size <= MAX_FILE and len(found) < MAX_FILES:
            name = decode_parameters(part.disposition_params).get("filename") or decode_parameters(part.params).get("name", "")
            found[name or f"file {len(found) + 1}"] = examined.decoded(part, MAX_FILE)
    return found
