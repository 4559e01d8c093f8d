"""Changing mail: flags, appending, copying, moving, expunging."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ....message.part import decode_structure, section
from ....message.prepare import prepare
from ....model.access import REMOVING, Rights
from ....model.account import Principal
from ....model.errors import NotFound
from ....model.ids import AccountId, EmailId, MailboxId, ModSeq, Uid
from ....model.mail import SEEN, changeable
from ....model.plan import File
from ....seams import Tx
from .. import across, email_changes
from ..across import Place, Source
from ..email_changes import CopyResult, FlagResult, Operation
from ..emails import STEP
from ..filing import AppendItem, add_blob, add_email, charge, keyword_bits, place, take_uids
from ..rights import allowed, judge, viewer_of
from .accepting import Accepting
from .core import LIGHT, READ_AT_ONCE
from .mailboxes import Mailboxes
from .reading import Reading

ACROSS_STEP = 200
"""Messages that are read at once on their way into another account."""
MAX_HEADER = 256 << 10
"""Octets of a header that are looked at for the thread of such a message."""


class Changing(Mailboxes, Reading, Accepting):
    """Changing mail: flags, appending, copying, moving, expunging."""

    async def store_flags(
        self,
        principal: Principal,
        account: AccountId,
        mailbox: MailboxId,
        uids: Sequence[int],
        op: Operation,
        flags: int,
        keywords: Sequence[bytes] = (),
        unchanged_since: int | None = None,
    ) -> FlagResult:
        """Add, remove or replace flags by set operations, in steps of 2,000 messages. Raises LimitReached (keywords).

        Who is not the owner changes those that he has the rights for; raises NotPermitted if that is none.
        """
        viewer = viewer_of(principal, account)
        result, now = FlagResult(ModSeq(0), [], []), self._clock.now()
        for at in range(0, max(len(uids), 1), STEP):
            part = uids[at : at + STEP]

            def work(tx: Tx, part: Sequence[int] = part) -> FlagResult:
                rights = judge(tx, principal, account, mailbox, Rights.READ)
                return email_changes.store_flags(
                    tx, account, mailbox, part, op, flags, keywords, unchanged_since, viewer, rights, now
                )

            step = await self._write(work, (account,), heavy=len(part) > LIGHT)
            result = FlagResult(step.modseq, result.changed + step.changed, result.failed + step.failed)
        return result

    async def append(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, items: Sequence[AppendItem]
    ) -> tuple[int, list[Uid]]:
        """File *items*, all or none: (uidvalidity, uids). Raises OverQuota, NotFound, NotPermitted, LimitReached."""
        for item in items:
            await self._place(item.body.blob, item.body.path)
        new, now = [EmailId(i) for i in self.new_ids(len(items))], self._clock.now()

        def work(tx: Tx) -> tuple[int, list[Uid]]:
            return _append(tx, principal, Place(account, mailbox), items, new, now)

        placed = [item.body.blob for item in items if item.body.path]
        return await self._file(placed, work, (account,), heavy=len(items) > LIGHT)

    async def replace(
        self,
        principal: Principal,
        account: AccountId,
        mailbox: MailboxId,
        uid: Uid,
        to_mailbox: MailboxId,
        item: AppendItem,
        to_account: AccountId | None = None,
    ) -> tuple[int, Uid]:
        """Store *item* in *to_mailbox* in place of *uid*, as one (RFC 8508): (uidvalidity, uid). Raises as `append` does, and
        NotFound if the message is gone. *to_account*: if the other mailbox is in another one."""
        await self._place(item.body.blob, item.body.path)
        new, now = [EmailId(self._ids.next())], self._clock.now()
        target = Place(account if to_account is None else to_account, to_mailbox)

        def work(tx: Tx) -> tuple[int, Uid]:
            if not email_changes.remove(tx, account, mailbox, [uid], now):
                raise NotFound("No such message")
            uidvalidity, uids = _append(tx, principal, target, [item], new, now)
            return uidvalidity, uids[0]

        judged = allowed(principal, account, mailbox, REMOVING, work)
        return await self._file([item.body.blob] if item.body.path else [], judged, tuple({account, target.account}))

    async def copy(
        self,
        principal: Principal,
        account: AccountId,
        mailbox: MailboxId,
        uids: Sequence[int],
        to_mailbox: MailboxId,
        to_account: AccountId | None = None,
    ) -> CopyResult:
        """All or none; to *to_account*, if that is another one. Raises NotFound (the target), NotPermitted, OverQuota,
        LimitReached.
        """
        if to_account is not None and to_account != account:
            return await self._copy_across(principal, Place(account, mailbox), Place(to_account, to_mailbox), uids, moves=False)
        now = self._clock.now()

        def work(tx: Tx) -> CopyResult:
            if principal.may(account):
                return email_changes.copy(tx, account, mailbox, uids, to_mailbox, now)
            judge(tx, principal, account, mailbox, Rights.READ)
            rights = judge(tx, principal, account, to_mailbox, Rights.INSERT)
            return across.copy_within(tx, principal, Place(account, mailbox), uids, to_mailbox, rights, now, moves=False)

        return await self.database.write(work, (account,), heavy=len(uids) > LIGHT)

    async def move(
        self,
        principal: Principal,
        account: AccountId,
        mailbox: MailboxId,
        uids: Sequence[int],
        to_mailbox: MailboxId,
        to_account: AccountId | None = None,
    ) -> CopyResult:
        """All or none; the source is expunged in the same transaction (RFC 6851). Raises as `copy`."""
        if to_account is not None and to_account != account:
            return await self._copy_across(principal, Place(account, mailbox), Place(to_account, to_mailbox), uids, moves=True)
        now = self._clock.now()

        def work(tx: Tx) -> CopyResult:
            if principal.may(account):
                return email_changes.move(tx, account, mailbox, uids, to_mailbox, now)
            judge(tx, principal, account, mailbox, Rights.READ | REMOVING)
            rights = judge(tx, principal, account, to_mailbox, Rights.INSERT)
            result = across.copy_within(tx, principal, Place(account, mailbox), uids, to_mailbox, rights, now, moves=True)
            email_changes.take_away(tx, account, mailbox, to_mailbox, result, now, principal.account)
            return result

        return await self._write(work, (account,), heavy=len(uids) > LIGHT)

    async def _copy_across(
        self, principal: Principal, source: Place, target: Place, uids: Sequence[int], *, moves: bool
    ) -> CopyResult:
        across.check_count(uids)
        needed = Rights.READ | (REMOVING if moves else Rights.NONE)
        await self.database.peek(lambda tx: judge(tx, principal, target.account, target.mailbox, Rights.INSERT))
        known: dict[int, Source] = {}
        for at in range(0, len(uids), ACROSS_STEP):
            known |= await self._sources(principal, source, uids[at : at + ACROSS_STEP])
        new, now = [EmailId(i) for i in self.new_ids(len(known))], self._clock.now()

        def work(tx: Tx) -> CopyResult:
            judge(tx, principal, source.account, source.mailbox, needed)
            rights = judge(tx, principal, target.account, target.mailbox, Rights.INSERT)
            result = across.copy_across(tx, principal, source, target, uids, known, new, rights, now)
            if moves:
                email_changes.take_away(tx, source.account, source.mailbox, None, result, now)
            return result

        return await self.database.write(work, (source.account, target.account), heavy=len(uids) > LIGHT)

    async def _sources(self, principal: Principal, source: Place, uids: Sequence[int]) -> dict[int, Source]:
        """By email id: the rows, and what threads are found by, from the headers. (Nothing of them ever changes.)"""
        found = await self.emails(principal, source.account, source.mailbox, uids)
        by_id = {email.id: email for email in found}
        ranges = []
        for email in by_id.values():
            rope = self.octets(email)
            start, stop = section(decode_structure(email.structure), (), "HEADER", rope.size - email.blob_size) or (0, 0)
            ranges.append((rope, start, min(stop, start + MAX_HEADER)))
        headers: list[bytes] = []
        for at in range(0, len(ranges), READ_AT_ONCE // MAX_HEADER):
            headers += await self.read_many(ranges[at : at + READ_AT_ONCE // MAX_HEADER])
        prepared = await asyncio.to_thread(lambda: [prepare(header) for header in headers])
        return {
            email.id: Source(email, replace(found, overview=email.overview, structure=email.structure))
            for email, found in zip(by_id.values(), prepared, strict=True)
        }

    async def expunge(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int] | None
    ) -> list[Uid]:
        """Remove the messages marked \\Deleted (of *uids*, if given), in steps; the uids removed."""
        now = self._clock.now()
        removed: list[Uid] = []

        def work(tx: Tx) -> list[Uid]:
            found = email_changes.deleted_uids(tx, account, mailbox, uids, STEP)
            return email_changes.remove(tx, account, mailbox, found, now) if found else []

        judged = allowed(principal, account, mailbox, Rights.EXPUNGE, work)
        while step := await self._write(judged, (account,), heavy=True):
            removed += step
            if len(step) < STEP:
                break
        return removed

    async def remove(self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Uid]:
        """Remove *uids* whatever their flags, in steps; those that were still there."""
        now = self._clock.now()
        removed: list[Uid] = []
        for at in range(0, len(uids), STEP):
            part = uids[at : at + STEP]

            def work(tx: Tx, part: Sequence[int] = part) -> list[Uid]:
                return email_changes.remove(tx, account, mailbox, part, now)

            judged = allowed(principal, account, mailbox, REMOVING, work)
            removed += await self._write(judged, (account,), heavy=len(part) > LIGHT)
        return removed


def _append(
    tx: Tx, principal: Principal, target: Place, items: Sequence[AppendItem], new: Sequence[EmailId], now: int
) -> tuple[int, list[Uid]]:
    account, mailbox = target.account, target.mailbox
    rights = judge(tx, principal, account, mailbox, Rights.INSERT)
    size = sum(item.body.size for item in items)
    charge(tx, account, size, respects_quota=True)
    # RFC 4314 §4: flags without the right for them are left out.
    may = changeable(rights)
    asked = [(item.flags & may) | keyword_bits(tx, account, item.keywords if rights & Rights.WRITE else ()) for item in items]
    flags = asked if principal.may(account) else [word & ~SEEN for word in asked]
    first, uidvalidity, _ = take_uids(tx, account, mailbox, flags, size)
    for item, email in zip(items, new, strict=True):
        add_blob(tx, item.body, now)
        filing = File(account, b"", item.body.size)
        add_email(tx, filing, item.body, item.prepared, email, item.received, item.zone)
    rows = [(first + n, new[n], flags[n], item.body.size) for n, item in enumerate(items)]
    place(tx, account, mailbox, rows, now)
    uids = [Uid(first + n) for n in range(len(items))]
    across.mark_new(tx, principal, target, uids, asked)
    return uidvalidity, uids
