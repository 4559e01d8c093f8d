"""How we would deliver to a domain, without sending: the hosts, what they offer, and what TLS they must give.

Each host is greeted (EHLO, STARTTLS, QUIT) and nothing more: no login, no sender, no recipient.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509

from ..model.queue import NextHop, Outcome
from ..seams import Resolver
from .conversation import Conversation, Trouble
from .egress import Egress
from .hop import Hop, IsSelf, RelaySettings, Timeouts
from .mx import mx_hops
from .opening import open_once
from .outcome import Undeliverable
from .smarthost import Routes, route_hops
from .tls_policy import ClientContexts, TlsMode, TlsRules

TIMEOUTS = Timeouts(connect_s=10, greeting_s=20, command_s=20, quit_s=2)
MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class Certificate:
    names: tuple[str, ...]
    """The first few it is for."""
    issuer: str
    until: int
    """Epoch seconds."""


@dataclass(frozen=True, slots=True)
class ProbedHost:
    """One address of a mail host, and what it said."""

    name: str
    address: str
    port: int
    preference: int
    tls: str
    """What it must give: a `TlsMode`."""
    why: str
    """Who asks for that: DANE, MTA-STS, our own rule; empty: nobody."""
    tlsa: int
    """Usable TLSA records."""
    reachable: bool = False
    trouble: str = ""
    """Why mail would not go there; empty: it would."""
    notes: tuple[str, ...] = ()
    """What went wrong on the way and was tolerated."""
    security: str = ""
    offers: tuple[str, ...] = ()
    certificate: Certificate | None = None
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Probed:
    domain: str
    route: str = ""
    """The fixed next hop, if there is one."""
    mx: tuple[tuple[int, str], ...] = ()
    secure: bool = False
    """DNSSEC vouches for the MX records."""
    policy: str = ""
    """The MTA-STS policy in a few words; empty: none."""
    undeliverable: str = ""
    """Why there is no host to ask."""
    hosts: tuple[ProbedHost, ...] = ()


@dataclass(frozen=True, slots=True)
class Prober:
    """Asks like `RelayTransport` does."""

    settings: RelaySettings
    resolver: Resolver
    contexts: ClientContexts
    is_self: IsSelf
    routes: Callable[[], Routes]
    rules: TlsRules
    egress: Egress
    timeouts: Timeouts = field(default=TIMEOUTS)

    async def probe(self, domain: str) -> Probed:
        """All that can be found out about mail to *domain* (canonical). Never raises for others' faults."""
        route = self.routes().to(domain)
        found = Probed(domain, _route(route)) if route else await self._dns(domain)
        try:
            hops = await self._hops(domain, route)
        except Undeliverable as error:
            return replace(found, undeliverable=_said(error.outcome))
        return replace(found, hosts=tuple(await asyncio.gather(*map(self._ask, hops))))

    async def _hops(self, domain: str, route: NextHop | None) -> tuple[Hop, ...]:
        if route is not None:
            hops = await route_hops(route, self.resolver, self.settings, self.is_self)
        else:
            hops = await mx_hops(domain, self.resolver, self.settings, self.is_self, lambda hosts: None, self.rules)
        return self.egress.ways(hops, domain, route)

    async def _dns(self, domain: str) -> Probed:
        if domain.startswith("["):
            return Probed(domain)
        answer = await self.resolver.mx(domain)
        records = tuple(sorted((int(preference), str(host).rstrip(".")) for preference, host in answer.records))
        known = await self.rules.policies.of(domain) if self.rules.policies is not None else None
        policy = f"{known.mode}: {', '.join(known.mx)}, for {known.max_age} seconds" if known is not None else ""
        return Probed(domain, mx=records, secure=answer.secure, policy=policy)

    async def _ask(self, hop: Hop) -> ProbedHost:
        began = time.monotonic()
        probed = ProbedHost(hop.name, hop.address, hop.port, hop.preference, hop.tls.value, hop.why, len(hop.tlsa))
        notes: list[str] = []
        mode: TlsMode | None = hop.tls
        while mode is not None:
            try:
                talk = await open_once(
                    replace(hop, tls=mode, login="", password=""), self.settings.hostname, self.contexts, self.timeouts
                )
            except Trouble as trouble:
                if trouble.is_tls and mode.weaker is not None:
                    notes.append(trouble.outcome.text)
                    mode = mode.weaker
                    continue
                return replace(
                    probed, reachable=trouble.has_answered, trouble=_said(trouble.outcome), notes=tuple(notes), ms=_ms(began)
                )
            probed = replace(probed, reachable=True, notes=tuple(notes), ms=_ms(began), **_seen(talk))
            await talk.quit()
            return probed
        return probed


def _seen(talk: Conversation) -> dict[str, Any]:
    offered = talk.offered
    names = {
        "PIPELINING": offered.pipelining,
        f"SIZE {offered.size}" if offered.size else "SIZE": offered.has_size,
        "8BITMIME": offered.eightbit,
        "SMTPUTF8": offered.smtputf8,
        "DSN": offered.dsn,
        "REQUIRETLS": offered.requiretls,
        "STARTTLS": offered.starttls or talk.is_encrypted,
    }
    return {
        "security": talk.security,
        "offers": tuple(name for name, there in names.items() if there),
        "certificate": _certificate(talk.certificate),
    }


def _certificate(octets: bytes | None) -> Certificate | None:
    if octets is None:
        return None
    try:
        found = x509.load_der_x509_certificate(octets)
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(alternatives.get_values_for_type(x509.DNSName))[:MAX_NAMES]
    except x509.ExtensionNotFound:
        names = ()
    except ValueError:
        return None
    return Certificate(names, found.issuer.rfc4514_string()[:200], int(found.not_valid_after_utc.timestamp()))


def _route(route: NextHop) -> str:
    login = f", logging in as {route.login}" if route.login else ""
    return f"{route.host} port {route.port}, TLS {route.tls}{login}"


def _said(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.text}"


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
