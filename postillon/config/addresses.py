"""Addresses of hosts in the configuration."""

from __future__ import annotations

import ipaddress


def server_address(text: str) -> tuple[str, int]:
    """`ADDRESS` or `ADDRESS:PORT`, an IPv6 address in brackets where a port follows. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        return str(ipaddress.ip_address(_named(host.strip("[]")))), int(port)
    return str(ipaddress.ip_address(_named(text.strip("[]")))), 53


def _named(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host
