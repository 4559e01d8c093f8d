"""Loading snapshots from the store, keeping them fresh, and dropping those that nobody looks at when memory is short."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace

from ...model.account import Principal
from ...model.errors import NotFound
from ...model.ids import AccountId, MailboxId, Uid
from ...model.mail import Mailbox
from ...storage.store import Store
from .keywords import Keywords
from .snapshot import Snapshot

SLICE = 10_000
"""Rows read by one statement while loading."""
MAX_ACCOUNTS = 10_000
"""Whose keyword names are kept."""

Key = tuple[AccountId | None, AccountId, MailboxId, int]
"""(who looks, owner, mailbox, uidvalidity). Who looks matters: \\Seen is each viewer's own in a shared mailbox."""


class Loaded:
    """A mailbox in memory: the snapshot and the way to refresh it."""

    __slots__ = ("_lock", "_store", "account", "counted", "keywords", "mailbox", "principal", "snapshot", "uidvalidity")

    def __init__(self, store: Store, principal: Principal, mailbox: Mailbox, keywords: Keywords, snapshot: Snapshot) -> None:
        self.principal = principal
        self.account = mailbox.account
        self.mailbox = mailbox.id
        self.uidvalidity = mailbox.uidvalidity
        self.keywords = keywords
        self.snapshot = snapshot
        self.counted = 0
        """Octets this one has in the sum of `Snapshots`."""
        self._store = store
        self._lock = asyncio.Lock()

    @property
    def key(self) -> Key:
        return (self.principal.account, self.account, self.mailbox, self.uidvalidity)

    async def refresh(self) -> Mailbox | None:
        """Bring the snapshot up to the store's state. The mailbox row, or None if the mailbox is gone.

        Costs one read of a row where nothing happened. Raises Unavailable.
        """
        try:
            mailbox = await self._store.mailbox(self.principal, self.account, self.mailbox)
        except NotFound:
            self.snapshot.exists = False
            return None
        if mailbox.uidvalidity != self.uidvalidity or not mailbox.selectable:
            self.snapshot.exists = False
            return None
        if mailbox.modseq > self.snapshot.modseq:
            async with self._lock:
                if mailbox.modseq > self.snapshot.modseq:
                    await self._read_changes()
        return mailbox if self.snapshot.exists else None

    async def _read_changes(self) -> None:
        changes = await self._store.changes(self.principal, self.account, self.mailbox, self.snapshot.modseq)
        await self.name_keywords([word for _, word, _ in changes.changed])
        if not changes.complete:
            changes = replace(changes, gone=await self._missing())
        self.snapshot.apply(changes)

    async def _missing(self) -> list[Uid]:
        """What we have and the store has no more: we were not looked at for so long that its tombstones are gone."""
        there: set[int] = set()
        last = 0
        while rows := await self._store.snapshot(self.principal, self.account, self.mailbox, last, SLICE):
            there.update(row[0] for row in rows)
            last = rows[-1][0]
        return [Uid(uid) for uid in self.snapshot.uids if uid not in there]

    async def name_keywords(self, words: list[int]) -> None:
        """See that every keyword bit in *words* has its name, since a bit without one cannot be sent."""
        if not self.keywords.know(words):
            self.keywords.learn(await self._store.keywords(self.account))

    async def load(self, modseq: int) -> None:
        """Read all rows in slices, then what happened meanwhile. *modseq*: the mailbox' as read before the first slice."""
        snapshot, last = self.snapshot, 0
        while rows := await self._store.snapshot(self.principal, self.account, self.mailbox, last, SLICE):
            snapshot.extend(rows)
            last = rows[-1][0]
            if len(rows) < SLICE:
                break
        snapshot.modseq = type(snapshot.modseq)(modseq)
        await self.name_keywords(list(snapshot.words))
        await self._read_changes()


class Snapshots:
    """All mailboxes in memory on this worker."""

    def __init__(self, *, store: Store, limit: int = 256 << 20) -> None:
        """*limit*: octets. Mailboxes that are selected count but are never dropped."""
        self._store = store
        self._limit = limit
        self._total = 0
        self._loaded: OrderedDict[Key, Loaded] = OrderedDict()
        self._loading: dict[Key, asyncio.Lock] = {}
        self._keywords: OrderedDict[AccountId, Keywords] = OrderedDict()

    async def open(self, principal: Principal, mailbox: Mailbox) -> tuple[Loaded, Mailbox]:
        """The mailbox in memory and fresh, with its row as of now. Raises NotFound, Unavailable."""
        key = (principal.account, mailbox.account, mailbox.id, mailbox.uidvalidity)
        lock = self._loading.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # the second one who asks waits and finds it loaded
                loaded = self._loaded.get(key) or await self._load(principal, mailbox)
                self._loaded[key] = loaded
        finally:
            if not lock.locked() and self._loading.get(key) is lock:
                del self._loading[key]
        row = await loaded.refresh()
        if row is None:
            self._forget(loaded)
            raise NotFound("Mailbox does not exist")
        if loaded.snapshot.is_sparse:
            loaded = self._compact(loaded, row)
        self._loaded.move_to_end(key)
        self._count(loaded)
        self._evict(keep=loaded)
        return loaded, row

    async def keywords(self, account: AccountId) -> Keywords:
        """The account's keyword names, read on first need."""
        found = self._keywords.get(account)
        if found is None:
            found = Keywords()
            found.learn(await self._store.keywords(account))
            found = self._keywords.setdefault(account, found)
        self._keywords.move_to_end(account)
        if len(self._keywords) > MAX_ACCOUNTS:
            self._keywords.popitem(last=False)  # whose mailboxes are in memory hold on to theirs
        return found

    async def _load(self, principal: Principal, mailbox: Mailbox) -> Loaded:
        loaded = Loaded(self._store, principal, mailbox, await self.keywords(mailbox.account), Snapshot())
        await loaded.load(mailbox.modseq)
        return loaded

    def _compact(self, old: Loaded, row: Mailbox) -> Loaded:
        fresh = Loaded(self._store, old.principal, row, old.keywords, old.snapshot.compacted())
        self._forget(old)
        self._loaded[fresh.key] = fresh
        return fresh

    def _count(self, loaded: Loaded) -> None:
        size = loaded.snapshot.size
        self._total += size - loaded.counted
        loaded.counted = size

    def _forget(self, loaded: Loaded) -> None:
        if self._loaded.get(loaded.key) is loaded:
            del self._loaded[loaded.key]
            self._total -= loaded.counted
            loaded.counted = 0

    def _evict(self, keep: Loaded) -> None:
        if self._total <= self._limit:
            return
        for loaded in list(self._loaded.values()):
            if self._total <= self._limit:
                return
            if loaded is not keep and not loaded.snapshot.views:
                self._forget(loaded)
