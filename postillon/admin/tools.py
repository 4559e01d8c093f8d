"""What operations work with, and the table they stand in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..app.lives import Working
from ..directory.bans import Bans
from ..directory.local import LocalDirectory
from ..flow.allowance import Allowance
from ..flow.bounce import Reporter
from ..flow.dmarc_heard import DmarcHeard
from ..model.errors import Refusal
from ..relay.probe import Prober
from ..seams import Bus, Clock, Resolver
from ..storage.store import Store


@dataclass(frozen=True, slots=True)
class Tools:
    """*working*: the workers that live; none when alone."""

    directory: LocalDirectory
    store: Store
    bus: Bus
    clock: Clock
    data: str
    started: int
    working: Callable[[], list[Working]]
    allowance: Allowance
    bans: Bans
    prober: Callable[[], Prober]
    """Who finds out how we would deliver."""
    resolver: Resolver
    dmarc: DmarcHeard
    send_reports: Callable[[bool], Awaitable[int]] | None = None
    """With True also what was counted today; None when alone."""
    reporter: Reporter | None = None
    """Who tells senders; None when alone."""


Operation = Callable[..., Awaitable[Any]]
OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register


def queue_number(name: str) -> int:
    """The queue id that people see as *name*. Raises Refusal."""
    try:
        return int(name.partition("/")[0], 16)
    except ValueError as error:
        raise Refusal(f"{name!r} is not the id of a queued message", status="5.5.4") from error
