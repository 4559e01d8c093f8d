"""The checks of strangers at RCPT and the blocklists, from the configuration."""

from __future__ import annotations

from ..config import Config
from ..filters.blocklists import Blocklists, Zone
from ..flow.gate import Gate, GateSettings
from ..seams import Resolver
from .data import Opened


def make_blocklists(config: Config, resolver: Resolver) -> Blocklists:
    """All zones, for whoever asks them."""
    zones = [Zone(one.zone, one.score, one.codes, one.checks, one.hash) for one in config.blocklists]
    return Blocklists(resolver=resolver, zones=zones)


def make_gate(config: Config, data: Opened, resolver: Resolver, blocklists: Blocklists) -> Gate | None:
    """None where nothing is asked for."""
    wanted = config.protection
    if not blocklists and not wanted.greylist:
        return None
    settings = GateSettings(
        hostname=config.hostname,
        refuse_listed=wanted.refuse_listed,
        greylist=wanted.greylist,
        greylist_wait_s=wanted.greylist_wait,
        trusted=wanted.trusted,
    )
    return Gate(
        resolver=resolver, known=data.known, blocklists=blocklists, clock=data.clock, settings=settings, knowledge=data.knowledge
    )
