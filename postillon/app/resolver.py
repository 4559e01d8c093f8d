"""Whom we ask for DNS: the configured resolvers, those of /etc/resolv.conf, or (a developer's server without any) nobody."""

from __future__ import annotations

import ipaddress

from ..config import Config
from ..seams import Answer, DnsStatus, Resolver

RESOLV_CONF = "/etc/resolv.conf"


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
    from ..net.dns import DnsResolver  # it loads much that a developer's server without DNS does not need

    servers = [server_address(text) for text in config.dns.servers] or _of_the_system()
    return DnsResolver(servers)


def server_address(text: str) -> tuple[str, int]:
    """`ADDRESS` or `ADDRESS:PORT`, an IPv6 address in brackets where a port follows. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        return str(ipaddress.ip_address(_named(host.strip("[]")))), int(port)
    return str(ipaddress.ip_address(_named(text.strip("[]")))), 53


def _named(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _of_the_system() -> list[tuple[str, int]]:
    try:
        with open(RESOLV_CONF, encoding="utf-8") as file:
            words = [line.split() for line in file]
    except OSError:
        words = []
    found = [(line[1].partition("%")[0], 53) for line in words if len(line) > 1 and line[0] == "nameserver"]
    return found or [("127.0.0.1", 53)]
