"""What cannot be meant in the settings of the programs that look into mail."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.address import AddressError, parse_domain
from ..net.service import ServiceAddress
from .settings import Config

_AT = ("mx", "submission")


def senseless_content(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each mistake with where it is."""
    yield from _senseless_at(("content",), config.content.at)
    if not 1 <= config.content.quarantine_days <= 3650:
        yield ("content", "quarantine_days"), "`content.quarantine_days`: must be between 1 and 3650"
    for domain in config.content.domains:
        if not _is_domain(domain):
            yield ("content", "domains", domain), f"`{domain}` is not a domain"
    for service, wanted in (("clamav", config.clamav), ("rspamd", config.rspamd)):
        if wanted.address:
            yield from _senseless_address((service, "address"), wanted.address)
        if not 1 <= wanted.time <= 300:
            yield (service, "time"), f"`{service}.time`: {wanted.time} is not between 1 and 300 seconds"
    yield from _senseless_at(("clamav",), config.clamav.at)
    for name, milter in config.milters.items():
        where = ("milters", name)
        yield from _senseless_address((*where, "address"), milter.address)
        yield from _senseless_at(where, milter.at)
        if not 1 <= milter.time <= 300:
            yield (*where, "time"), f"`milters.{name}.time`: {milter.time} is not between 1 and 300 seconds"


def _senseless_at(where: tuple[str, ...], services: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for service in services:
        if service not in _AT:
            yield (*where, "at"), f"`{'.'.join(where)}.at`: {service!r} is none of {', '.join(_AT)}"


def _is_domain(name: str) -> bool:
    try:
        return parse_domain(name) == name
    except AddressError:
        return False


def _senseless_address(where: tuple[str, ...], address: str) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        ServiceAddress.parse(address)
    except ValueError as error:
        yield where, f"`{'.'.join(where)}`: {address!r}: {error}"
