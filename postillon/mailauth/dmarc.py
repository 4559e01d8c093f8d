"""DMARC (RFC 7489 and RFC 9989): does an authenticated domain stand behind the From that people see, and if not, what then?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..seams import DnsStatus, Resolver
from .dkim import Dkim
from .dmarc_record import DnsTrouble, Policy, Record, Walk, walk
from .names import is_within
from .result import Result
from .spf import Spf


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The outcome for one author's domain."""

    result: Result
    domain: str
    policy: Policy = Policy.NONE
    """What the domain asks for, by where its record stands (p, sp or np); for a failure."""
    applied: Policy = Policy.NONE
    """What follows for this message: the policy if it failed, a step milder when the domain is testing or by `pct`."""
    record: Record | None = None
    organization: str = ""
    aligned: tuple[str, ...] = ()
    """Which checks stand behind the author: `spf`, `dkim`."""
    reason: str = ""


async def find(resolver: Resolver, domain: str) -> Walk | DnsTrouble:
    """The walk for an author's domain; trouble is a value, so that it can wait beside the other checks."""
    try:
        return await walk(resolver, domain)
    except DnsTrouble as trouble:
        return trouble


async def evaluate(
    domain: str, found: Walk | DnsTrouble, spf: Spf, signatures: Sequence[Dkim], resolver: Resolver, *, lot: int = 0
) -> Dmarc:
    """Judge author *domain* (canonical), for which `find` found *found*. *lot*: 0 to 99, drawn for `pct`."""
    if isinstance(found, DnsTrouble):
        return Dmarc(Result.TEMPERROR, domain, reason=str(found))
    record = found.record
    if record is None:
        return Dmarc(Result.NONE, domain, organization=found.organization)
    check = _Alignment(domain, found.organization, resolver)
    aligned: list[str] = []
    unsure = ""
    if spf.domain and spf.result in (Result.PASS, Result.TEMPERROR) and await check.holds(spf.domain, record.spf_strict):
        if spf.result is Result.PASS:
            aligned.append("spf")
        else:
            unsure = f"SPF: {spf.reason}"
    for one in signatures:
        if one.result in (Result.PASS, Result.TEMPERROR) and await check.holds(one.domain, record.dkim_strict):
            if one.result is Result.PASS:
                aligned.append("dkim")
                break
            unsure = f"DKIM: {one.reason}"
    policy = await _policy(record, domain, resolver)
    if aligned:
        return Dmarc(Result.PASS, domain, policy, Policy.NONE, record, found.organization, tuple(aligned))
    passed = [spf.domain] if spf.result is Result.PASS else []
    passed += [one.domain for one in signatures if one.result is Result.PASS]
    if any(is_within(one, name) for one in passed for name in found.unsure):
        unsure = unsure or f"DNS: no answer for _dmarc.{found.unsure[0]}"
    if unsure or check.trouble:
        # What might have passed but for DNS is no forgery yet.
        return Dmarc(Result.TEMPERROR, domain, policy, Policy.NONE, record, found.organization, reason=unsure or check.trouble)
    applied = _milder(policy) if record.is_testing or lot >= record.percent else policy
    return Dmarc(Result.FAIL, domain, policy, applied, record, found.organization)


def _milder(policy: Policy) -> Policy:
    """RFC 7489 §6.6.4, RFC 9989 (`t=y`): one step down."""
    return Policy(max(policy - 1, 0))


async def _policy(record: Record, domain: str, resolver: Resolver) -> Policy:
    """p for the domain itself; sp for names below, or np if they do not exist."""
    if record.domain == domain:
        return record.policy
    if record.absent is record.subdomains:
        return record.subdomains
    return record.absent if await _is_absent(domain, resolver) else record.subdomains


async def _is_absent(domain: str, resolver: Resolver) -> bool:
    """RFC 9989 §3.2.10: the name itself does not exist. Trouble: it does."""
    answer = await resolver.mx(domain)
    return answer.status is DnsStatus.NXDOMAIN


class _Alignment:
    """RFC 7489 §3.1, RFC 9989 §4.10.2: the same domain, or (relaxed) the same organization."""

    def __init__(self, author: str, organization: str, resolver: Resolver) -> None:
        self._author = author
        self._organization = organization
        self._resolver = resolver
        self.trouble = ""

    async def holds(self, domain: str, is_strict: bool) -> bool:
        if domain == self._author:
            return True
        # Names outside of the organization cannot be of it, which forgeries are told by without a question.
        if is_strict or not is_within(domain, self._organization):
            return False
        if domain == self._organization:
            return True
        try:
            return (await walk(self._resolver, domain)).organization == self._organization
        except DnsTrouble as trouble:
            self.trouble = str(trouble)
            return False
