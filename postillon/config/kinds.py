"""What the words of a setting may be: an IP address, a network, a domain. And the form in which a mistake is told."""

from __future__ import annotations

import ipaddress

from ..model.address import AddressError, parse_domain

Found = tuple[tuple[str, ...], str]
"""A mistake: where it is, key by key, and words for the administrator."""


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """An address is one, too."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_domain(name: str) -> bool:
    """In canonical form."""
    try:
        return parse_domain(name) == name
    except AddressError:
        return False
