"""Failed logins, counted once for all protocols and all workers (rows in the side database).

By address (IPv6: its /64) and by network (/24, /56) there are limits a minute and a day; beyond them nobody from there is
admitted until the window has passed. By account name there is a delay that doubles with each failure, never a lockout, and it
does not hold for addresses from which that account has logged in before. Windows slide: the one before counts with the part
of it that is still younger than a window.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from postillon.log import Log
from postillon.model.errors import AuthenticationDelayed, Unavailable
from postillon.seams import Clock, Database, Tx
from postillon.storage.store import limits

from .subjects import key_of, row_of, sliding, subjects

MINUTE, DAY = 60, 86_400
LOOPBACK = ("127.0.0.1", "::1")
log = Log("limiter")

TEXT = "Too many failed logins; try again later"


@dataclass(frozen=True, slots=True)
class LimiterSettings:
    per_minute: int = 10
    """Failures of one address."""
    per_day: int = 50
    network_factor: int = 3
    """A network may fail so many times as often as an address."""
    name_free: int = 5
    """Failures of an account name within a day before the delay begins; it doubles from a second on."""
    name_longest_s: int = 120
    remember_s: int = 30 * DAY
    """How long an address is remembered from which an account logged in."""
    loopback_exempt: bool = False
    """127.0.0.1 and ::1, and only these two, are never limited (developer mode)."""


class _Keys:
    """The keys of one login attempt."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.network = subjects(address)
        self.by_address = key_of(b"a", self.address)
        self.by_network = key_of(b"n", self.network)
        self.by_name = key_of(b"u", name)
        self.last = key_of(b"l", name)
        self.known = key_of(b"k", f"{self.address} {name}")


class Limiter:
    """The shared limiter. *database* is the side database, migrated with `side_schema`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: LimiterSettings | None = None,
        on_guess: Callable[[str], None] = lambda address: None,
    ) -> None:
        """*on_guess* hears the address of each failure that may be a guess."""
        self._database = database
        self._on_guess = on_guess
        self._clock = clock
        self._settings = settings or LimiterSettings()
        self._gates: dict[str, tuple[asyncio.Semaphore, int]] = {}

    def _is_exempt(self, address: str) -> bool:
        return self._settings.loopback_exempt and address in LOOPBACK

    async def check(self, address: str, name: str) -> None:
        """Raises AuthenticationDelayed if a login as *name* from *address* may not even be looked at now."""
        if self._is_exempt(address):
            return
        keys, now, settings = _Keys(address, name), self._clock.now(), self._settings
        wanted = [keys.by_address + b"m", keys.by_address + b"d", keys.by_network + b"m", keys.by_network + b"d"]
        wanted += [keys.by_name, keys.last, keys.known]
        found = await self._database.peek(lambda tx: limits.counts(tx, wanted))
        for key, window, limit in (
            (wanted[0], MINUTE, settings.per_minute),
            (wanted[1], DAY, settings.per_day),
            (wanted[2], MINUTE, settings.per_minute * settings.network_factor),
            (wanted[3], DAY, settings.per_day * settings.network_factor),
        ):
            if sliding(found, key, window, now) >= limit:
                raise AuthenticationDelayed(TEXT, detail=f"{address}: {limit} failures in {window} s")
        failures = sliding(found, keys.by_name, DAY, now)
        if failures >= settings.name_free and found.get((keys.known, 0), 0) + settings.remember_s <= now:
            wait = min(1 << min(int(failures) - settings.name_free, 30), settings.name_longest_s)
            if now < found.get((keys.last, 0), 0) + wait:
                raise AuthenticationDelayed(TEXT, detail=f"{int(failures)} failures for this name")

    async def failed(self, address: str, name: str, *, is_repeated: bool = False) -> None:
        """Count a failure. *is_repeated*: the same wrong password as before (a client with an old one), which is no new guess
        and so counts by the minute only.
        """
        if self._is_exempt(address):
            return
        if not is_repeated:
            self._on_guess(address)
        keys, now = _Keys(address, name), self._clock.now()
        rows = [row_of(keys.by_address + b"m", MINUTE, now), row_of(keys.by_network + b"m", MINUTE, now)]
        if not is_repeated:
            rows += [
                row_of(keys.by_address + b"d", DAY, now),
                row_of(keys.by_network + b"d", DAY, now),
                row_of(keys.by_name, DAY, now),
            ]

        def work(tx: Tx) -> None:
            limits.add(tx, rows)
            limits.mark(tx, keys.last, now, now + DAY)

        await self._database.write(work)

    async def succeeded(self, address: str, name: str) -> None:
        """Remember that *name* logged in from *address*; writes at most once a day for each pair."""
        if self._is_exempt(address):
            return
        keys, now = _Keys(address, name), self._clock.now()
        found = await self._database.peek(lambda tx: limits.counts(tx, [keys.known]))
        if found.get((keys.known, 0), 0) + DAY <= now:
            until = now + self._settings.remember_s
            try:
                await self._database.write(lambda tx: limits.mark(tx, keys.known, now, until))
            except Unavailable as error:  # the disk is full, say: who knows the password may come in and delete something
                log.warning("a login is not remembered", reason=error.detail or error.text)

    @asynccontextmanager
    async def turn(self, address: str, name: str) -> AsyncIterator[None]:
        """Hold this around the costly check of a password. So many attempts as may fail a minute run at a time, the others
        wait and are judged anew, so a burst of guesses is not admitted before the first of them was counted.

        Raises as `check`.
        """
        if self._is_exempt(address):
            yield
            return
        async with (
            self._gate("name " + name, self._settings.name_free),
            self._gate("address " + subjects(address)[0], self._settings.per_minute),
        ):
            await self.check(address, name)
            yield

    @asynccontextmanager
    async def _gate(self, subject: str, places: int) -> AsyncIterator[None]:
        semaphore, users = self._gates.get(subject) or (asyncio.Semaphore(places), 0)
        self._gates[subject] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            semaphore, users = self._gates[subject]
            if users == 1:
                del self._gates[subject]
            else:
                self._gates[subject] = (semaphore, users - 1)

    async def prune(self) -> int:
        """Remove counters that have ended, some at a time; for the janitor. Returns how many."""
        now = self._clock.now()
        return await self._database.write(lambda tx: limits.prune(tx, now))
