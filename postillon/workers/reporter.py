"""Writes down what was counted for reports, and on one worker sends them once a day."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..log import Log
from ..model.errors import Refusal
from ..seams import Clock

log = Log("reports")
DAY = 86_400


@dataclass(frozen=True, slots=True)
class ReporterSettings:
    flush_s: float = 30
    offset_s: int = 0
    """Seconds after midnight (UTC) from which reports are sent, so that not all servers send at the same moment."""


class ReportWorker:
    """*flushes* each half minute; each of *sends*, which return how many they sent, once a day. `run` until cancelled."""

    def __init__(
        self,
        *,
        flushes: tuple[Callable[[], Awaitable[None]], ...],
        sends: tuple[Callable[[], Awaitable[int]], ...],
        clock: Clock,
        settings: ReporterSettings | None = None,
    ) -> None:
        self._flushes = flushes
        self._sends = sends
        self._clock = clock
        self._settings = settings or ReporterSettings()
        self._sent_on = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.flush_s)
            await self.step()

    async def step(self) -> None:
        """Do what is due."""
        for flush in self._flushes:
            await self._try(flush)
        today = (self._clock.now() - self._settings.offset_s) // DAY
        if today > self._sent_on:
            self._sent_on = today
            for send in self._sends:
                await self._try(send)

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Refusal as refusal:
            log.warning("reports put off", status=refusal.status, reason=refusal.detail or refusal.text)
        except Exception as error:
            log.error("reports failed", exc=error)
