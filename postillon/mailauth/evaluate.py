"""All checks of one message, at the same time and within one DNS budget: what a receiver knows about who sent it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..message.addresses import parse_addresses
from ..message.header import unfold
from ..seams import Resolver
from . import arc, authres, dkim, dmarc, iprev, spf
from .arc import Arc
from .authres import Outcome
from .content import Content
from .dkim import Dkim
from .dmarc import Dmarc
from .dmarc_record import Policy
from .iprev import Iprev
from .names import canonical
from .questions import Heard, Questions, Share
from .result import Result
from .spf import Spf

QUESTIONS = 30
SECONDS = 20.0
# Shares of the questions that no other check can use up; what is left of them goes to ARC, which comes last.
SPF_SHARE, DKIM_SHARE, DMARC_SHARE = 11, 6, 10
MAX_AUTHOR_DOMAINS = 2
MAX_FROM = 5
"""From fields that are looked at; one more than one is wrong already."""
_PRINTABLE = bytes([*b"\t\r\n", *range(32, 127), *range(128, 256)])


@dataclass(frozen=True, slots=True)
class Authors:
    """The From of a message, as policy sees it."""

    fields: int
    domains: tuple[str, ...] = ()
    """Canonical, each once."""
    is_bad: bool = False
    """There is an address whose domain is none, or a control character: nobody can say what a reader will take it for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all checks found."""

    spf: Spf
    dkim: tuple[Dkim, ...]
    dmarc: tuple[Dmarc, ...]
    """One for each author's domain."""
    arc: Arc
    iprev: Iprev
    authors: Authors
    findings: tuple[str, ...] = field(default=())
    """What could not be judged, in words."""
    heard: tuple[Heard, ...] = field(default=(), compare=False)
    """What DNS said."""

    @property
    def policy(self) -> Policy:
        """The strictest of what the authors' domains ask for this message."""
        return max((one.applied for one in self.dmarc), default=Policy.NONE)


def authors(content: Content) -> Authors:
    """Who is named in From."""
    found = content.named(b"from")
    domains: dict[str, None] = {}
    is_bad = False
    for one in found[:MAX_FROM]:
        is_bad = is_bad or bool(one.value.translate(None, _PRINTABLE))
        for address in parse_addresses(unfold(one.value)).addresses:
            if not address.domain:
                continue
            domain = canonical(address.domain.decode("utf-8", "surrogateescape"))
            is_bad = is_bad or (domain is None and not address.domain.startswith(b"["))
            if domain:
                domains[domain] = None
    return Authors(len(found), tuple(domains), is_bad)


async def evaluate(
    content: Content,
    *,
    client: str,
    helo: str,
    mail_from: str,
    resolver: Resolver,
    receiver: str,
    now: int,
    lot: int = 0,
    questions: int = QUESTIONS,
    seconds: float = SECONDS,
) -> Verdict:
    """Judge a message from *client* (IP address) with *mail_from* (`local@domain`, empty: null) in its envelope.

    *receiver* is our host name, *now* epoch seconds, *lot* 0 to 99 for DMARC's `pct`. Never raises for what a remote sent.
    """
    budget = Questions(resolver, total=questions, seconds=seconds)
    shares = {name: budget.share(size) for name, size in (("SPF", SPF_SHARE), ("DKIM", DKIM_SHARE), ("DMARC", DMARC_SHARE))}
    shares["ARC"] = shares["reverse name"] = rest = budget.share()
    named = authors(content)
    domains = named.domains[:MAX_AUTHOR_DOMAINS]
    signatures = dkim.read(content, domains)
    chain = arc.read(content)
    await content.hash([*(one.body for one in signatures if not isinstance(one, Dkim)), *arc.wanted(chain)])
    sent, signed, reverse, found = await asyncio.gather(
        spf.evaluate(client, helo, mail_from, shares["SPF"], receiver=receiver, now=now),
        dkim.evaluate(content, signatures, shares["DKIM"], now),
        iprev.evaluate(client, rest),
        asyncio.gather(*(dmarc.find(shares["DMARC"], domain) for domain in domains)),
    )
    judged = [
        await dmarc.evaluate(domain, walked, sent, signed, shares["DMARC"], lot=lot)
        for domain, walked in zip(domains, found, strict=True)
    ]
    for share in shares.values():
        share.release()
    chain = await arc.evaluate(content, chain, rest)
    return Verdict(sent, tuple(signed), tuple(judged), chain, reverse, named, _findings(shares, named), budget.heard())


def _findings(shares: dict[str, Share], named: Authors) -> tuple[str, ...]:
    found = [f"the DNS budget was spent before {name} was judged" for name, share in shares.items() if share.is_spent]
    if named.fields != 1:
        found.append(f"the message has {named.fields} From fields")
    if named.is_bad:
        found.append("From has an address that cannot be read")
    if len(named.domains) > MAX_AUTHOR_DOMAINS:
        found.append(f"From names {len(named.domains)} domains")
    return tuple(found)


def outcomes(verdict: Verdict, client: str) -> list[Outcome]:
    """What goes into Authentication-Results (RFC 8601 §2.7)."""
    found = [_spf(verdict.spf)]
    found += [_dkim(one) for one in verdict.dkim] or [Outcome("dkim", Result.NONE)]
    found += [_dmarc(one) for one in verdict.dmarc]
    if verdict.arc.result is not Result.NONE:
        links = verdict.arc.links
        last = (("header.oldest-pass", "0"),) if verdict.arc.result is Result.PASS else ()
        # RFC 8601 knows only none, pass and fail here (RFC 8617 §10.1).
        result = Result.PASS if verdict.arc.result is Result.PASS else Result.FAIL
        domains = (("arc.chain", ":".join(reversed(verdict.arc.sealers))),) if links else ()
        found.append(Outcome("arc", result, (*last, *domains), verdict.arc.reason))
    found.append(Outcome("iprev", verdict.iprev.result, (("policy.iprev", client),), verdict.iprev.name))
    return found


def _spf(one: Spf) -> Outcome:
    return Outcome("spf", one.result, (("smtp.helo" if one.is_helo else "smtp.mailfrom", one.domain),), one.reason)


def _dkim(one: Dkim) -> Outcome:
    properties = (
        ("header.d", one.domain),
        ("header.i", one.identity),
        ("header.s", one.selector),
        ("header.a", one.algorithm),
        ("header.b", one.octets),
    )
    return Outcome("dkim", one.result, properties, one.reason)


def _dmarc(one: Dmarc) -> Outcome:
    comment = f"p={one.policy.word} dis={one.applied.word}" if one.record else ""
    return Outcome("dmarc", one.result, (("header.from", one.domain),), comment)


def field_of(verdict: Verdict, client: str, authserv_id: str) -> bytes:
    """The Authentication-Results field, with CRLF."""
    return authres.write(authserv_id, outcomes(verdict, client))


def passed_by(verdict: Verdict, sealers: Sequence[str]) -> str:
    """The first of the trusted *sealers* at the end of a whole chain whose results say that DMARC passed there; or empty.

    All links after it must be trusted as well: each could have changed what stands before it.
    """
    if verdict.arc.result is not Result.PASS:
        return ""
    first = ""
    for at in range(len(verdict.arc.links) - 1, -1, -1):
        domain = verdict.arc.sealers[at]
        if domain not in sealers:
            break
        if _says_pass(verdict.arc.said(at)):
            first = domain
    return first


def _says_pass(results: str) -> bool:
    return any(part.strip().lower().startswith("dmarc=pass") for part in results.split(";")[1:])
