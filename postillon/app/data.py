"""The data directory and what is opened over it: the same for a worker, for preparing, and for a command without a server."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import apsw

from ..bus.local import LocalBus
from ..config import Config
from ..directory.bans import Bans, BanSettings, Offence
from ..directory.known import Known
from ..directory.limiter import Limiter, LimiterSettings
from ..directory.local import DirectorySettings, LocalDirectory
from ..directory.oauth import OAuthSettings, OAuthTokens
from ..directory.pool import PasswordPool
from ..filters.notebook import Notebook
from ..model.record import Record, Stage
from ..net.tls import client_context
from ..seams import Bus, Clock
from ..storage.blobs.files import FileBlobs
from ..storage.db.sqlite import SqliteDatabase
from ..storage.ids import IdSource
from ..storage.knowledge import Knowledge
from ..storage.search.index import FileIndex
from ..storage.space import Space
from ..storage.store import Store, owner_of
from ..storage.store.bans import Ban
from .lives import Lives
from .password_file import password_in

SECRET = "secret"
"""The setting that holds the installation's secret."""
LEAST_SQLITE = (3, 51, 3)
"""Earlier ones can damage a WAL database that several processes write."""
DEV_BAN_POINTS = 100
"""`BanSettings.points` in developer mode."""


class DataError(Exception):
    """The data directory cannot be used; the words are for the administrator."""


class SystemClock:
    def now(self) -> int:
        return int(time.time())


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in the data directory."""

    root: Path

    @property
    def mail(self) -> str:
        return str(self.root / "mail.db")

    @property
    def side(self) -> str:
        return str(self.root / "side.db")

    @property
    def search(self) -> str:
        return str(self.root / "search.db")

    @property
    def blobs(self) -> str:
        return str(self.root / "blobs")

    @property
    def spool(self) -> str:
        return str(self.root / "spool")

    @property
    def run(self) -> str:
        return str(self.root / "run")

    @property
    def dkim(self) -> Path:
        """Keys by domain; made by the first one."""
        return self.root / "dkim"

    def make(self, *, must_be_private: bool = True) -> None:
        """Make what is missing; readable by its owner only. Raises DataError, also when others can read the root itself.

        *must_be_private* False: for a developer's server it may be any directory; what we make in it is private all the same.
        """
        try:
            for path in (str(self.root), self.blobs, self.spool, self.run):
                os.makedirs(path, mode=0o700, exist_ok=True)
            mode = stat.S_IMODE(os.stat(self.root).st_mode)
            if mode & 0o077 and must_be_private:
                raise DataError(f"{self.root} can be read by others (mode {mode:o}); it holds mail and keys: chmod 700 it")
            if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
                raise DataError(f"{self.root} cannot be written by user {os.geteuid()}")
        except OSError as error:
            raise DataError(f"{error.filename or self.root}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Opened:
    config: Config
    layout: Layout
    clock: Clock
    ids: IdSource
    bus: Bus
    database: SqliteDatabase
    side: SqliteDatabase
    store: Store
    index: FileIndex
    pool: PasswordPool
    limiter: Limiter
    bans: Bans
    known: Known
    directory: LocalDirectory
    secret: bytes = field(repr=False)
    """The installation's."""
    knowledge: Knowledge
    notebook: Notebook
    """What this worker has seen and not yet written down."""


def _tokens(config: Config, clock: Clock) -> OAuthTokens | None:
    """Who verifies access tokens, if there is anybody. Raises DataError."""
    said = config.oauth
    if not said.issuer:
        return None
    try:
        secret = password_in(said.client_secret_file)
        context = client_context(verify=True, ca_file=said.authorities or None)
    except OSError as error:
        raise DataError(f"oauth: {error.filename or said.authorities}: {error.strerror}") from error
    settings = OAuthSettings(said.issuer, said.audience, said.claim, said.scope, said.introspection, said.client_id, secret)
    return OAuthTokens(settings=settings, clock=clock, context=context)


@asynccontextmanager
async def opened(
    config: Config, *, instance: int, slot: int = 0, workers: int = 1, bus: LocalBus | None = None, checkpoints: bool = True
) -> AsyncIterator[Opened]:
    """Open the databases and all that only needs them; closed in order at the end. Raises Unavailable, DataError."""
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < LEAST_SQLITE:
        raise DataError(f"SQLite {apsw.sqlite_lib_version()} is too old; {'.'.join(map(str, LEAST_SQLITE))} is the least")
    layout = Layout(Path(config.data))
    clock, ids = SystemClock(), IdSource(instance)
    hub = bus or LocalBus()
    database = SqliteDatabase(layout.mail, hub.publish, checkpoints=checkpoints).open()
    side = SqliteDatabase(layout.side, hub.publish, readers=1, synchronous="NORMAL", checkpoints=checkpoints).open()
    index = FileIndex(layout.search, clock.now, checkpoints=checkpoints)  # opened on first need: it is no part of the mail
    pool = PasswordPool()
    try:
        store = Store(
            database,
            FileBlobs(layout.blobs),
            clock,
            ids,
            layout.spool,
            owner=owner_of(slot, instance),
            is_alive=Lives(layout.run),
            slot=slot,
            workers=workers,
            space=Space(str(layout.root)),
            index=index,
            keeps_records=config.records.keep_days > 0,
        )
        bans = Bans(database, side, hub, clock, ban_settings(config))
        bans.on_banned = lambda ban: store.note(record_of(ban))
        settings = LimiterSettings(loopback_exempt=config.development is not None)
        limiter = Limiter(side, clock, settings, lambda address: bans.note(address, Offence.LOGIN))
        secret = await _secret(store)
        directory = LocalDirectory(
            database=database,
            limiter=limiter,
            pool=pool,
            clock=clock,
            ids=ids,
            secret=secret,
            settings=DirectorySettings(default_quota=config.limits.quota),
            tokens=_tokens(config, clock),
        )
        knowledge = Knowledge(database, clock)
        notebook = Notebook(knowledge)
        yield Opened(
            config,
            layout,
            clock,
            ids,
            hub,
            database,
            side,
            store,
            index,
            pool,
            limiter,
            bans,
            Known(side, clock),
            directory,
            secret,
            knowledge,
            notebook,
        )
    finally:
        pool.close()
        await index.close()
        await side.close()
        await database.close()


def record_of(ban: Ban) -> Record:
    """For `postillon trace ADDRESS`: why nothing more comes from there."""
    peer = ban.network.removesuffix("/32")
    return Record(Stage.BANNED, ban.since, {"peer": peer, "until": ban.ends, "reason": ban.reason})


def ban_settings(config: Config) -> BanSettings:
    wanted = config.protection
    settings = BanSettings(is_on=wanted.bans, trusted=wanted.trusted)
    # A harness offends on purpose, and from few addresses.
    return settings if config.development is None else replace(settings, points=DEV_BAN_POINTS)


async def _secret(store: Store) -> bytes:
    """The installation's secret; empty only before the preparing process has made it, when nobody logs in."""
    return await store.setting(SECRET) or b""
