"""A maildrop: the inbox as it was at login, numbered for one POP3 session (RFC 1939 §3, §5).

Numbers, sizes and unique ids never change in a session. What IMAP expunges meanwhile is refused, never another message, since
everything is asked for by uid. Nothing is removed before `remove`.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Sequence

from ...model.account import Account, Principal
from ...model.errors import NotFound
from ...model.mail import Email, Mailbox
from ...storage.store import Rope, Store

STEP = 2000
KEPT = 64
"""Rows of messages that are read at a time and kept, for clients that fetch one after the other."""


class Maildrop:
    def __init__(self, store: Store, account: Account, mailbox: Mailbox) -> None:
        self._store = store
        self._principal = Principal(account.id)
        self._mailbox = mailbox
        self._modseq = mailbox.modseq
        self._uids = array("Q")
        self._sizes = array("Q")
        self._ropes: dict[int, Rope] = {}
        self._gone: set[int] = set()
        self.deleted: set[int] = set()
        """Numbers marked by DELE."""

    @classmethod
    async def open(cls, store: Store, account: Account) -> Maildrop:
        """The account's inbox now."""
        principal = Principal(account.id)
        mailbox = await store.find_mailbox(principal, account.id, ("INBOX",))
        drop = cls(store, account, mailbox)
        after = 0
        while rows := await store.snapshot(principal, account.id, mailbox.id, after, STEP):
            after = rows[-1][0]
            for row in await store.email_sizes(principal, account.id, mailbox.id, [row[0] for row in rows]):
                drop._uids.append(row[0])
                drop._sizes.append(row[3])
        return drop

    # --- what it holds ---------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The highest number."""
        return len(self._uids)

    @property
    def left(self) -> list[int]:
        """Numbers that are not marked as deleted."""
        return [number for number in range(1, len(self._uids) + 1) if number not in self.deleted]

    @property
    def octets(self) -> int:
        return sum(self._sizes) - sum(self._sizes[number - 1] for number in self.deleted)

    def has(self, number: int) -> bool:
        """Is there such a message, not marked as deleted?"""
        return 1 <= number <= len(self._uids) and number not in self.deleted

    def check(self, number: int) -> None:
        """Raises NotFound unless *number* is a message that is not marked as deleted."""
        if not 1 <= number <= len(self._uids):
            raise NotFound("No such message")
        if number in self.deleted:
            raise NotFound("Message is deleted")

    def size(self, number: int) -> int:
        return self._sizes[number - 1]

    def unique_id(self, number: int) -> str:
        """RFC 1939 §7 UIDL: never the same for another message, the same in every session."""
        return f"{self._mailbox.uidvalidity}.{self._uids[number - 1]}"

    # --- messages --------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Learn what was expunged by others since we looked last; one key read when nothing was."""
        changes = await self._store.changes(self._principal, self._mailbox.account, self._mailbox.id, self._modseq)
        if changes.modseq == self._modseq and changes.exists:
            return
        self._modseq = changes.modseq
        self._gone.update(changes.gone)
        for uid in changes.gone:
            self._ropes.pop(uid, None)

    async def _ropes_of(self, numbers: Sequence[int]) -> list[Rope]:
        """After `refresh`. Raises NotFound if one of them has been expunged."""
        uids = [self._uids[number - 1] for number in numbers]
        if any(uid in self._gone for uid in uids):
            raise NotFound("Message has been removed meanwhile")
        if any(uid not in self._ropes for uid in uids):
            await self._read_rows(numbers)
        try:
            return [self._ropes[uid] for uid in uids]
        except KeyError as error:
            raise NotFound("Message has been removed meanwhile") from error

    async def _read_rows(self, numbers: Sequence[int]) -> None:
        ahead = range(numbers[-1] + 1, min(numbers[-1] + KEPT, len(self._uids)) + 1)
        wanted = {self._uids[number - 1] for number in (*numbers, *ahead)} - self._gone
        rows: list[Email] = await self._store.emails(self._principal, self._mailbox.account, self._mailbox.id, sorted(wanted))
        self._ropes = {email.uid: self._store.octets(email) for email in rows}

    async def read(self, numbers: Sequence[int]) -> list[bytes]:
        """Whole messages, small ones, in one go. Raises NotFound if one of them has been expunged."""
        ropes = await self._ropes_of(numbers)
        return await self._store.read_many([(rope, 0, rope.size) for rope in ropes])

    async def pieces(self, number: int, octets: int) -> AsyncIterator[bytes]:
        """A message in slices of so many *octets*. Raises NotFound before the first one."""
        (rope,) = await self._ropes_of([number])
        for start in range(0, rope.size, octets):
            yield await self._store.read_octets(rope, start, min(start + octets, rope.size))

    async def remove(self) -> int:
        """Remove what is marked, durable when this returns; how many of them were still there."""
        uids = sorted(self._uids[number - 1] for number in self.deleted)
        if not uids:
            return 0
        return len(await self._store.remove(self._principal, self._mailbox.account, self._mailbox.id, uids))
