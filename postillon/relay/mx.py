"""Where mail for a domain goes by DNS (RFC 5321 §5.1, RFC 7505), as a list of hops to try in order.

A name server's temporary trouble never becomes a permanent answer: it defers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..model.queue import Outcome
from ..seams import Answer, DnsStatus, Resolver
from .hop import Hop, IsSelf, RelaySettings, interleaved, is_public
from .outcome import Undeliverable, deferred, failed
from .tls_policy import HostTls, TlsRules, TlsWish

Shuffle = Callable[[list[Any]], None]
"""`random.Random().shuffle`, or a fixed order in tests."""

ADDRESSES_PER_HOST = 4

_Host = tuple[int, str, tuple[str, ...], HostTls]
"""Preference, name, addresses, what TLS it must give."""


async def mx_hops(
    domain: str,
    resolver: Resolver,
    settings: RelaySettings,
    is_self: IsSelf,
    shuffle: Shuffle,
    rules: TlsRules | None = None,
    wish: TlsWish | None = None,
) -> tuple[Hop, ...]:
    """The hops for *domain*, best first; never empty. Raises Undeliverable."""
    rules, wish = rules or TlsRules(), wish or TlsWish()
    if domain.startswith("["):
        (tls,) = await rules.of_hosts(domain, [(domain, Answer(DnsStatus.OK))], False, wish)
        assert isinstance(tls, HostTls), "a literal has no policy"
        return _usable([(0, domain, (_literal(domain),), tls)], domain, settings, is_self, None)
    hosts, is_fallback, is_secure = await _hosts(domain, resolver, settings, shuffle)
    answers = await asyncio.gather(*(resolver.addresses(host, ipv6=settings.ipv6, ipv4=settings.ipv4) for _, host in hosts))
    ways = await rules.of_hosts(
        domain, [(host, answer) for (_, host), answer in zip(hosts, answers, strict=True)], is_secure, wish
    )
    found: list[_Host] = []
    trouble = None
    for (preference, host), answer, tls in zip(hosts, answers, ways, strict=True):
        if answer.is_temporary:
            trouble = deferred("4.4.3", f"DNS lookup of {host}, mail host of {domain}, failed for now: {answer.status.value}")
        elif answer.status is DnsStatus.OK and isinstance(tls, Outcome):
            trouble = tls
        elif answer.status is DnsStatus.OK and isinstance(tls, HostTls):
            found.append((preference, host, tuple(map(str, answer.records)), tls))
    if not found and trouble is None:
        raise Undeliverable(_nowhere(domain, hosts[0][1], is_fallback, answers[0]))
    return _usable(found, domain, settings, is_self, trouble)


def _literal(domain: str) -> str:
    inside = domain[1:-1]
    return inside[5:] if inside.lower().startswith("ipv6:") else inside


async def _hosts(
    domain: str, resolver: Resolver, settings: RelaySettings, shuffle: Shuffle
) -> tuple[list[tuple[int, str]], bool, bool]:
    """(preference, host) in the order to try; whether it is the domain itself for want of MX records; whether DNSSEC says so."""
    answer = await resolver.mx(domain)
    if answer.is_temporary:
        raise Undeliverable(deferred("4.4.3", f"DNS lookup of the mail hosts of {domain} failed for now: {answer.status.value}"))
    if answer.status is DnsStatus.NXDOMAIN:
        raise Undeliverable(failed("5.1.2", f"the domain {domain} does not exist"))
    records = [(int(preference), str(host).rstrip(".")) for preference, host in answer.records]
    if answer.status is not DnsStatus.OK or not records:
        # RFC 5321 §5.1: without MX records the domain is its own mail host.
        return [(0, domain)], True, answer.secure
    named = [record for record in records if record[1]]
    if not named:
        # RFC 7505 §3: one record with the root as its host says that the domain takes no mail.
        raise Undeliverable(failed("5.1.10", f"the domain {domain} does not accept mail (null MX)", code=556))
    # RFC 5321 §5.1: hosts of equal preference share the load, so each sender asks them in an order of its own.
    shuffle(named)
    named.sort(key=lambda record: record[0])
    return named[: settings.max_hosts], False, answer.secure


def _nowhere(domain: str, host: str, is_fallback: bool, answer: Answer) -> Outcome:
    if not is_fallback:
        return failed("5.4.4", f"none of the mail hosts of {domain} exists (the first is {host})")
    if answer.status is DnsStatus.NXDOMAIN:
        return failed("5.1.2", f"the domain {domain} does not exist")
    return failed("5.4.4", f"the domain {domain} has no mail host and no address")


def _usable(
    found: list[_Host], domain: str, settings: RelaySettings, is_self: IsSelf, trouble: Outcome | None
) -> tuple[Hop, ...]:
    """Those hosts that we may ask: better ones than ourselves, at addresses in the public network."""
    better = _better_than_us(found, settings.port, is_self)
    hops = [hop for host in better for hop in _hops(host, domain, settings)]
    if hops:
        return tuple(hops[: settings.max_addresses])
    if trouble is not None:  # a host that DNS does not show now may be the one
        raise Undeliverable(trouble)
    if len(better) < len(found):
        raise Undeliverable(failed("5.4.6", f"mail for {domain} would come back to this server, which does not take it"))
    refused = next((address for _, _, addresses, _ in found for address in addresses if not _is_allowed(address, settings)), None)
    if refused is not None:
        raise Undeliverable(failed("5.4.4", f"the mail host of {domain} has an address that is not public: {refused}"))
    raise Undeliverable(failed("5.4.4", f"the mail hosts of {domain} have no address that we can reach"))


def _better_than_us(found: list[_Host], port: int, is_self: IsSelf) -> list[_Host]:
    """RFC 5321 §5.1: when we are in the list, hosts of our preference and worse are not for us to ask."""
    ours = [preference for preference, _, addresses, _ in found if any(is_self(address, port) for address in addresses)]
    return [host for host in found if host[0] < min(ours)] if ours else found


def _is_allowed(address: str, settings: RelaySettings) -> bool:
    return settings.loopback_allowed or is_public(address)


def _hops(host: _Host, domain: str, settings: RelaySettings) -> list[Hop]:
    preference, name, addresses, tls = host
    allowed = interleaved([address for address in addresses if _is_allowed(address, settings)], settings)
    certificate = _literal(name) if name.startswith("[") else name
    return [
        Hop(
            certificate,
            address,
            settings.port,
            tls.mode,
            preference=preference,
            tlsa=tls.tlsa,
            names=tls.names,
            why=tls.why,
            domain=domain,
            policy=tls.policy,
        )
        for address in allowed[:ADDRESSES_PER_HOST]
    ]
