"""Fixed next hops: a route for a domain, and the smarthost for all that has none."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model.queue import NextHop
from ..seams import DnsStatus, Resolver
from . import tls_policy
from .hop import Hop, IsSelf, RelaySettings, interleaved
from .outcome import Undeliverable, deferred, failed

VIA = "via:"
"""How a destination begins that an administrator chose for what waits: `via:HOST:PORT`."""


NAMED = "hop="
"""How the host of such a destination begins that names one of the configured next hops."""


def via_named(name: str) -> str:
    """The destination for what shall go by the configured next hop *name*."""
    return f"{VIA}{NAMED}{name}:0"


def via(host: str, port: int) -> str:
    """The destination for what shall go by this next hop."""
    return f"{VIA}[{host}]:{port}" if ":" in host else f"{VIA}{host}:{port}"


def hop_of(destination: str) -> NextHop | None:
    """The next hop of such a destination; None: it is a domain."""
    if not destination.startswith(VIA):
        return None
    host, _, port = destination.removeprefix(VIA).rpartition(":")
    return NextHop(host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Routes:
    """What the administrator laid down. *domains* is keyed by canonical domain; `.example.org` stands for what is below it."""

    domains: Mapping[str, NextHop] = field(default_factory=dict)
    smarthost: NextHop | None = None
    named: Mapping[str, NextHop] = field(default_factory=dict)

    def chosen(self, destination: str) -> NextHop | None:
        """The next hop of a destination that was chosen (VIA); None: it is a domain, or its name is configured no more."""
        hop = hop_of(destination)
        if hop is None or not hop.host.startswith(NAMED):
            return hop
        return self.named.get(hop.host.removeprefix(NAMED))

    def to(self, domain: str) -> NextHop | None:
        """The fixed next hop of *domain*, or None: ask DNS."""
        exact = self.domains.get(domain)
        if exact is not None:
            return exact
        rest = domain
        while "." in rest:
            rest = rest.partition(".")[2]
            above = self.domains.get("." + rest)
            if above is not None:
                return above
        return self.smarthost


async def route_hops(route: NextHop, resolver: Resolver, settings: RelaySettings, is_self: IsSelf) -> tuple[Hop, ...]:
    """The addresses of a fixed next hop, wherever they are: the administrator named it. Raises Undeliverable."""
    addresses = interleaved(await _addresses(route.host, resolver, settings), settings)
    if any(is_self(address, route.port) for address in addresses):
        raise Undeliverable(failed("5.4.6", f"the route to {route.host} port {route.port} leads back to this server"))
    if not addresses:
        raise Undeliverable(deferred("4.4.4", f"the next hop {route.host} has no address that we can reach"))
    mode = tls_policy.for_route(route)
    lmtp = route.protocol == "lmtp"
    hops = (Hop(route.host, address, route.port, mode, route.login, route.password, lmtp=lmtp) for address in addresses)
    return tuple(hops)[: settings.max_addresses]


async def _addresses(host: str, resolver: Resolver, settings: RelaySettings) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        pass
    answer = await resolver.addresses(host, ipv6=settings.ipv6, ipv4=settings.ipv4)
    if answer.status is not DnsStatus.OK:
        # Our own setting is wrong or DNS is down: never a reason to return mail.
        raise Undeliverable(deferred("4.4.3", f"the next hop {host} was not found in DNS: {answer.status.value}"))
    return [str(address) for address in answer.records]
