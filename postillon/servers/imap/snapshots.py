"""Loading snapshots from the store, keeping them fresh, and dropping those that nobody looks at when memory is short."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace

from ...log import Log
from ...model.account import Principal
from ...model.errors import NotFound, NotPermitted, Refusal
from ...model.ids import AccountId, MailboxId, Uid
from ...model.mail import Mailbox
from ...storage.store import Store
from .keywords import Keywords
from .snapshot import Snapshot

log = Log("imap")

SLICE = 10_000
"""Rows read by one statement while loading."""
PACK_FROM = 20_000
"""Messages from which a mailbox is kept packed: to read so many rows takes a noticeable while."""
REPACK = 10
"""It is packed anew when more than one in so many has changed since."""
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
    def is_shared(self) -> bool:
        """It is not the viewer's own."""
        return not self.principal.may(self.account)

    @property
    def key(self) -> Key:
        return (self.principal.account, self.account, self.mailbox, self.uidvalidity)

    async def refresh(self) -> Mailbox | None:
        """Bring the snapshot up to the store's state. The mailbox row, or None if it is gone or may not be read any more.

        Costs one read of a row where nothing happened. Raises Unavailable.
        """
        try:
            mailbox = await self._store.mailbox(self.principal, self.account, self.mailbox)
        except (NotFound, NotPermitted):
            # A viewer may get his right back; what there is no more never comes back.
            self.snapshot.exists = self.is_shared
            return None
        if mailbox.uidvalidity != self.uidvalidity or not mailbox.selectable:
            self.snapshot.exists = False
            return None
        if mailbox.modseq > self.snapshot.modseq:
            async with self._lock:
                if mailbox.modseq > self.snapshot.modseq:
                    await self._read_changes()
        return mailbox if self.snapshot.exists else None

    async def _read_changes(self) -> int:
        """How much had changed."""
        changes = await self._store.changes(self.principal, self.account, self.mailbox, self.snapshot.modseq)
        await self.name_keywords([word for _, word, _ in changes.changed])
        if not changes.complete:
            changes = replace(changes, gone=await self._missing())
        self.snapshot.apply(changes)
        return len(changes.changed) + len(changes.gone)

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

    async def load(self, mailbox: Mailbox) -> None:
        """The mailbox as it was kept or, read in slices, as it is; then what happened since. *mailbox*: its row before that."""
        is_large = mailbox.total >= PACK_FROM
        if is_large and await self._load_pack():
            return
        await self._load_rows(mailbox.modseq)
        if is_large and not self.is_shared:
            await self._keep_pack()

    async def _load_pack(self) -> bool:
        """False: there is none, or it is so old that the rows are read as fast."""
        kept = await self._store.pack(self.principal, self.account, self.mailbox, self.uidvalidity)
        snapshot = Snapshot.of_pack(kept[1]) if kept is not None else None
        if snapshot is None:
            return False
        since = len(snapshot)
        self.snapshot = snapshot
        if self.is_shared:
            await self._mark_own()
        await self.name_keywords(list(snapshot.words))
        changes = await self._read_changes()
        if changes * REPACK > since and not self.is_shared:
            await self._keep_pack()
        return True

    async def _mark_own(self) -> None:
        """Put the viewer's own \\Seen in the place of the owner's, as of the pack. What came later is among the changes."""
        snapshot, after = self.snapshot, (0, 0)
        snapshot.unsee()
        while rows := await self._store.marks(self.principal, self.account, self.mailbox, snapshot.modseq, after, SLICE):
            snapshot.mark(rows)
            after = (rows[-1][2], rows[-1][0])

    async def _keep_pack(self) -> None:
        snapshot = self.snapshot
        try:
            await self._store.keep_pack(
                self.principal, self.account, self.mailbox, self.uidvalidity, snapshot.modseq, snapshot.packed()
            )
        except Refusal as refusal:
            log.warning("packed mailbox not kept", account=self.account, mailbox=self.mailbox, reason=refusal.text)

    async def _load_rows(self, modseq: int) -> None:
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
        await loaded.load(mailbox)
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
