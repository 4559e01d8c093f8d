"""Sets of addresses that an administrator trusts with something."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = ("127.0.0.0/8", "::1")


class Networks:
    """Networks in CIDR notation, single addresses among them. Raises ValueError for what is neither."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._networks = tuple(map(network, names))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: object) -> bool:
        """Is the IP *address*, given as text, in one of them? `unix` and the like are in none."""
        if not self._networks:
            return False
        try:
            found = ipaddress.ip_address(str(address))
        except ValueError:
            return False
        return any(found in one for one in self._networks)


def network(name: str) -> Network:
    """`192.0.2.0/24`, `2001:db8::1`. Raises ValueError, also for a network with host bits."""
    return ipaddress.ip_network(name)


def is_loopback(address: str) -> bool:
    """Whether the client at the IP *address* is on this machine, as one on a Unix socket (`unix`) is."""
    return address == "unix" or ipaddress.ip_address(address).is_loopback
