"""Removes, in small steps, what nobody refers to any more: bodies, expunged emails, old marks, ended counters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..log import Log
from ..model.errors import Refusal

log = Log("janitor")

Step = Callable[[], Awaitable[int]]
"""One step: how much it did. 0: nothing is left to do."""


@dataclass(frozen=True, slots=True)
class JanitorSettings:
    every_s: float = 60
    pause_s: float = 0.05
    """Between two steps, so that mail goes first."""
    pressed_every_s: float = 1
    """How often at most when we are pressed to hurry."""


class Janitor:
    """`run` until cancelled; *steps* are called in turn, each until it has nothing to do."""

    def __init__(self, steps: tuple[Step, ...], settings: JanitorSettings | None = None) -> None:
        self._steps = steps
        self._settings = settings or JanitorSettings()
        self._pressed = asyncio.Event()

    def press(self) -> None:
        """Do not wait for the next time: the disk is nearly full."""
        self._pressed.set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.pressed_every_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.every_s):
                    await self._pressed.wait()
            self._pressed.clear()
            for step in self._steps:
                await self._until_done(step)

    async def _until_done(self, step: Step) -> None:
        try:
            while await step() > 0:  # noqa: ASYNC110
                await asyncio.sleep(self._settings.pause_s)
        except Refusal as refusal:
            log.warning("cleaning put off", status=refusal.status, reason=refusal.detail or refusal.text)
        except Exception as error:
            log.error("cleaning failed", exc=error)
