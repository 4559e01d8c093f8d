"""Whom we ask for DNS: the configured resolvers, those of /etc/resolv.conf, or (a developer's server without any) nobody."""

from __future__ import annotations

from ..config import Config, server_address
from ..seams import Answer, DnsStatus, Resolver


class NoResolver:
    """`seams.Resolver` that asks nobody and knows nothing for now."""

    async def txt(self, name: str) -> Answer:
        return Answer(DnsStatus.TIMEOUT)

    async def mx(self, name: str) -> Answer:
        return Answer(DnsStatus.TIMEOUT)

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        return Answer(DnsStatus.TIMEOUT)

    async def ptr(self, address: str) -> Answer:
        return Answer(DnsStatus.TIMEOUT)

    async def tlsa(self, name: str) -> Answer:
        return Answer(DnsStatus.TIMEOUT)


def make_resolver(config: Config) -> Resolver:
    if config.development is not None and not config.dns.servers:
        return NoResolver()
    from ..net.dns import DnsResolver, DnsSettings  # it loads much that a developer's server without DNS does not need

    if not config.dns.servers:
        return DnsResolver.from_system(trusted=config.dns.trusted)
    return DnsResolver([server_address(text) for text in config.dns.servers], DnsSettings(trusted=config.dns.trusted))
