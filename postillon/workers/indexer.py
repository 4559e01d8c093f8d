"""Brings new mail into the search index, a little at a time, so that delivery does not feel it.

Which mailboxes have grown is learnt from the newest emails, every few seconds, and from a walk over all mailboxes, at the
start and then seldom, which finds whatever the other way misses. Where a mailbox was left is kept in the index itself, so
a new start goes on there, and an index that was lost is made again. One worker of a machine runs this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..log import Log
from ..model.account import SERVER
from ..model.errors import NotFound, Refusal
from ..model.ids import AccountId, MailboxId
from ..model.mail import Email
from ..storage.search.documents import Document, documents, text_plan
from ..storage.search.index import TextIndex
from ..storage.store import Store

log = Log("indexer")

OVERLAP_S = 10
"""Ids are made before their commit, by several workers: those of the last seconds are looked at again."""

ROOM = 4
"""Octets of disk for an octet of text, with the log of the database."""

BUSY_S = 2
"""So long we look back to see whether much mail comes."""


@dataclass(frozen=True, slots=True)
class IndexerSettings:
    every_s: float = 2
    walk_every_s: float = 3600
    batch: int = 100
    """Messages read and added at a time."""
    batch_octets: int = 4 << 20
    largest: int = 4 << 20
    """Octets of text, still encoded, above which a message is not kept but read by each search."""
    share: float = 0.5
    """Of a core, while there is something to do."""
    busy: int = 30
    """New messages a second from which on it rests *busy_pause_s* after each batch."""
    busy_pause_s: float = 1


class Indexer:
    """`run` until cancelled."""

    def __init__(self, store: Store, index: TextIndex, settings: IndexerSettings | None = None) -> None:
        self._store = store
        self._index = index
        self._settings = settings or IndexerSettings()
        self._last = 0
        self._walked = float("-inf")
        self._generation = -1
        self._is_put_off = False

    async def run(self) -> None:
        while True:
            await self.run_once()
            await asyncio.sleep(self._settings.every_s)

    async def run_once(self) -> None:
        """What fails is tried again the next time."""
        try:
            await self.catch_up()
            self._is_put_off = False
        except Refusal as refusal:
            if not self._is_put_off:  # said once, not every few seconds
                log.warning("indexing put off", status=refusal.status, reason=refusal.detail or refusal.text)
            self._is_put_off = True
        except Exception as error:
            log.error("indexing failed", exc=error)

    async def catch_up(self) -> int:
        """Index what is new; how many messages."""
        before = self._index.generation
        now = time.monotonic()
        accounts = await self._grown()
        count = 0
        if now - self._walked >= self._settings.walk_every_s or before != self._generation:
            self._walked, self._generation = now, before
            count = await self._walk()
            await self._sweep()
        for account in accounts:
            count += await self._account(account)
        if self._index.generation != before:
            self._walked = float("-inf")  # it began anew while we worked: all has to go in again
        return count

    async def _grown(self) -> set[AccountId]:
        """Accounts with emails that were not there at the last look."""
        if not self._last:
            self._last = await self._store.last_email()
            return set()
        rows = await self._store.newer_emails(max(self._last - (OVERLAP_S * 1000 << 22), 0))
        self._last = max([self._last, *(row[2] for row in rows)])
        return {AccountId(row[0]) for row in rows}

    async def _walk(self) -> int:
        count = after = 0
        while accounts := await self._store.accounts(after, 200):
            for account in accounts:
                count += await self._account(account)
                await asyncio.sleep(0.001)
            after = accounts[-1]
        return count

    async def _account(self, account: AccountId) -> int:
        count = 0
        try:
            boxes = await self._store.mailboxes(SERVER, account)
            marks = await self._index.marks(account)
            for box in boxes:
                if box.uidnext - 1 > marks.get(box.id, 0) and box.selectable:
                    count += await self._mailbox(account, box.id, marks.get(box.id, 0), box.uidnext - 1)
        except NotFound:
            pass  # it was removed
        return count

    async def _mailbox(self, account: AccountId, mailbox: MailboxId, mark: int, last: int) -> int:
        count = 0
        while mark < last:
            started = time.monotonic()
            # The index can be made again; it may not take the room that mail needs.
            await self._store.check_space(ROOM * self._settings.batch_octets)
            rows = await self._store.snapshot(SERVER, account, mailbox, mark, self._settings.batch)
            uids = [row[0] for row in rows if row[0] <= last]
            new = await self._store.emails(SERVER, account, mailbox, uids) if uids else []
            known = await self._index.known([email.id for email in new])
            new = [email for email in new if email.id not in known]
            end = uids[-1] if uids else last
            await self._add(account, new, mailbox, end)
            mark, count = end, count + len(new)
            await self._rest(time.monotonic() - started)
        return count

    async def _rest(self, worked_s: float) -> None:
        """Mail goes first."""
        settings = self._settings
        rows = await self._store.newer_emails(self._store.new_ids(1)[0] - (BUSY_S * 1000 << 22))
        is_busy = sum(row[1] for row in rows) > settings.busy * BUSY_S
        await asyncio.sleep(settings.busy_pause_s if is_busy else worked_s * (1 / settings.share - 1))

    async def _add(self, account: AccountId, emails: Sequence[Email], mailbox: MailboxId, uid: int) -> None:
        made: list[Document] = []
        for group in self._groups(emails):
            plans = [text_plan(email, self._store.octets(email)) for email in group]
            octets = await self._store.read_many([one for plan in plans for one in plan.ranges])
            made += await asyncio.to_thread(documents, group, plans, octets)
        large = {email.id for email in emails} - {one.email for one in made}
        made += [Document(email, b"", b"", whole=False) for email in large]
        made.sort(key=lambda one: one.email)
        await self._index.add(account, made, mailbox, uid)

    def _groups(self, emails: Sequence[Email]) -> Iterable[list[Email]]:
        """Emails whose texts are read together; those with too much text are left out."""
        group: list[Email] = []
        total = 0
        for email in emails:
            size = text_plan(email, self._store.octets(email)).size
            if size > self._settings.largest:
                continue
            if group and total + size > self._settings.batch_octets:
                yield group
                group, total = [], 0
            group.append(email)
            total += size
        if group:
            yield group

    async def _sweep(self) -> None:
        """Forget documents whose emails are gone, should the janitor's word have been lost."""
        after = 0
        while rows := await self._index.sample(after, 1000):
            there = await self._store.existing_emails([row[1] for row in rows])
            await self._index.remove([row[1] for row in rows if row[1] not in there])
            after = rows[-1][0]
            await asyncio.sleep(0.05)
