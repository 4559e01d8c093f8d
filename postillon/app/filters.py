"""The checks by name, made from the configuration: the one place where a filter is registered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..config import Config
from ..config.judging import Filters
from ..filters.blocklists import BlocklistFilter, Blocklists
from ..filters.classifier import Classifier
from ..filters.examined import Examined
from ..filters.fraud import Fraud, OwnDomains
from ..filters.known import Acquaintance
from ..filters.lists import Lists
from ..filters.milters import Milters
from ..filters.oddities import Oddities
from ..filters.own import OwnFilter
from ..filters.repeats import Repeats
from ..filters.reputation import SenderReputation
from ..flow.judgement import Choices, JudgeSettings
from ..model.choice import Choice
from ..model.ids import AccountId
from ..model.verdict import Thresholds
from ..seams import Filter, Resolver
from .content import make_attachments, make_clamav, make_rspamd, outside_times
from .data import Opened


@dataclass(frozen=True, slots=True)
class Parts:
    """What checks are made of."""

    config: Config
    data: Opened
    resolver: Resolver
    blocklists: Blocklists
    acquaintance: Acquaintance
    milters: Milters | None = None


Make = Callable[[Parts], Filter[Examined] | None]
"""Makes a check; None where the configuration gives it nothing to do."""

OWN_SHARE = 0.9
"""Of the time for one check: a process that hangs is ended before its check is given up."""

KINDS: Mapping[str, Make] = {
    "blocklists": lambda parts: BlocklistFilter(parts.blocklists) if parts.blocklists else None,
    "attachments": lambda parts: make_attachments(parts.config, "mx"),
    "clamav": lambda parts: make_clamav(parts.config, "mx"),
    "rspamd": lambda parts: make_rspamd(parts.config),
    "milter": lambda parts: parts.milters,
    "lists": lambda parts: Lists(parts.acquaintance),
    "reputation": lambda parts: SenderReputation(parts.acquaintance),
    "classifier": lambda parts: Classifier(parts.acquaintance),
    "fraud": lambda parts: Fraud(parts.acquaintance, OwnDomains(time.monotonic)),
    "oddities": lambda parts: Oddities(),
    "repeats": lambda parts: Repeats(time.monotonic),
    "own": lambda parts: (
        OwnFilter(parts.config.filters.own, time_s=OWN_SHARE * parts.config.filters.time) if parts.config.filters.own else None
    ),
}
"""In the order in which their findings are told."""


def make_filters(parts: Parts) -> list[Filter[Examined]]:
    """The checks that the configuration wants."""
    made = [make(parts) for name, make in KINDS.items() if name not in parts.config.filters.off]
    return [one for one in made if one is not None]


def choices_by(acquaintance: Acquaintance) -> Choices:
    async def chosen(examined: Examined) -> Mapping[AccountId, Choice]:
        return (await acquaintance.about(examined)).choices

    return chosen


def judge_settings(wanted: Filters) -> JudgeSettings:
    return JudgeSettings(
        thresholds=Thresholds(wanted.tag, wanted.junk, wanted.refuse),
        scores=wanted.scores,
        time_s=float(wanted.time),
        total_s=float(wanted.total_time),
        times=outside_times(wanted),
    )
