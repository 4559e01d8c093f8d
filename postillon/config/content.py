"""What cannot be meant in the settings of the programs that look into mail."""

from __future__ import annotations

from collections.abc import Iterator

from ..net.service import ServiceAddress
from .kinds import Found, is_domain
from .settings import Config

_AT = ("mx", "submission")


def senseless_content(config: Config) -> Iterator[Found]:
    """Each mistake with where it is."""
    yield from _senseless_at(("content",), config.content.at)
    if not 1 <= config.content.quarantine_days <= 3650:
        yield ("content", "quarantine_days"), "`content.quarantine_days`: must be between 1 and 3650"
    for domain in config.content.domains:
        if not is_domain(domain):
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


def _senseless_at(where: tuple[str, ...], services: tuple[str, ...]) -> Iterator[Found]:
    for service in services:
        if service not in _AT:
            yield (*where, "at"), f"`{'.'.join(where)}.at`: {service!r} is none of {', '.join(_AT)}"


def _senseless_address(where: tuple[str, ...], address: str) -> Iterator[Found]:
    try:
        ServiceAddress.parse(address)
    except ValueError as error:
        yield where, f"`{'.'.join(where)}`: {address!r}: {error}"
