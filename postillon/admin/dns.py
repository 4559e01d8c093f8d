"""What DNS says about our domains, record by record: is it there, is it right, and whose turn it is. Registers itself."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import Any

from ..app.dkim import RETIRED, DkimKey
from ..app.dkim_rotation import Published, published
from ..mailauth import spf
from ..mailauth.dmarc_record import DnsTrouble, Policy, Record, walk
from ..mailauth.result import Result
from ..model.address import parse_domain
from ..seams import Answer, DnsStatus, Resolver
from .dkim import keys_of
from .tools import Tools, operation

LIMIT_S = 20.0
FINE, MISSING, WRONG, UNKNOWN, OPTIONAL = "fine", "missing", "wrong", "unknown", "optional"
"""What is said of a record. `unknown`: DNS gave no answer. `optional`: it is not there and need not be."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found about one record."""

    name: str
    type: str
    status: str
    words: str
    value: str = ""
    """What to publish, as a zone file has it."""


@operation("dns.check")
async def dns_check(tools: Tools, hostname: str, smarthost: bool = False) -> dict[str, Any]:
    """All records of all domains; *smarthost*: mail leaves through somebody else, whose addresses we do not know."""
    domains = sorted(view.name for view in await tools.directory.domains())
    try:
        async with asyncio.timeout(LIMIT_S):
            found = await look(tools.resolver, parse_domain(hostname), {one: keys_of(tools, one) for one in domains}, smarthost)
    except TimeoutError:
        found = []
    reached = any(one.status != UNKNOWN for one in found if not one.name.startswith("("))
    records = [
        {"name": one.name, "type": one.type, "status": one.status, "words": one.words, "value": one.value} for one in found
    ]
    return {"reachable": reached, "records": records if reached else []}


async def look(resolver: Resolver, hostname: str, keys: dict[str, list[DkimKey]], smarthost: bool = False) -> list[Seen]:
    """*keys* by domain."""
    answer = await resolver.addresses(hostname)
    addresses = [str(one) for one in answer.records]
    host = [_host(hostname, answer), *await asyncio.gather(*(_reverse(resolver, hostname, one) for one in addresses))]
    ours = [] if smarthost else addresses
    found = await asyncio.gather(*(_domain(resolver, hostname, domain, keys[domain], ours) for domain in keys))
    return [*host, *(one for some in found for one in some)]


async def _domain(resolver: Resolver, hostname: str, domain: str, keys: list[DkimKey], addresses: list[str]) -> list[Seen]:
    parts = await asyncio.gather(
        _mx(resolver, hostname, domain),
        _spf(resolver, hostname, domain, addresses),
        _dkim(resolver, domain, keys),
        _dmarc(resolver, domain),
        _text(resolver, f"_mta-sts.{domain}", "v=STSv1", "others would insist on TLS with a good certificate (MTA-STS)"),
        _text(resolver, f"_smtp._tls.{domain}", "v=TLSRPTv1", "others would report trouble with TLS (TLS-RPT)"),
    )
    return [one for some in parts for one in some]


# --- the host -----------------------------------------------------------------------------------------------------------


def _host(hostname: str, answer: Answer) -> Seen:
    if answer.is_temporary:
        return _no_answer(hostname, "A")
    if answer.status is DnsStatus.OK and answer.name and answer.name.rstrip(".").lower() != hostname:
        # RFC 5321 §5.1, RFC 2181 §10.3: what an MX names must not be an alias.
        return Seen(
            hostname, "A", WRONG, f"it is an alias (CNAME) of {answer.name}; an MX must name a host with addresses of its own"
        )
    if not answer.records:
        return Seen(
            hostname, "A", MISSING, "no address: nobody finds this server", f"{hostname}. A (the address of this machine)"
        )
    return Seen(hostname, "A", FINE, ", ".join(map(str, answer.records)))


async def _reverse(resolver: Resolver, hostname: str, address: str) -> Seen:
    name = f"{ipaddress.ip_address(address).reverse_pointer}"
    answer = await resolver.ptr(address)
    if answer.is_temporary:
        return _no_answer(name, "PTR")
    names = [str(one).rstrip(".").lower() for one in answer.records]
    value = f"{name}. PTR {hostname}."
    if not names:
        words = f"{address} has no reverse name, so many refuse our mail; whoever gave you the address sets it"
        return Seen(name, "PTR", MISSING, words, value)
    if hostname not in names:
        return Seen(name, "PTR", WRONG, f"{address} is called {names[0]}; whoever gave you the address can change that", value)
    return Seen(name, "PTR", FINE, hostname)


# --- a domain -----------------------------------------------------------------------------------------------------------


async def _mx(resolver: Resolver, hostname: str, domain: str) -> list[Seen]:
    answer = await resolver.mx(domain)
    if answer.is_temporary:
        return [_no_answer(domain, "MX")]
    value = f"{domain}. MX 10 {hostname}."
    hosts = [str(host).rstrip(".").lower() for _, host in answer.records]
    if not hosts:
        return [Seen(domain, "MX", MISSING, "mail for the domain does not come here", value)]
    if hosts == [""]:
        return [Seen(domain, "MX", WRONG, "it says that the domain takes no mail (null MX)", value)]
    if hostname not in hosts:
        return [Seen(domain, "MX", WRONG, f"mail for the domain goes to {', '.join(hosts[:3])}", value)]
    return [Seen(domain, "MX", FINE, ", ".join(hosts[:5]))]


async def _spf(resolver: Resolver, hostname: str, domain: str, addresses: list[str]) -> list[Seen]:
    answer = await resolver.txt(domain)
    if answer.is_temporary:
        return [_no_answer(domain, "TXT")]
    records = [text for text in map(str, answer.records) if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
    value = f'{domain}. TXT "v=spf1 mx -all"'
    if not records:
        return [Seen(domain, "TXT", MISSING, "no SPF record: our mail is less believed, forged mail more", value)]
    if len(records) > 1:
        return [
            Seen(domain, "TXT", WRONG, f"{len(records)} SPF records; there may be one, so none counts (RFC 7208 §4.5)", value)
        ]
    for address in addresses:
        found = await spf.evaluate(address, hostname, f"postmaster@{domain}", resolver)
        if found.result is Result.TEMPERROR:
            return [_no_answer(domain, "TXT")]
        if found.result is not Result.PASS:
            words = (
                f"the SPF record does not let {address} send ({found.result.value}{': ' + found.reason if found.reason else ''})"
            )
            return [Seen(domain, "TXT", WRONG, words, f'"{records[0]}", with `mx` or `ip{_version(address)}:{address}`')]
    return [Seen(domain, "TXT", FINE, records[0])]


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


async def _dkim(resolver: Resolver, domain: str, keys: list[DkimKey]) -> list[Seen]:
    if not keys:
        name = f"(selector)._domainkey.{domain}"
        return [Seen(name, "TXT", MISSING, f"mail of the domain is not signed: `postillon dkim add {domain}` makes keys")]
    return [seen for key in keys if (seen := await _key(resolver, key)) is not None]


async def _key(resolver: Resolver, key: DkimKey) -> Seen | None:
    state = await published(resolver, key)
    if state is Published.UNKNOWN:
        return _no_answer(key.record_name, "TXT")
    if state is Published.YES:
        return Seen(key.record_name, "TXT", FINE, f"DKIM key, {key.state}")
    if key.state == RETIRED:
        return None
    status = MISSING if state is Published.NO else WRONG
    words = f"DKIM key, {key.state}: {state.value}; `postillon dkim records {key.domain}` prints the record"
    return Seen(key.record_name, "TXT", status, words)


async def _dmarc(resolver: Resolver, domain: str) -> list[Seen]:
    name = f"_dmarc.{domain}"
    value = f'{name}. TXT "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'
    try:
        record: Record | None = (await walk(resolver, domain)).record
    except DnsTrouble:
        return [_no_answer(name, "TXT")]
    if record is None:
        return [Seen(name, "TXT", MISSING, "no DMARC record: anybody's mail in the domain's name is believed", value)]
    if not record.reports:
        words = "the DMARC record names nobody for reports (rua), so `postillon reports dmarc` stays empty"
        return [Seen(name, "TXT", OPTIONAL, words, value)]
    policy = record.policy if record.domain == domain else record.subdomains
    words = f"policy {policy.word}" + ("; see `postillon reports dmarc` for the next one" if policy is not Policy.REJECT else "")
    return [Seen(name, "TXT", FINE, words)]


async def _text(resolver: Resolver, name: str, version: str, use: str) -> list[Seen]:
    answer = await resolver.txt(name)
    if answer.is_temporary:
        return [_no_answer(name, "TXT")]
    records = [text for text in map(str, answer.records) if _begins(text, version)]
    if len(records) > 1:
        return [Seen(name, "TXT", WRONG, f"{len(records)} records of {version}; there may be one, so none counts")]
    return [Seen(name, "TXT", FINE, records[0])] if records else [Seen(name, "TXT", OPTIONAL, f"not there; with it {use}")]


def _begins(text: str, version: str) -> bool:
    return text.partition(";")[0].replace(" ", "") == version


def _no_answer(name: str, kind: str) -> Seen:
    return Seen(name, kind, UNKNOWN, "DNS gave no answer; try again")
