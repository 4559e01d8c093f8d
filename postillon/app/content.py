"""The checks of what mail contains, made from the configuration: milters, and what is asked of mail that leaves."""

from __future__ import annotations

from dataclasses import fields, replace

from .. import __version__
from ..config import Config
from ..config.judging import ContentRules, Filters, Milter
from ..filters.attachments import Action, Attachments, ContentPolicy, ContentSettings
from ..filters.clamav import ClamAv, ClamAvSettings
from ..filters.examined import Examined
from ..filters.milter import MilterSettings
from ..filters.milters import Milters
from ..filters.outside import WhenDown
from ..filters.rspamd import Rspamd, RspamdSettings
from ..flow.deliver import FlowSettings
from ..flow.edits import Editor
from ..flow.listened import listened
from ..flow.mail_path import MailPath
from ..flow.outgoing import Outgoing
from ..model.envelope import Client
from ..net.service import ServiceAddress
from ..seams import Filter
from .data import Opened
from .password_file import password_in

_DANGERS = tuple(one.name for one in fields(ContentRules))
SPARED_S = 2.0
"""So much before the time for all checks is over, milters are given up, so that `when_down` counts for them."""


def make_milters(config: Config, service: str) -> Milters | None:
    """Those that listen on *service*, `mx` or `submission`; None if nobody does."""
    wanted = [_milter(name, one) for name, one in config.milters.items() if service in one.at]
    if not wanted:
        return None
    return Milters(
        wanted,
        hostname=config.hostname,
        version=__version__,
        service="smtp" if service == "mx" else service,
        seconds=_spared(config, config.filters.total_time),
    )


def _milter(name: str, wanted: Milter) -> MilterSettings:
    return MilterSettings(
        name=name,
        address=ServiceAddress.parse(wanted.address),
        when_down=WhenDown(wanted.when_down),
        command_s=float(wanted.time),
        message_s=float(wanted.time),
    )


def make_attachments(config: Config, service: str) -> Attachments | None:
    """The check of dangerous content on *service*."""
    wanted = config.content
    if service not in wanted.at:
        return None
    common = _rules(ContentRules(**{name: getattr(wanted, name) for name in _DANGERS}), ContentPolicy())
    return Attachments(ContentSettings(common, {domain: _rules(rules, common) for domain, rules in wanted.domains.items()}))


def _rules(rules: ContentRules, common: ContentPolicy) -> ContentPolicy:
    own = {name: Action(value) for name in _DANGERS if (value := getattr(rules, name))}
    return replace(common, **own)


def make_clamav(config: Config, service: str) -> ClamAv | None:
    wanted = config.clamav
    if not wanted.address or service not in wanted.at:
        return None
    return ClamAv(
        ClamAvSettings(
            ServiceAddress.parse(wanted.address),
            when_down=WhenDown(wanted.when_down),
            found=Action(wanted.found),
            time_s=_spared(config, wanted.time),
            max_size=wanted.size,
        )
    )


def make_rspamd(config: Config) -> Rspamd | None:
    wanted = config.rspamd
    if not wanted.address:
        return None
    return Rspamd(
        RspamdSettings(
            ServiceAddress.parse(wanted.address),
            when_down=WhenDown(wanted.when_down),
            follows=wanted.follow,
            scale=wanted.scale,
            headers=wanted.headers,
            password=password_in(wanted.password_file),
            time_s=_spared(config, wanted.time),
        ),
        hostname=config.hostname,
    )


def outside_times(wanted: Filters) -> dict[str, float]:
    """The limits for the filters that are other programs: they have their own, which end before these."""
    return dict.fromkeys(("milter", "clamav", "rspamd"), float(wanted.total_time))


def _spared(config: Config, seconds: float) -> float:
    return max(min(seconds, config.filters.total_time - SPARED_S), 1.0)


class Heard:
    """A mail path as a service has it: *path* with the milters that listen to it, which want to know when a client is gone."""

    def __init__(self, path: MailPath, milters: Milters | None) -> None:
        self.path = listened(path, milters)
        self._milters = milters

    def ended(self, client: Client) -> None:
        if self._milters is not None:
            self._milters.ended(client)


def make_outgoing(config: Config, data: Opened, flow: FlowSettings) -> Outgoing | None:
    """What is asked about mail of our own people; None if nothing is."""
    milters = make_milters(config, "submission")
    made: list[Filter[Examined] | None] = [make_attachments(config, "submission"), make_clamav(config, "submission")]
    filters = [one for one in made if one is not None]
    if milters is None and not filters:
        return None
    return Outgoing(
        filters=filters,
        milters=milters,
        editor=Editor(store=data.store, directory=data.directory, settings=flow),
    )
