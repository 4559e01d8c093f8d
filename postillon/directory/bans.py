"""Temporary bans: who collects offences is refused at accept for a growing time, by all protocols and all workers.

An offence costs a dictionary's step when it happens. Once a second each worker adds what it noted to counters in the side
database; who is over the limit there gets a row in `ban`, and a wake makes all workers read it. Counted is the host (an IPv4
address, an IPv6 /64); a network of several banned hosts (/24, /56) is banned as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from ..log import Log
from ..model.errors import NotFound, Refusal
from ..model.ip import ip_of
from ..net.networks import Networks
from ..seams import BANS_TOPIC, Bus, Clock, Database, Tx
from ..storage.store import bans, limits
from ..storage.store.bans import FOREVER, Ban
from .subjects import key_of, sliding, subjects

HOUR, DAY = 3600, 86_400
KEPT = 10_000
"""Hosts whose offences a worker remembers or waits to write down at a time."""
RELOAD_MARGIN_S = 60
"""A change may be committed so much later than it was dated."""
FLUSH_S = 1.0
log = Log("bans")


class Offence(Enum):
    """What was done, and the points that it costs."""

    LOGIN = ("failed logins", 3)
    UNKNOWN = ("unknown recipients", 1)
    RELAY = ("relay attempts", 3)
    EARLY = ("talking before its turn", 5)
    PROTOCOL = ("protocol errors", 1)
    PERSISTENT = ("errors until the connection ended", 5)
    INJECTION = ("commands smuggled before TLS", 15)

    @property
    def words(self) -> str:
        return self.value[0]

    @property
    def points(self) -> int:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class BanSettings:
    is_on: bool = True
    """False: nobody is banned for offences; an administrator's bans hold all the same."""
    points: int = 30
    """So many points within an hour are a ban."""
    first_s: int = 600
    factor: int = 4
    """Each ban of the same network lasts so many times as long as the one before."""
    longest_s: int = 7 * DAY
    mild_s: int = HOUR
    """The longest for unknown recipients alone: it may be a list that is slow to learn who has left."""
    remember_s: int = 30 * DAY
    """How long a ban that has ended makes the next one longer."""
    hosts: int = 4
    """So many hosts of a network banned within a day ban the network."""
    message_points: int = 2
    """What a message that was taken makes good."""
    trusted: tuple[str, ...] = ("127.0.0.1", "::1")
    """Networks that are never banned, in CIDR notation."""


class Bans:
    """*database* has the bans, *side* the counters. `run` until cancelled; `refusal` and `note` never wait."""

    def __init__(self, database: Database, side: Database, bus: Bus, clock: Clock, settings: BanSettings | None = None) -> None:
        self._database = database
        self._side = side
        self._bus = bus
        self._clock = clock
        self.settings = settings or BanSettings()
        self._trusted = Networks(self.settings.trusted)
        self._active: dict[tuple[int, int], dict[int, Ban]] = {}
        """By (IP version, bits that do not count) and the bits that do."""
        self._noted: dict[str, dict[Offence | None, int]] = {}
        """Host → what is not yet written down; None: messages taken."""
        self._offenders: dict[str, None] = {}
        """Hosts that have offended lately: only for them a message is worth a note."""
        self._hosts: dict[str, str] = {}
        self.on_banned: Callable[[Ban], None] = lambda ban: None
        """Told of each ban that this worker makes."""
        self._loaded_at = 0
        self._flushing = asyncio.Event()

    # --- asked by everybody, at every connection

    def refusal(self, address: str) -> str:
        """Why *address* may not come in now, in words that it may hear; or nothing."""
        if not self._active:
            return ""
        ban = self._ban_of(address)
        if ban is None:
            return ""
        if ban.ends >= FOREVER:
            return "Your address is refused"
        return f"Your address is refused until {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(ban.ends))}: {ban.reason}"

    def _ban_of(self, address: str) -> Ban | None:
        try:
            ip = ip_of(address)
        except ValueError:
            return None
        now, value = self._clock.now(), int(ip)
        for (version, bits), found in self._active.items():
            if version == ip.version and (ban := found.get(value >> bits)) is not None and ban.ends > now:
                return None if ip in self._trusted else ban
        return None

    # --- told by everybody

    def note(self, address: str, offence: Offence) -> None:
        """*address* has done that. What is no IP address (a local socket) is nobody's."""
        host = self._host_of(address) if self.settings.is_on else ""
        if not host:
            return
        self._offenders.pop(host, None)
        self._offenders[host] = None
        if len(self._offenders) > KEPT:
            del self._offenders[next(iter(self._offenders))]
        self._add(host, offence)

    def made_good(self, address: str) -> None:
        """A message of *address* was taken: a list's sender with some dead subscribers is no spy."""
        if self._offenders and (host := self._host_of(address)) in self._offenders:
            self._add(host, None)

    def _host_of(self, address: str) -> str:
        """Under what *address* is counted; empty for the trusted, and for what is no IP address."""
        host = self._hosts.get(address)
        if host is None:
            try:
                host = "" if ip_of(address) in self._trusted else subjects(address)[0]
            except ValueError:
                host = ""
            if len(self._hosts) >= KEPT:
                self._hosts.clear()
            self._hosts[address] = host
        return host

    def _add(self, host: str, what: Offence | None) -> None:
        if host not in self._noted and len(self._noted) >= KEPT:
            return
        counts = self._noted.setdefault(host, {})
        counts[what] = counts.get(what, 0) + 1
        self._flushing.set()

    # --- the worker's task

    async def run(self) -> None:
        """Read the bans, and write down what was noted, each when there is something to do."""
        waker = self._bus.subscribe(BANS_TOPIC)
        moved = asyncio.Event()
        waker.on_set(moved.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_loaded(moved, waker.clear))
                tasks.create_task(self._keep_written())
        finally:
            waker.close()

    async def _keep_loaded(self, moved: asyncio.Event, clear: Callable[[], None]) -> None:
        while True:
            moved.clear()
            clear()
            await self._safely(self.load)
            with contextlib.suppress(TimeoutError):  # a wake may be lost
                async with asyncio.timeout(300):
                    await moved.wait()

    async def _keep_written(self) -> None:
        while True:
            await self._flushing.wait()
            await asyncio.sleep(FLUSH_S)
            await self._safely(self.flush)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        """The worker lives on whatever happens here."""
        try:
            await work()
        except Refusal as refusal:
            log.warning("bans are not up to date", reason=refusal.detail or refusal.text)
        except Exception as error:
            log.error("bans are not up to date", exc=error)

    async def load(self) -> None:
        """Make what `refusal` knows what the database has."""
        now, since = self._clock.now(), self._loaded_at
        self._loaded_at = now - RELOAD_MARGIN_S
        found = await self._database.read(lambda tx: bans.changed(tx, since) if since else bans.active(tx, now))
        for ban in found:
            network = ipaddress.ip_network(ban.network)
            bits = network.max_prefixlen - network.prefixlen
            place = self._active.setdefault((network.version, bits), {})
            if ban.ends > now:
                place[int(network.network_address) >> bits] = ban
            else:
                place.pop(int(network.network_address) >> bits, None)
        self._forget_ended(now)

    def _forget_ended(self, now: int) -> None:
        for key, place in list(self._active.items()):
            left = {value: ban for value, ban in place.items() if ban.ends > now}
            if left:
                self._active[key] = left
            else:
                del self._active[key]

    async def flush(self) -> None:
        """Count what was noted, and ban who is over the limit."""
        self._flushing.clear()
        noted, self._noted = self._noted, {}
        if not noted:
            return
        now, settings = self._clock.now(), self.settings
        made_good = {host: counts.pop(None, 0) * settings.message_points for host, counts in noted.items()}
        points = {
            host: sum(kind.points * times for kind, times in counts.items() if kind is not None) - made_good[host]
            for host, counts in noted.items()
        }
        totals = await self._side.write(lambda tx: _counted(tx, points, HOUR, now))
        over = {host: noted[host] for host, total in totals.items() if total >= settings.points and noted[host]}
        if over:
            await self._ban({host: _reason(counts) for host, counts in over.items()}, now)

    async def _ban(self, reasons: dict[str, str], now: int) -> None:
        """Ban hosts (→ reason), and the networks where there are too many of them."""
        made = await self._put({_cidr(host): reason for host, reason in reasons.items()}, now)
        networks: dict[str, int] = {}
        for ban in made:
            if ban.level == 0:  # each host once
                network = subjects(ban.network.partition("/")[0])[1]
                networks[network] = networks.get(network, 0) + 1
        banned = await self._side.write(lambda tx: _counted(tx, networks, DAY, now))
        over = {network: total for network, total in banned.items() if total >= self.settings.hosts}
        spared = {network for network in over if self._overlaps_trusted(network)}
        await self._put(
            {network: f"{int(total)} of its addresses were banned" for network, total in over.items() if network not in spared},
            now,
        )
        await self._side.write(lambda tx: limits.forget(tx, [key_of(b"o", host) for host in reasons]))
        await self.load()

    async def _put(self, wanted: dict[str, str], now: int) -> list[Ban]:
        if not wanted:
            return []
        made = await self._database.write(lambda tx: _put(tx, wanted, now, self.settings))
        for ban in made:
            log.warning("banned", peer=ban.network, seconds=ban.ends - now, reason=ban.reason)
            self.on_banned(ban)
        return made

    def _overlaps_trusted(self, network: str) -> bool:
        wanted = ipaddress.ip_network(network)
        return any(
            one.version == wanted.version and one.overlaps(wanted) for one in map(ipaddress.ip_network, self.settings.trusted)
        )

    def _is_trusted(self, network: str) -> bool:
        """The whole *network* is."""
        wanted = ipaddress.ip_network(network)
        trusted = map(ipaddress.ip_network, self.settings.trusted)
        return any(one.version == wanted.version and one.supernet_of(wanted) for one in trusted)  # type: ignore[arg-type]

    # --- the administrator's

    async def active(self) -> list[Ban]:
        now = self._clock.now()
        return await self._database.read(lambda tx: bans.active(tx, now))

    async def add(self, network: str, seconds: int | None, reason: str) -> Ban:
        """Refuse *network* (an address or CIDR) for so long, or for ever. Raises Refusal."""
        now, name = self._clock.now(), _parsed(network)
        if self._is_trusted(name):
            raise Refusal(f"{name} is trusted (`protection.trusted`), so a ban would have no effect", status="5.5.4")
        ban = Ban(name, now, FOREVER if seconds is None else now + seconds, 0, reason)

        def work(tx: Tx) -> None:
            bans.put(tx, ban, now)
            tx.wake(BANS_TOPIC)

        await self._database.write(work)
        await self.load()
        self.on_banned(ban)
        return ban

    async def remove(self, network: str) -> Ban:
        """Let *network* in again, as if it had never been banned. Raises NotFound."""
        now, name = self._clock.now(), _parsed(network)

        def work(tx: Tx) -> Ban:
            found = bans.find(tx, [name]).get(name)
            if found is None or found.ends <= now:
                raise NotFound(f"{name} is not banned; `postillon ban list` shows who is", status="5.1.1")
            bans.put(tx, Ban(name, now, now, 0, found.reason), now)  # it lasted no time, so it does not count
            tx.wake(BANS_TOPIC)
            return found

        removed = await self._database.write(work)
        host = name.removesuffix("/32")
        await self._side.write(lambda tx: limits.forget(tx, [key_of(b"o", host)]))
        await self.load()
        return removed

    async def prune(self) -> int:
        """Remove bans that do not count any more, some at a time; for the janitor. Returns how many."""
        before = self._clock.now() - self.settings.remember_s
        return await self._database.write(lambda tx: bans.prune(tx, before))


def _cidr(host: str) -> str:
    """A host as `subjects` names it, in CIDR notation."""
    return str(ipaddress.ip_network(host))


def _parsed(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError as error:
        raise Refusal(f"{text!r} is no IP address and no network like 192.0.2.0/24", status="5.5.4") from error


def _reason(counts: dict[Offence | None, int]) -> str:
    """The offence that weighs most, in words."""
    return max((kind for kind in counts if kind is not None), key=lambda kind: kind.points * counts[kind]).words


def _counted(tx: Tx, points: dict[str, int], window: int, now: int) -> dict[str, float]:
    """Add *points* by name to the counters of a sliding *window*; what they are then."""
    keys = {name: key_of(b"o", name) for name in points}
    started = now - now % window
    limits.add_points(tx, [(keys[name], started, count, started + 2 * window) for name, count in points.items()])
    found: dict[tuple[bytes, int], int] = {}
    names = list(keys.values())
    for at in range(0, len(names), 200):
        found |= limits.counts(tx, names[at : at + 200])
    return {name: sliding(found, key, window, now) for name, key in keys.items()}


def _put(tx: Tx, reasons: dict[str, str], now: int, settings: BanSettings) -> list[Ban]:
    """Bans of networks → reasons, each longer than the one before; those that are banned already are left out."""
    wanted: list[Ban] = []
    names = list(reasons)
    for some in (names[at : at + 200] for at in range(0, len(names), 200)):
        known = bans.find(tx, some)
        wanted += _longer(some, known, reasons, now, settings)
    made = bans.begin(tx, wanted, now)
    tx.wake(BANS_TOPIC)
    return made


def _longer(
    names: Iterable[str], known: dict[str, Ban], reasons: dict[str, str], now: int, settings: BanSettings
) -> Iterable[Ban]:
    for name in names:
        before = known.get(name)
        if before is not None and before.ends > now:
            continue
        counts = before is not None and before.ends > before.since and before.ends + settings.remember_s > now
        level = before.level + 1 if before is not None and counts else 0
        longest = settings.mild_s if reasons[name] == Offence.UNKNOWN.words else settings.longest_s
        lasts = min(settings.first_s * settings.factor ** min(level, 20), longest)
        yield Ban(name, now, now + lasts, level, reasons[name])
