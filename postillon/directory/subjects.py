"""Under what clients are counted: the host and its network, as keys of counters, and windows that slide."""

from __future__ import annotations

import hashlib
import ipaddress

from ..model.ip import ip_of


def subjects(address: str) -> tuple[str, str]:
    """(host, network) as they are counted; text that is no IP address counts as itself.

    The host is an IPv4 address or the /64 that one IPv6 host owns, the network a /24 or a /56.
    """
    try:
        ip = ip_of(address)
    except ValueError:
        return address, address
    if ip.version == 6:
        return _network(f"{ip}/64"), _network(f"{ip}/56")
    return str(ip), _network(f"{ip}/24")


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


def key_of(kind: bytes, subject: str) -> bytes:
    """Short whatever the client made up, and no names in clear in the file."""
    return kind + hashlib.blake2b(subject.encode("utf-8", "replace"), digest_size=15).digest()


def row_of(key: bytes, window: int, now: int) -> tuple[bytes, int, int]:
    """(key, start, expiry) of the window that is open *now*."""
    started = now - now % window
    return key, started, started + 2 * window


def sliding(found: dict[tuple[bytes, int], int], key: bytes, window: int, now: int) -> float:
    """The count of a window that slides: the one before counts with the part of it that is still younger than a window."""
    started = now - now % window
    before = found.get((key, started - window), 0)
    return found.get((key, started), 0) + before * (1 - (now - started) / window)
