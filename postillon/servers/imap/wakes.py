"""What rings the alarm of a session: its account, the accounts of others whose mailboxes it looks at, and the directory."""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import partial

from ...model.ids import AccountId
from ...seams import DIRECTORY_TOPIC, Bus, Waker
from .dialogue import Alarm


class Wakes:
    """The wakers of one session. None before login."""

    __slots__ = ("_alarm", "_bus", "_own", "watched")

    def __init__(self, bus: Bus, alarm: Alarm) -> None:
        self._bus = bus
        self._alarm = alarm
        self._own: list[Waker] = []
        self.watched: dict[AccountId, Waker] = {}
        """Of other accounts."""

    def begin(self, account: AccountId) -> None:
        """*account* has logged in."""
        self._own = [
            self._subscribe(account, self._news),
            self._subscribe(DIRECTORY_TOPIC, partial(self._alarm.set, accounts=True)),
        ]

    def watch(self, accounts: Set[AccountId]) -> None:
        """Besides its own, hear of these and of no others."""
        for account in accounts - self.watched.keys():
            self.watched[account] = self._subscribe(account, self._news)
        for account in self.watched.keys() - accounts:
            _release(self.watched.pop(account))

    def end(self) -> None:
        """Hear of nothing any more."""
        for waker in (*self._own, *self.watched.values()):
            _release(waker)
        self._own.clear()
        self.watched.clear()

    def _news(self) -> None:
        self._alarm.set(news=True)

    def _subscribe(self, topic: int, ring: Callable[[], None]) -> Waker:
        waker = self._bus.subscribe(topic)

        def moved() -> None:
            waker.clear()  # first clear, then ring: what happens meanwhile rings again
            ring()

        waker.on_set(moved)
        return waker


def _release(waker: Waker) -> None:
    waker.on_set(None)
    waker.close()
