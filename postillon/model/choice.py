"""What an account has chosen about the judgement of its mail."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import IntEnum

from .address import Address, AddressError, parse_domain
from .verdict import Thresholds

V4_PREFIXES, V6_PREFIXES = (32, 24, 16, 8), (128, 64, 48, 32)
"""Networks that a list may name."""
MAX_LABELS = 8


class Listed(IntEnum):
    ALLOW = 1
    DENY = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """None: as configured."""

    tag: float | None = None
    junk: float | None = None
    refuse: float | None = None
    language: str = ""

    def over(self, base: Thresholds) -> Thresholds:
        """*base* with what was chosen in its place."""
        return Thresholds(
            base.tag if self.tag is None else self.tag,
            base.junk if self.junk is None else self.junk,
            base.refuse if self.refuse is None else self.refuse,
        )


class PatternError(ValueError):
    """The text names no sender; the message says why, in words for who wrote it."""


def pattern(text: str) -> str:
    """The canonical form of an entry of a list: an address, a domain (with those below it), an IP address or network.

    Raises PatternError.
    """
    text = text.strip()
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        network = None
    try:
        if network is not None:
            if network.prefixlen not in (V4_PREFIXES if network.version == 4 else V6_PREFIXES):
                known = ", ".join(f"/{prefix}" for prefix in (V4_PREFIXES if network.version == 4 else V6_PREFIXES))
                raise PatternError(f"a network in a list has one of the lengths {known}")
            return str(network)
        if "@" in text.lstrip("@"):
            return Address.parse(text).key
        return parse_domain(text.lstrip("@.").lower())
    except AddressError as error:
        raise PatternError(f"{text!r} is no address, domain or network: {error}") from error


def patterns_of_address(address: str) -> list[str]:
    """The entries that mean *address* (canonical, lower case), the closest first."""
    domain = address.rpartition("@")[2]
    return [address, *patterns_of_domain(domain)]


def patterns_of_domain(domain: str) -> list[str]:
    """*domain* and those above it, the closest first, without the top."""
    labels = domain.split(".")[-MAX_LABELS:]
    return [".".join(labels[at:]) for at in range(max(len(labels) - 1, 1))] if domain else []


def patterns_of_client(address: str) -> list[str]:
    """The networks that hold the IP *address*, the closest first; none if it is no IP address."""
    if address.count(".") == 3 and ":" not in address:  # most are; ipaddress takes a tenth of a millisecond for it
        a, b, c, d = address.split(".")
        return [f"{a}.{b}.{c}.{d}/32", f"{a}.{b}.{c}.0/24", f"{a}.{b}.0.0/16", f"{a}.0.0.0/8"]
    try:
        ip = int(ipaddress.IPv6Address(address))
    except ValueError:
        return []
    return [str(ipaddress.IPv6Network((ip, prefix), strict=False)) for prefix in V6_PREFIXES]
