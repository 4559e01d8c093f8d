"""DKIM keys on their way: made ahead, seen in DNS, signing, retired, removed; by hand or, where wanted, by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from ..log import Log
from ..mailauth.tags import TagError, parse_tags, without_space
from ..model.errors import Refusal, Unavailable
from ..seams import Clock, Resolver
from .dkim import RETIRED, RETIRED_FOR_S, SIGNING, WAITING, DkimKey, DkimKeys, quoted, record_text

DAY = 86_400
SETTLE_S = 20 * 3600
"""How long the records of new keys must have been in DNS before automatic rotation signs with them."""
REMIND_S = 7 * DAY
log = Log("dkim")

Tell = Callable[[str, str], Awaitable[None]]
"""Tells the operator: subject, text."""


class Published(Enum):
    """What DNS has at a key's name."""

    YES = "published"
    NO = "not published"
    OTHER = "another key is published"
    UNKNOWN = "DNS gave no answer"


async def published(resolver: Resolver, key: DkimKey) -> Published:
    """Whether the record of *key* can be seen. Raises Refusal if the key itself cannot be read."""
    wanted = parse_tags(record_text(key.path))["p"]
    answer = await resolver.txt(key.record_name)
    if answer.is_temporary:
        return Published.UNKNOWN
    found = [_key_of(str(text)) for text in answer.records[:10]]
    if wanted in found:
        return Published.YES
    return Published.OTHER if any(found) else Published.NO


def _key_of(text: str) -> str:
    try:
        return without_space(parse_tags(text).get("p", ""))
    except TagError:
        return ""


async def rotate(keys: DkimKeys, resolver: Resolver, domain: str, now: int, *, force: bool = False) -> list[DkimKey]:
    """The next step for *domain*. New keys sign only if DNS has them, unless *force*. Raises Refusal."""
    waiting = [one for one in keys.of(domain) if one.state == WAITING]
    for one in () if force else waiting:
        match await published(resolver, one):
            case Published.UNKNOWN:
                raise Unavailable(f"DNS gave no answer for {one.record_name}; try again, or --force if you know that it is there")
            case Published.NO | Published.OTHER as found:
                raise Refusal(
                    f"DNS does not have {one.record_name} ({found.value}): publish what `postillon dkim records {domain}` prints,"
                    " then try again",
                    status="5.5.4",
                )
    return await asyncio.to_thread(keys.rotate, domain, month(now), now)


def month(now: int) -> str:
    return time.strftime("%Y%m", time.gmtime(now))


@dataclass(frozen=True, slots=True)
class RotationSettings:
    every_s: int = 0
    """How old keys may be that sign; 0: nothing happens by itself."""


class DkimRotation:
    """`step` once a day, on one worker."""

    def __init__(
        self, *, keys: DkimKeys, resolver: Resolver, clock: Clock, tell: Tell, settings: RotationSettings | None = None
    ) -> None:
        self._keys = keys
        self._resolver = resolver
        self._clock = clock
        self._tell = tell
        self._settings = settings or RotationSettings()
        self._reminded: dict[str, int] = {}

    async def step(self) -> int:
        """Do what is due for each domain; returns for how many something was."""
        if not self._settings.every_s:
            return 0
        changed = 0
        for domain in self._keys.domains():
            try:
                before = self._keys.of(domain)
                await self._domain(domain)
                changed += before != self._keys.of(domain)
            except Refusal as refusal:
                log.warning("keys not rotated", domain=domain, reason=refusal.detail or refusal.text)
            except Exception as error:
                log.error("keys not rotated", domain=domain, exc=error)
        return changed

    async def _domain(self, domain: str) -> None:
        now, keys = self._clock.now(), self._keys.of(domain)
        for one in keys:
            if one.state == RETIRED and one.since + RETIRED_FOR_S <= now:
                self._keys.retire(one.selector, domain, now)
                log.info("key removed", domain=domain, selector=one.selector)
                await self._tell(
                    f"Remove the DKIM record {one.record_name}", f"Nothing is signed with it any more:\n\n{one.record_name}\n"
                )
        waiting = [one for one in keys if one.state == WAITING]
        if waiting:
            await self._waiting(domain, waiting, now)
        elif any(one.state == SIGNING and one.since + self._settings.every_s <= now for one in keys):
            made = await asyncio.to_thread(self._keys.rotate, domain, month(now), now)
            self._reminded[domain] = now
            log.info("new keys wait", domain=domain)
            await self._ask_to_publish(domain, [one for one in made if one.state == WAITING])

    async def _waiting(self, domain: str, waiting: list[DkimKey], now: int) -> None:
        found = [await published(self._resolver, one) for one in waiting]
        if Published.UNKNOWN in found:
            return
        if any(one is not Published.YES for one in found):
            if self._reminded.setdefault(domain, now) + REMIND_S <= now:
                self._reminded[domain] = now
                await self._ask_to_publish(domain, waiting)
            return
        seen = min(one.seen for one in waiting)
        if not seen:
            await asyncio.to_thread(self._keys.saw, domain, now)
        elif seen + SETTLE_S <= now:
            await asyncio.to_thread(self._keys.rotate, domain, month(now), now)
            log.info("new keys sign", domain=domain, selectors=",".join(one.selector for one in waiting))

    async def _ask_to_publish(self, domain: str, waiting: list[DkimKey]) -> None:
        records = "\n".join(f"{one.record_name}. TXT {quoted(record_text(one.path))}" for one in waiting)
        await self._tell(
            f"Publish new DKIM records for {domain}",
            f"The keys that sign for {domain} are old. Please publish these records; a day after they are seen in DNS mail is\n"
            f"signed with them, and a week later you will be told which old records may go:\n\n{records}\n",
        )
