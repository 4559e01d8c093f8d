"""What others report about mail in our domains' names, as counts by sender, and which step of policy is safe next."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from ..log import Log
from ..mailauth.aggregate import BadAggregate, Feedback, Row, read
from ..mailauth.names import canonical, is_within
from ..mailauth.senders import provider
from ..message.report_parts import ReportPart
from ..seams import Clock, Database, Resolver, Tx
from ..storage.store import limits, tallies
from ..storage.store.tallies import Kind, Tally

DAY = 86_400
KEEP_DAYS = 400
REMEMBER_S = 40 * DAY
"""How long a report is known, so that it counts once."""
OLDEST_S = 40 * DAY
NAMES = 50
"""Senders of one report whose address is asked for its name."""
NAMES_S = 10.0
MAX_TALLIES = 50_000
MAX_SENDERS = 500
"""Of one report; the others are counted together."""
OTHERS = "(others)"
_DOMAIN = re.compile(rb"<(?:\w{1,20}:)?domain>\s{0,20}([^<\s]{1,255})")
HEAD = 16 * 1024
"""Octets in which a report says what domain it is about."""
ENOUGH_DAYS = 14
ENOUGH = 0.98
"""So much of the mail that somebody answers for must be aligned before a stricter policy is safe."""
log = Log("dmarc")


class Heard(msgspec.Struct, array_like=True, frozen=True):
    """What is counted."""

    sender: str
    """Who sent it: a provider's name, a domain, or a network."""
    dkim: bool
    spf: bool
    answers: bool
    """It is authenticated as somebody, if not as our domain: a service or a forwarder, hardly a forger."""
    disposition: str
    policy: str
    reporter: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Heard).decode


class DmarcHeard:
    """*is_ours* tells whether a domain is served here: reports about others are not kept."""

    def __init__(self, *, side: Database, resolver: Resolver, clock: Clock, is_ours: Callable[[str], Awaitable[bool]]) -> None:
        self._side = side
        self._resolver = resolver
        self._clock = clock
        self._is_ours = is_ours

    async def take(self, part: ReportPart, reporter: str) -> bool:
        """`report_inbox.Read`. Raises BadAggregate."""
        octets = part.octets.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not octets.startswith(b"<") or b"<feedback" not in octets[:4096]:
            return False
        about = _DOMAIN.search(octets[:HEAD])
        if about is None or not await self._is_known(about[1].decode("ascii", "replace").lower().rstrip(".")):
            raise BadAggregate("it is about no domain of ours")  # known before the rest is looked at, which may be much
        feedback = await asyncio.to_thread(read, octets)
        await self.count(feedback, reporter or feedback.organization)
        return True

    async def count(self, feedback: Feedback, reporter: str) -> bool:
        """Count what *reporter* says; False if it did before. Raises BadAggregate."""
        domain, now = canonical(feedback.published.domain), self._clock.now()
        if domain is None or not await self._is_known(domain):
            raise BadAggregate(f"it is about {feedback.published.domain[:100]}, which is no domain of ours")
        if not now - OLDEST_S < feedback.end <= now + DAY:
            raise BadAggregate("it is about another time")
        key = b"H" + hashlib.blake2b(f"{reporter} {feedback.report_id} {domain}".encode(), digest_size=15).digest()
        names = await self._names(feedback.rows)
        # A day that is far away would be counted, and never forgotten.
        day = (feedback.begin if now - OLDEST_S < feedback.begin <= feedback.end else feedback.end) // DAY
        rows = [_heard(row, names, feedback.published.p, reporter) for row in feedback.rows if row.count > 0]
        counted = [Tally(day, domain, facts, count) for facts, count in _fewest(rows)]

        def work(tx: Tx) -> bool:
            is_new = limits.claim(tx, key, now, now + REMEMBER_S)
            if is_new:
                tallies.add(tx, Kind.DMARC_HEARD, counted)
            return is_new

        if not await self._side.write(work, heavy=len(counted) > 100):
            return False
        log.info("report taken", domain=domain, reporter=reporter, rows=len(counted), report=feedback.report_id[:100])
        return True

    async def _is_known(self, domain: str) -> bool:
        labels = domain.split(".")
        return any([await self._is_ours(".".join(labels[at:])) for at in range(max(len(labels) - 1, 1))])

    async def _names(self, rows: Iterable[Row]) -> dict[str, str]:
        """Reverse names of sources that no result names."""
        wanted = list(dict.fromkeys(row.source for row in rows if not _authenticated(row)))[:NAMES]
        found: dict[str, str] = {}

        async def ask(source: str) -> None:
            try:
                address = str(ipaddress.ip_address(source))
            except ValueError:
                return
            answer = await self._resolver.ptr(address)
            if answer.records:
                found[source] = str(answer.records[0]).lower().rstrip(".")

        try:
            async with asyncio.timeout(NAMES_S):
                await asyncio.gather(*map(ask, wanted))
        except TimeoutError:
            pass
        return found

    async def summary(self, days: int, domain: str = "") -> list[DomainSummary]:
        """What was reported for the last *days*, by domain; of all domains, or of one and those below it."""
        first = self._clock.now() // DAY - days
        found = await self._side.read(lambda tx: tallies.since(tx, Kind.DMARC_HEARD, first, MAX_TALLIES))
        return await asyncio.to_thread(_summed, [one for one in found if not domain or is_within(one.domain, domain)])

    async def prune(self) -> int:
        """Remove what is old, some at a time; for the janitor."""
        before = self._clock.now() // DAY - KEEP_DAYS
        return await self._side.write(lambda tx: tallies.prune(tx, Kind.DMARC_HEARD, before))


def _summed(found: Iterable[Tally]) -> list[DomainSummary]:
    summaries: dict[str, DomainSummary] = {}
    for one in found:
        summaries.setdefault(one.domain, DomainSummary(one.domain)).add(one)
    return list(summaries.values())


def _authenticated(row: Row) -> str:
    """The domain that the row's mail is authenticated as, whether aligned or not."""
    passed = [one.domain for one in row.dkim_results if one.result == "pass"]
    passed += [one.domain for one in row.spf_results if one.result == "pass"]
    other = [domain for domain in passed if domain != row.header_from]
    return next((canonical(domain) or "" for domain in [*other, *passed]), "")


def _heard(row: Row, names: dict[str, str], policy: str, reporter: str) -> tuple[Heard, int]:
    behind = _authenticated(row)
    name = behind or names.get(row.source, "")
    facts = Heard(
        sender=(provider(name) or ".".join(name.split(".")[-3:]) or _network(row.source))[:100],
        dkim=row.dkim,
        spf=row.spf,
        answers=bool(behind),
        disposition=row.disposition[:20],
        policy=policy[:20],
        reporter=reporter[:100],
    )
    return facts, min(row.count, 1 << 40)


def _fewest(rows: Iterable[tuple[Heard, int]]) -> list[tuple[bytes, int]]:
    """Equal facts once; of too many senders the smallest together."""
    counted: dict[Heard, int] = {}
    for facts, count in rows:
        counted[facts] = counted.get(facts, 0) + count
    kept = sorted(counted.items(), key=lambda one: -one[1])
    found = kept[:MAX_SENDERS]
    rest: dict[Heard, int] = {}
    for facts, count in kept[MAX_SENDERS:]:
        others = msgspec.structs.replace(facts, sender=OTHERS)
        rest[others] = rest.get(others, 0) + count
    return [(_encode(facts), count) for facts, count in (*found, *rest.items())]


def _network(source: str) -> str:
    try:
        ip = ipaddress.ip_address(source)
    except ValueError:
        return "?"
    return str(ipaddress.ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False))


@dataclass
class SenderSummary:
    """All mail of one sender in a domain's name."""

    sender: str
    messages: int = 0
    dkim: int = 0
    """Messages whose aligned DKIM passed."""
    spf: int = 0
    aligned: int = 0
    """Either of them."""
    answers: int = 0
    refused: int = 0
    """Quarantined or rejected there."""


@dataclass
class DomainSummary:
    domain: str
    policy: str = "none"
    """As the last report has it."""
    messages: int = 0
    days: set[int] = field(default_factory=set)
    reporters: set[str] = field(default_factory=set)
    senders: dict[str, SenderSummary] = field(default_factory=dict)

    def add(self, one: Tally) -> None:
        heard = _decode(one.facts)
        self.policy = heard.policy
        self.messages += one.count
        self.days.add(one.day)
        self.reporters.add(heard.reporter)
        sender = self.senders.setdefault(heard.sender, SenderSummary(heard.sender))
        sender.messages += one.count
        sender.dkim += one.count * heard.dkim
        sender.spf += one.count * heard.spf
        sender.aligned += one.count * (heard.dkim or heard.spf)
        sender.answers += one.count * heard.answers
        sender.refused += one.count * (heard.disposition in ("quarantine", "reject"))

    @property
    def aligned(self) -> int:
        return sum(one.aligned for one in self.senders.values())

    def to_mend(self) -> list[SenderSummary]:
        """Senders that answer for their mail and are not aligned: services of ours to be set up, or forwarders; worst first."""
        found = [one for one in self.senders.values() if one.answers > one.aligned]
        return sorted(found, key=lambda one: one.aligned - one.answers)

    def next_step(self) -> tuple[str, str]:
        """(policy to publish now, why in words). The same policy: nothing to change yet."""
        if self.policy == "reject":
            return "reject", "forged mail is refused already"
        stricter = "reject" if self.policy == "quarantine" else "quarantine"
        if len(self.days) < ENOUGH_DAYS:
            return self.policy, f"reports of {len(self.days)} days are too few; {ENOUGH_DAYS} are enough"
        if not self.aligned:
            return self.policy, "no reported mail is aligned: check DKIM and SPF first"
        astray = sum(one.answers - one.aligned for one in self.to_mend())
        if self.aligned < ENOUGH * (self.aligned + astray):
            names = ", ".join(one.sender for one in self.to_mend()[:3])
            return self.policy, f"set up DKIM for {names} first: their mail would be lost"
        return stricter, f"{self.aligned} of {self.aligned + astray} messages that somebody answers for are aligned"
