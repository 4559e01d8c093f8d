"""What a worker knows of a mailbox' messages in the search index: which email each is, and whether its text is there.

Both are remembered beside the snapshot. Only what was not in the index at the last look is asked for again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from ...log import Log
from ...message.folding import needle_of
from ...model.errors import Refusal
from ...protocols.imap import search_keys as keys
from ...protocols.imap.search_keys import SearchKey
from ...seams import SearchIndex
from ...storage.store import Store
from .snapshot import Snapshot
from .snapshots import Loaded

STEP = 2000
SLICE = 20_000

log = Log("imap")


class Indexed:
    """Of one mailbox. *documents*: what the index calls each slot's message; 0: it has not all of its text."""

    __slots__ = ("_account", "_emails", "_generation", "_index", "_mailbox", "_principal", "_store", "_uids", "documents")

    def __init__(self, loaded: Loaded, store: Store, index: SearchIndex) -> None:
        # Not the snapshot itself: this lives as long as that does.
        self._principal, self._account, self._mailbox = loaded.principal, loaded.account, loaded.mailbox
        self._uids = loaded.snapshot.uids
        self._store = store
        self._index = index
        self._generation = index.generation
        self._emails: array[int] = array("q")
        self.documents: array[int] = array("q")

    async def wanted(self, slots: Sequence[int]) -> set[int]:
        """The documents of *slots*, as far as there are any. None where there is no index now."""
        try:
            await self._learn_emails()
            await self._learn_documents(slots)
        except Refusal as refusal:
            log.warning("search without the index", status=refusal.status, reason=refusal.detail or refusal.text)
            return set()
        documents = self.documents
        return {documents[slot] for slot in slots} - {0}

    async def _learn_emails(self) -> None:
        uids = self._uids
        if self._generation != self._index.generation:
            self._generation = self._index.generation
            self.documents = array("q", bytes(8 * len(self.documents)))
        while (start := len(self._emails)) < len(uids):
            stop = min(start + SLICE, len(uids))
            rows = await self._store.email_ids(self._principal, self._account, self._mailbox, uids[start], uids[stop - 1])
            if len(self._emails) != start:
                continue  # another session was faster
            found = {row[0]: row[1] for row in rows}
            self._emails.extend([found.get(uid, 0) for uid in uids[start:stop]])
            self.documents.extend([0] * (stop - start))

    async def _learn_documents(self, slots: Sequence[int]) -> None:
        emails = self._emails
        missing = [slot for slot in slots if not self.documents[slot] and emails[slot]]
        for at in range(0, len(missing), STEP):
            part = missing[at : at + STEP]
            known = await self._index.known([emails[slot] for slot in part])
            for slot in part:
                self.documents[slot] = known.get(emails[slot], 0)

    async def ask(self, key: SearchKey, among: set[int], breathe: Callable[[], Any]) -> set[int] | None:
        """Those of *among* that meet *key*; None if the index cannot tell."""
        index = self._index
        try:
            if isinstance(key, keys.Header):
                return await index.in_field(key.field, needle_of(key.text), among, breathe)
            assert isinstance(key, keys.Body | keys.Text)
            needle = needle_of(key.text)
            found = await index.in_body(needle, among, breathe)
            if isinstance(key, keys.Text):
                found |= await index.in_head(needle, among - found, breathe)
        except Refusal as refusal:
            log.warning("search without the index", status=refusal.status, reason=refusal.detail or refusal.text)
            return None
        # A new index began while we asked: what it did not find says nothing.
        return found if self._generation == index.generation else None


class IndexedMailboxes:
    """Of one worker: an `Indexed` for each snapshot that was searched, for as long as the snapshot lives."""

    def __init__(self, store: Store, index: SearchIndex) -> None:
        self._store = store
        self._index = index
        self._known: WeakKeyDictionary[Snapshot, Indexed] = WeakKeyDictionary()

    def of(self, loaded: Loaded) -> Indexed:
        found = self._known.get(loaded.snapshot)
        if found is None:
            found = self._known[loaded.snapshot] = Indexed(loaded, self._store, self._index)
        return found
