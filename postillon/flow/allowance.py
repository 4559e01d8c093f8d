"""What an account may send: counted and refused in the commit (`storage.store.sending`), watched, held when it is not like it.

A stolen password is used to write to many strangers, quickly, from elsewhere. Limits bound the damage; the comparison with what
is usual for the account (`baseline`) ends it: its queue is held, the operator and the account are told, one command releases.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..log import Log
from ..message.incoming import Incoming
from ..model.address import Address
from ..model.errors import NotFound, NotPermitted, Refusal, SendingLimitReached
from ..model.ids import AccountId
from ..model.plan import Receipt
from ..model.queue import QueueState
from ..model.sending import Charge, SendingLimits, Usage
from ..seams import Clock, Database, Directory, Tx
from ..storage.store import sending, settings, suppression
from . import baseline, notice_words
from .bounce import LanguageOf
from .notice import Notices

log = Log("sending")

_ASK = "If you may write to it again, ask your administrator to remove it from your list"


@dataclass(frozen=True, slots=True)
class AllowanceSettings:
    limits: SendingLimits = SendingLimits()
    watches: bool = True
    """Hold an account's queue when what it sends is not like it."""
    language: str = "en"
    """Of notices to the operator."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """An account's limits and use, as the administrator sees them."""

    limits: SendingLimits
    usage: Usage
    hold: sending.Hold | None


class Allowance:
    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        clock: Clock,
        notices: Notices,
        settings: AllowanceSettings | None = None,
        language_of: LanguageOf | None = None,
    ) -> None:
        self._language_of = language_of
        self._database = database
        self._directory = directory
        self._clock = clock
        self._notices = notices
        self._settings = settings or AllowanceSettings()

    # --- on the way of a submission --------------------------------------------------------------------------------

    async def check(self, account: AccountId) -> None:
        """At MAIL: an account that has used up its messages hears it before it sends another. Raises SendingLimitReached."""
        now, default = self._clock.now(), self._settings.limits

        def work(tx: Tx) -> None:
            sending.check_next(tx, account, default, now)

        try:
            await self._database.peek(work)
        except SendingLimitReached as refusal:
            await self.refused(account, refusal)
            raise

    async def check_recipient(self, account: AccountId, recipient: Address) -> None:
        """At RCPT: an address that the account had better not write to. Raises NotFound, NotPermitted."""
        now = self._clock.now()
        found = await self._database.peek(lambda tx: suppression.find(tx, account, recipient.key, now))
        if found is None:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(found.at))
        if found.cause is suppression.Cause.BOUNCE:
            raise NotFound(
                f"There was no <{recipient}> when you wrote to it on {day}. {_ASK}", status="5.1.1", detail=found.words
            )
        if found.cause is suppression.Cause.COMPLAINT:
            raise NotPermitted(
                f"<{recipient}> has complained about mail of yours on {day}. {_ASK}", status="5.7.1", detail=found.words
            )
        raise NotPermitted(f"<{recipient}> is on your list of addresses not to write to. {_ASK}", status="5.7.1")

    def charge(self, incoming: Incoming, account: AccountId) -> Charge:
        """What the commit counts."""
        hashes = dict.fromkeys(sending.recipient_hash(one.recipient.address.key) for one in incoming.accepted)
        return Charge(account, tuple(hashes), self._settings.limits, baseline.network_of(incoming.client.address))

    async def refused(self, account: AccountId, refusal: SendingLimitReached) -> None:
        """Tell the operator, once a day for each account."""
        log.warning("sending limit reached", account=account, limit=refusal.detail)
        try:
            day = self._clock.now() // 86400
            if await self._database.write(lambda tx: sending.tell_once(tx, account, day), (account,)):
                name = (await self._directory.account(account)).name
                await self._notices.operator(*notice_words.limit_reached(name, refusal.text, self._settings.language))
        except Refusal as error:
            log.warning("operator not told", reason=error.detail or error.text)

    async def accepted(self, charge: Charge, receipt: Receipt) -> None:
        """After the commit: now and then a look whether this is like the account."""
        usage = receipt.usage
        if usage is None or not self._settings.watches or not baseline.is_due(usage, len(charge.recipients)):
            return
        now = self._clock.now()
        profile = await self._database.read(lambda tx: sending.profile(tx, charge.account, now))
        found = baseline.signs(profile, usage, charge.network, time.gmtime(now).tm_hour)
        if found:
            await self.hold(charge.account, found)

    # --- holding ---------------------------------------------------------------------------------------------------

    async def hold(self, account: AccountId, found: list[str]) -> bool:
        """Hold what *account* sends and has waiting, and tell those concerned. False: it was held already."""
        now, why = self._clock.now(), ", ".join(notice_words.SIGNS["en"][sign] for sign in found or [""])
        if not await self._database.write(lambda tx: sending.hold(tx, account, why, now), (account,)):
            return False
        await self._turn(account, QueueState.WAITING, QueueState.ACCOUNT_HELD)
        log.warning("account held", account=account, signs=",".join(found) or "-")
        try:
            name = (await self._directory.account(account)).name
            await self._notices.operator(*notice_words.held_for_operator(name, found, self._settings.language))
            language = await self._language_of(account) if self._language_of is not None else "en"
            await self._notices.account(account, *notice_words.held_for_account(name, found, language))
        except Refusal as error:
            log.warning("nobody told of a held account", account=account, reason=error.detail or error.text)
        return True

    async def release(self, account: AccountId) -> int | None:
        """Let it send again: how many recipients waited; None if it was not held."""
        was_held = await self._database.write(lambda tx: sending.release(tx, account), (account,))
        # Also if it was not: an earlier release may have been cut off halfway, and what it left would wait for ever.
        count = await self._turn(account, QueueState.ACCOUNT_HELD, QueueState.WAITING)
        return count if was_held or count else None

    async def _turn(self, account: AccountId, before: QueueState, after: QueueState) -> int:
        total = 0
        while count := await self._database.write(lambda tx: sending.change_step(tx, account, before, after), heavy=True):
            total += count
        return total

    # --- the administrator's side ----------------------------------------------------------------------------------

    async def allowed(self, account: AccountId) -> Allowed:
        now = self._clock.now()

        def work(tx: Tx) -> Allowed:
            limits = sending.limits_of(settings.all_of(tx, account), self._settings.limits)
            return Allowed(limits, sending.usage(tx, account, now), sending.hold_of(tx, account))

        return await self._database.read(work)

    async def limit(self, account: AccountId, changes: dict[str, int | None]) -> None:
        """Other limits from now on, by name; None: as configured for all."""
        await self._database.write(lambda tx: sending.set_limits(tx, account, changes), (account,))

    async def suppressed(self, account: AccountId) -> list[suppression.Suppressed]:
        """Whom *account* does not write to any more."""
        now, found = self._clock.now(), []
        after = ""
        while page := await self._database.read(lambda tx, after=after: suppression.page(tx, account, after)):  # type: ignore[misc]
            after = page[-1].address
            found += [one for one in page if one.counts(now)]
        return found

    async def suppress(self, account: AccountId, recipient: Address) -> None:
        now, cause = self._clock.now(), suppression.Cause.OPERATOR
        await self._database.write(lambda tx: suppression.add(tx, account, recipient.key, now, cause, ""))

    async def unsuppress(self, account: AccountId, recipient: Address) -> bool:
        return await self._database.write(lambda tx: suppression.remove(tx, account, recipient.key))

    async def prune(self) -> int:
        """One step for the janitor."""
        now = self._clock.now()
        return await self._database.write(lambda tx: sending.prune(tx, now) + suppression.prune(tx, now), heavy=True)
