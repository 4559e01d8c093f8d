"""DMARC records and where to find them: the walk up the tree that replaces lists of public suffixes.

RFC 7489 §6.3 for the tags that live on, its successor (RFC 9989) for `np`, `psd`, `t` and the walk (§4.10).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ..seams import Resolver
from .tags import TagError, number, parse_tags

MAX_RECORD = 16 * 1024
MAX_LABELS = 8


class Policy(IntEnum):
    """What a domain asks for; ordered by severity."""

    NONE = 0
    QUARANTINE = 1
    REJECT = 2

    @property
    def word(self) -> str:
        return self.name.lower()


_POLICIES = {policy.word: policy for policy in Policy}


@dataclass(frozen=True, slots=True)
class Record:
    domain: str
    """Where it stands, without `_dmarc`."""
    policy: Policy
    subdomains: Policy
    absent: Policy
    """For names that do not exist (`np`)."""
    dkim_strict: bool
    spf_strict: bool
    psd: str
    """`y`: a public suffix; `n`: an organization's own top; `u`: it does not say."""
    is_testing: bool
    percent: int
    reports: str
    """`rua` as it stands."""


def parse(domain: str, text: str) -> Record | None:
    """None if it is no DMARC record that counts."""
    head = text.split(";", 1)[0].replace(" ", "").replace("\t", "")
    if head != "v=DMARC1" or len(text) > MAX_RECORD:
        return None
    try:
        tags = parse_tags(text)
    except TagError:
        return None
    policy = _POLICIES.get(tags.get("p", "").lower())
    if policy is None:
        # RFC 7489 §6.6.3: without a policy the record means p=none if somebody wants reports; without reports it is nothing.
        # The successor lets p be left out.
        if "p" in tags and "rua" not in tags:
            return None
        policy = Policy.NONE
    subdomains = _POLICIES.get(tags.get("sp", "").lower(), policy)
    return Record(
        domain=domain,
        policy=policy,
        subdomains=subdomains,
        absent=_POLICIES.get(tags.get("np", "").lower(), subdomains),
        dkim_strict=tags.get("adkim", "r").lower() == "s",
        spf_strict=tags.get("aspf", "r").lower() == "s",
        psd=tags.get("psd", "u").lower(),
        is_testing=tags.get("t", "n").lower() == "y",
        percent=_percent(tags.get("pct", "100")),
        reports=tags.get("rua", ""),
    )


def _percent(text: str) -> int:
    try:
        return min(number(text), 100)
    except TagError:
        return 100


class DnsTrouble(Exception):
    """A question that matters had no answer for now."""


async def fetch(resolver: Resolver, domain: str) -> Record | None:
    """The record that stands at *domain* itself. Raises DnsTrouble."""
    answer = await resolver.txt(f"_dmarc.{domain}")
    if answer.is_temporary:
        raise DnsTrouble(f"DNS: {answer.status.value} for _dmarc.{domain}")
    found = [record for text in answer.records[:50] if (record := parse(domain, text)) is not None]
    return found[0] if len(found) == 1 else None  # RFC 7489 §6.6.3: several are as good as none


def names_above(domain: str) -> list[str]:
    """The names that the walk asks about, from *domain* up: at most eight (RFC 9989 §4.10)."""
    labels = domain.split(".")
    found = [domain]
    rest = labels[1:] if len(labels) <= MAX_LABELS else labels[-(MAX_LABELS - 1) :]
    return found + [".".join(rest[at:]) for at in range(len(rest))]


@dataclass(frozen=True, slots=True)
class Walk:
    """What the walk from a domain found."""

    organization: str
    record: Record | None
    """The one that speaks for the domain."""
    unsure: tuple[str, ...] = ()
    """Names above whose records could not be asked for: one of them may be the organization."""


async def walk(resolver: Resolver, domain: str) -> Walk:
    """From *domain* up to its organization. Raises DnsTrouble if its own record, or every record, is not to be had now."""
    found: list[Record] = []
    unsure: list[str] = []
    for name in names_above(domain):
        try:
            record = await fetch(resolver, name)
        except DnsTrouble:
            if name == domain:
                raise
            if "." in name:  # a top-level domain is nobody's organization
                unsure.append(name)
            continue
        if record is not None:
            found.append(record)
            if record.psd == "n" or (record.psd == "y" and name != domain):
                break
    if unsure and not found:
        raise DnsTrouble(f"DNS: no answer for _dmarc.{unsure[0]}")
    organization = _organization(domain, found)
    by_name = {record.domain: record for record in found}
    # RFC 9989 §4.10.1: the domain's own record, its organization's, or that of the public suffix above.
    speaking = by_name.get(domain) or by_name.get(organization) or next((one for one in found if one.psd == "y"), None)
    return Walk(organization, speaking, tuple(unsure))


def _organization(domain: str, found: list[Record]) -> str:
    """RFC 9989 §4.10.2."""
    if not found:
        return domain
    last = found[-1]
    if last.psd == "y" and last.domain != domain:
        depth = last.domain.count(".") + 2
        return ".".join(domain.split(".")[-depth:])
    return last.domain  # with psd=n the walk ended there; else it is the one with the fewest labels
