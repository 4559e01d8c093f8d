"""What accounts may send, put together from the configuration: for a worker, and for a command without a server."""

from __future__ import annotations

from dataclasses import fields

from ..config import Config
from ..flow.allowance import Allowance, AllowanceSettings
from ..flow.bounce import LanguageOf
from ..flow.notice import Notices
from ..mailauth.srs import Srs
from ..model.ids import AccountId
from ..model.sending import NO_LIMITS, SendingLimits
from .data import Opened


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
    return Notices(
        store=data.store,
        directory=data.directory,
        clock=data.clock,
        ids=data.ids,
        hostname=config.hostname,
        queue_lifetime_s=config.sending.lifetime,
    )


def make_srs(config: Config, data: Opened) -> Srs | None:
    """None: the senders of what aliases hand on stay what they are."""
    return Srs(data.secret) if config.sending.srs and data.secret else None


def make_language(data: Opened) -> LanguageOf:
    async def language_of(account: AccountId) -> str:
        return (await data.knowledge.choice(account)).language

    return language_of
