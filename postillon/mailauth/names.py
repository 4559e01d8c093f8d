"""Domain names as these checks compare and cut them. Names are ASCII, lower case, without the final dot."""

from __future__ import annotations

from ..model.address import AddressError, parse_domain


def canonical(name: str) -> str | None:
    """A-labels in lower case; None if *name* is no domain name that could be asked for."""
    try:
        found = parse_domain(name.strip())
    except AddressError:
        return None
    return None if found.startswith("[") else found


def is_within(name: str, domain: str) -> bool:
    """Whether *name* is *domain* or lies under it."""
    return name == domain or name.endswith("." + domain)
