"""What cannot be meant in the settings of the programs that look into mail."""

from __future__ import annotations

from collections.abc import Iterator

from ..net.service import ServiceAddress
from .settings import Config

_AT = ("mx", "submission")


def senseless_content(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each mistake with where it is."""
    for name, milter in config.milters.items():
        where = ("milters", name)
        yield from _senseless_address((*where, "address"), milter.address)
        for at in milter.at:
            if at not in _AT:
                yield (*where, "at"), f"`milters.{name}.at`: {at!r} is none of {', '.join(_AT)}"
        if not 1 <= milter.time <= 300:
            yield (*where, "time"), f"`milters.{name}.time`: {milter.time} is not between 1 and 300 seconds"


def _senseless_address(where: tuple[str, ...], address: str) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        ServiceAddress.parse(address)
    except ValueError as error:
        yield where, f"`{'.'.join(where)}`: {address!r}: {error}"
