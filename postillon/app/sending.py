"""How mail is sent, and what accounts may send, put together from the configuration: for a worker, and without a server."""

from __future__ import annotations

from dataclasses import fields

from ..config import Config, Sending
from ..config.sending import Origin as OriginSettings
from ..flow.allowance import Allowance, AllowanceSettings
from ..flow.bounce import LanguageOf
from ..flow.deliver import FlowSettings
from ..flow.notice import Notices
from ..flow.own_mail import OwnMail
from ..mailauth.srs import Srs
from ..model.ids import AccountId
from ..model.sending import NO_LIMITS, SendingLimits
from ..net.socks import Proxy
from ..relay.egress import Egress, EgressSettings, Member
from ..relay.hop import Origin
from .data import Opened
from .password_file import password_in


def flow_settings(config: Config) -> FlowSettings:
    return FlowSettings(
        hostname=config.hostname,
        max_size=config.limits.message_size,
        remote_allowed=config.development is None or bool(config.dns.servers),
        routed_domains=frozenset({*config.sending.routes, *config.relay_domains}),
        queue_lifetime_s=config.sending.lifetime,
        longest_hold_s=config.sending.longest_hold,
        no_soliciting=frozenset(keyword.lower() for keyword in config.protection.no_soliciting),
        quarantine_s=config.content.quarantine_days * 86400,
        quarantine_room=config.content.quarantine_size,
    )


def make_allowance(config: Config, data: Opened) -> Allowance:
    wanted = config.limits.submission
    # A developer's server is for sending as much as one likes; an account's own limits hold there as well.
    limits = SendingLimits(**{field.name: getattr(wanted, field.name) for field in fields(SendingLimits)})
    return Allowance(
        database=data.database,
        directory=data.directory,
        clock=data.clock,
        notices=make_notices(config, data),
        language_of=make_language(data),
        settings=AllowanceSettings(NO_LIMITS if config.development is not None else limits, wanted.watch),
    )


def make_notices(config: Config, data: Opened) -> Notices:
    settings = flow_settings(config)
    mail = OwnMail(store=data.store, directory=data.directory, clock=data.clock, ids=data.ids, settings=settings)
    return Notices(
        store=data.store,
        directory=data.directory,
        mail=mail,
        clock=data.clock,
        ids=data.ids,
        hostname=config.hostname,
    )


def make_srs(config: Config, data: Opened) -> Srs | None:
    """None: the senders of what aliases hand on stay what they are."""
    return Srs(data.secret) if config.sending.srs and data.secret else None


def make_language(data: Opened) -> LanguageOf:
    async def language_of(account: AccountId) -> str:
        return (await data.knowledge.choice(account)).language

    return language_of


def make_egress(sending: Sending, workers: int = 1) -> Egress:
    destinations = sending.destinations.items()
    return Egress(
        EgressSettings(
            pools={name: tuple(_member(one, workers) for one in origins) for name, origins in sending.pools.items()},
            proxies={
                name: Proxy(one.host, one.port, one.login, password_in(one.password_file))
                for name, one in sending.proxies.items()
            },
            pool=sending.pool,
            proxy=sending.proxy,
            pool_of={domain: one.pool for domain, one in destinations if one.pool},
            proxy_of={domain: one.proxy for domain, one in destinations if one.proxy},
        )
    )


def _member(one: OriginSettings, workers: int) -> Member:
    rate = one.per_minute / workers if one.per_minute else None
    return Member(Origin(one.address, one.name), one.share, rate)
