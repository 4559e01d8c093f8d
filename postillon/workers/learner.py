"""Learns from what people do with their mail, after the fact, so that no dialogue waits for it.

Every few seconds what was seen is written down (`filters/notebook.py`), and lessons that wait are learned: mail that was moved to
or out of Junk, marked, or answered. Each lesson changes the account's own counts and the shared ones, once; taking it back
takes back what was learned. One worker of a machine learns lessons, each writes down what it has seen.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from ..filters.known import keys_of
from ..filters.notebook import Notebook
from ..filters.stored import MOST, examined_again
from ..filters.tokens import VERSION, tokens
from ..log import Log
from ..model.account import SERVER
from ..model.errors import Refusal
from ..seams import Clock
from ..storage.knowledge import EVERYBODY, Heard, Knowledge, Learn, Lesson, Wish
from ..storage.store import Store

log = Log("learner")

WORD = 3.0
"""What somebody's word adds to a sender's reputation, in messages."""


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    hostname: str = ""
    """Our authserv-id."""
    every_s: float = 5.0
    settle_s: int = 2
    """So long a lesson waits: who moves a message by mistake moves it back at once."""
    batch: int = 50
    sweep_every_s: float = 86400.0
    forget_days: int = 180
    """Words seen once are forgotten when they were not seen again for so long."""


class Learner:
    """`run` until cancelled. *learns*: this worker learns lessons and forgets what is old."""

    def __init__(
        self,
        *,
        store: Store,
        knowledge: Knowledge,
        notebook: Notebook,
        clock: Clock,
        learns: bool,
        settings: LearnerSettings | None = None,
    ) -> None:
        self._store = store
        self._knowledge = knowledge
        self._notebook = notebook
        self._clock = clock
        self._learns = learns
        self._settings = settings or LearnerSettings()
        self._swept = time.monotonic()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.every_s)
            await self.run_once()

    async def run_once(self) -> None:
        """What fails is tried again the next time."""
        try:
            await self._notebook.flush()
            if self._learns:
                while await self.learn() == self._settings.batch:
                    pass
                if time.monotonic() - self._swept > self._settings.sweep_every_s:
                    self._swept = time.monotonic()
                    await self._sweep()
        except Refusal as refusal:
            log.warning("learning put off", status=refusal.status, reason=refusal.detail or refusal.text)
        except Exception as error:
            log.error("learning failed", exc=error)

    async def learn(self) -> int:
        """Learn the lessons that wait; how many were looked at."""
        waiting = await self._knowledge.lessons(self._settings.batch)
        ripe = self._clock.now() - self._settings.settle_s
        for lesson in waiting:
            if lesson.at <= ripe:
                await self._end(lesson)
        return len(waiting) if all(lesson.at <= ripe for lesson in waiting) else 0

    async def _end(self, lesson: Lesson) -> None:
        try:
            await self._lesson(lesson)
        except Refusal:
            raise  # the store is busy: later
        except Exception as error:  # one message may not keep all others from being learned
            log.error("lesson skipped", account=lesson.account, email=lesson.email, exc=error)
            await self._knowledge.lesson_learned(lesson, VERSION, [])

    async def _lesson(self, lesson: Lesson) -> None:
        wish: Wish = Wish.GOOD if lesson.wish is Wish.ANSWERED else lesson.wish
        if lesson.wish is Wish.ANSWERED and lesson.learned is not Wish.NONE:
            wish = lesson.learned
        if wish is lesson.learned:
            await self._knowledge.lesson_learned(lesson, lesson.version, [])
            return
        emails = await self._store.emails_by_id(SERVER, lesson.account, [lesson.email])
        if not emails:
            await self._knowledge.lesson_learned(lesson, VERSION, [])
            return
        rope = self._store.octets(emails[0])
        octets = await self._store.read_octets(rope, 0, min(rope.size, MOST))
        found, senders = await asyncio.to_thread(_read, octets, self._settings.hostname)
        changes: list[Learn] = []
        for owner in (lesson.account, EVERYBODY):
            if lesson.learned is not Wish.NONE and lesson.version == VERSION:
                changes.append(Learn(owner, found, lesson.learned is Wish.BAD, -1))
            if wish is not Wish.NONE:
                changes.append(Learn(owner, found, wish is Wish.BAD))
        if await self._knowledge.lesson_learned(lesson, VERSION, changes):
            good = WORD * ((wish is Wish.GOOD) - (lesson.learned is Wish.GOOD))
            bad = WORD * ((wish is Wish.BAD) - (lesson.learned is Wish.BAD))
            await self._knowledge.note((), dict.fromkeys(senders, Heard(good, bad)))
            log.info("lesson learned", account=lesson.account, email=lesson.email, wish=wish.name.lower(), tokens=len(found))

    async def _sweep(self) -> None:
        await self._knowledge.sweep()
        before = self._clock.now() // 86400 - self._settings.forget_days
        for owner, _, _ in await self._knowledge.totals():
            while await self._knowledge.forget_tokens(owner, before, 500):
                pass


def _read(octets: bytes, hostname: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(tokens, what the sender is known by)."""
    examined = examined_again(octets, hostname)
    return tokens(examined), tuple(keys_of(examined).values())
