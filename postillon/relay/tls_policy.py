"""How much TLS a next hop must give us: what the administrator laid down, DANE (RFC 7672), MTA-STS (RFC 8461), REQUIRETLS
(RFC 8689), in this order of weight; without any of them as much as it offers (RFC 7435).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ..log import Log
from ..message.tlsrpt import NO_POLICY, Failure, UsedPolicy
from ..model.queue import NextHop, Outcome
from ..seams import Answer, DnsStatus, Resolver
from . import dane
from .mta_sts import Policy, StsPolicies
from .outcome import deferred
from .tls_outcomes import TlsOutcomes

log = Log("relay")

MAX_STRINGS = 10
"""TLSA records and mail hosts that a report names."""


class TlsMode(Enum):
    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered, any certificate, in clear where it fails (RFC 7435)."""
    TESTING = "testing"
    """The same, but it is noted when the certificate would not do (MTA-STS in testing mode)."""
    ENCRYPTED = "encrypted"
    """STARTTLS with any certificate, or nothing (TLSA records of which none is usable, RFC 7672 §2.2)."""
    DANE = "dane"
    """STARTTLS with a certificate that fits the TLSA records, or nothing."""
    REQUIRED = "required"
    """STARTTLS with a certificate that verifies, or nothing."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314), verified."""

    @property
    def is_verified(self) -> bool:
        """The other side has proved who it is."""
        return self in (TlsMode.REQUIRED, TlsMode.IMPLICIT, TlsMode.DANE)

    @property
    def proof(self) -> str:
        """What the other side's certificate proves, in words for the operator."""
        if self is TlsMode.DANE:
            return "certificate fits its TLSA records"
        return "certificate verified" if self.is_verified else "certificate not verified"

    @property
    def is_mandatory(self) -> bool:
        return self.is_verified or self is TlsMode.ENCRYPTED

    @property
    def weaker(self) -> TlsMode | None:
        """What to go on with when TLS fails; None: with nothing."""
        return _WEAKER.get(self)


_WEAKER = {TlsMode.TESTING: TlsMode.OPPORTUNISTIC, TlsMode.OPPORTUNISTIC: TlsMode.NONE}


@dataclass(frozen=True, slots=True)
class ClientContexts:
    """The two kinds of client context that `net.tls` makes: one that believes any certificate, one that verifies."""

    opportunistic: ssl.SSLContext
    verified: ssl.SSLContext

    def of(self, mode: TlsMode) -> ssl.SSLContext:
        by_authorities = mode in (TlsMode.REQUIRED, TlsMode.IMPLICIT, TlsMode.TESTING)
        return self.verified if by_authorities else self.opportunistic


@dataclass(frozen=True, slots=True)
class HostTls:
    """What one host must give."""

    mode: TlsMode = TlsMode.OPPORTUNISTIC
    tlsa: tuple[dane.Tlsa, ...] = ()
    names: tuple[str, ...] = ()
    """What its certificate may be for; the first is the name we ask for (SNI). Empty: the host's name."""
    why: str = ""
    """Who asks for that: `DANE`, `MTA-STS`, `REQUIRETLS`, `our own rule`; empty: nobody."""
    policy: UsedPolicy | None = NO_POLICY
    """What a TLS report calls it; None: sessions are not reported."""


@dataclass(frozen=True, slots=True)
class TlsWish:
    """What the message's sender wishes."""

    is_required: bool = False
    """REQUIRETLS (RFC 8689 §2)."""
    is_optional: bool = False
    """`TLS-Required: No` (RFC 8689 §5): rather in clear than not at all."""


def for_route(route: NextHop) -> TlsMode:
    """What the administrator said; but a password is never sent over TLS that anybody could have taken away."""
    mode = TlsMode(route.tls)
    return TlsMode.REQUIRED if route.login and mode is TlsMode.OPPORTUNISTIC else mode


@dataclass(frozen=True, slots=True)
class TlsRules:
    """Answers for the hosts of a domain that we know from DNS. Without *resolver* and *policies* only overrides count."""

    resolver: Resolver | None = None
    policies: StsPolicies | None = None
    port: int = 25
    overrides: Mapping[str, TlsMode] = field(default_factory=dict)
    """By destination domain, from the administrator: they outweigh everything."""
    outcomes: TlsOutcomes | None = None
    """Counts what fails before there is a session."""

    async def of_hosts(
        self, domain: str, hosts: Sequence[tuple[str, Answer]], is_secure: bool, wish: TlsWish
    ) -> list[HostTls | Outcome]:
        """For each of *hosts* (name, address answer) what it must give, or why it must not be asked at all.

        *is_secure*: DNSSEC vouches for the list of hosts.
        """
        override = self.overrides.get(domain)
        if override is not None:
            return [HostTls(override, why="our own rule", policy=None) for _ in hosts]
        if domain.startswith("[") or (wish.is_optional and not wish.is_required):
            # Reports about TLS go with `TLS-Required: No`: to count those would make two servers write to each other for ever.
            return [HostTls(policy=None) for _ in hosts]
        policy = await self.policies.of(domain) if self.policies is not None else None
        return list(await asyncio.gather(*(self._of_host(domain, host, is_secure, policy, wish) for host in hosts)))

    async def _of_host(
        self, domain: str, host: tuple[str, Answer], is_secure: bool, policy: Policy | None, wish: TlsWish
    ) -> HostTls | Outcome:
        name, addresses = host
        # RFC 7672 §2.2: TLSA records count only where DNSSEC vouches for the way to them too.
        if is_secure and addresses.secure:
            found = await self._dane(domain, name, addresses.name or name)
            if found is not None:
                return found
        used = sts_policy(policy) if policy is not None else NO_POLICY
        if policy is not None and not policy.allows(name):
            self._count(domain, used, Failure("validation-failure", name, reason="the policy does not name the mail host"))
            if policy.mode == "enforce":
                return deferred("4.7.5", f"the MTA-STS policy of {domain} does not name its mail host {name}")
            log.warning("MTA-STS policy in testing mode does not name a mail host", domain=domain, host=name)
            return HostTls(policy=None)  # it is counted
        if policy is not None:
            return HostTls(TlsMode.REQUIRED if policy.mode == "enforce" else TlsMode.TESTING, why="MTA-STS", policy=used)
        # RFC 8689 §4.2.1: the name must be beyond doubt before its certificate can prove anything.
        return HostTls(TlsMode.REQUIRED, why="REQUIRETLS") if wish.is_required and is_secure else HostTls()

    async def _dane(self, domain: str, name: str, canonical: str) -> HostTls | Outcome | None:
        """None: DANE has nothing to say about this host."""
        if self.resolver is None:
            return None
        for base in dict.fromkeys((canonical, name)):  # RFC 7672 §2.2.2: behind an alias first
            answer = await self.resolver.tlsa(f"_{self.port}._tcp.{base}")
            if answer.is_temporary:
                # RFC 7672 §2.1.1: whoever can make the answer vanish must not get the mail in clear.
                self._count(domain, UsedPolicy("tlsa"), Failure("dnssec-invalid", name, reason=answer.status.value))
                return deferred("4.4.3", f"DNS lookup of the TLSA records of {name} failed for now: {answer.status.value}")
            if answer.status is DnsStatus.OK and answer.secure:
                records = dane.usable(answer.records)
                names = tuple(dict.fromkeys((base, name, domain)))
                mode = TlsMode.DANE if records else TlsMode.ENCRYPTED
                return HostTls(mode, records, names, why="DANE", policy=tlsa_policy(answer.records))
        return None

    def _count(self, domain: str, policy: UsedPolicy, failure: Failure) -> None:
        if self.outcomes is not None:
            self.outcomes.note(domain, policy, failure)


def tlsa_policy(records: Iterable[dane.Tlsa]) -> UsedPolicy:
    """TLSA records as a report names them."""
    strings = sorted(f"{usage} {selector} {matching} {data.hex()[:200]}" for usage, selector, matching, data in records)
    return UsedPolicy("tlsa", tuple(strings[:MAX_STRINGS]))


def sts_policy(policy: Policy) -> UsedPolicy:
    """An MTA-STS policy as a report names it."""
    hosts = policy.mx[:MAX_STRINGS]
    lines = ("version: STSv1", f"mode: {policy.mode}", *(f"mx: {host}" for host in hosts), f"max_age: {policy.max_age}")
    return UsedPolicy("sts", lines, hosts)
