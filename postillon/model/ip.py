"""IP addresses by which clients are judged and counted."""

from __future__ import annotations

import ipaddress

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def ip_of(address: str | bytes) -> Ip:
    """The IP address in text, or in 4 or 16 octets; an IPv4-mapped one (RFC 4291 §2.5.5.2) as IPv4. Raises ValueError."""
    ip = ipaddress.ip_address(address)
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
