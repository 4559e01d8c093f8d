"""The store: every question about mail, asked with a `Principal`, answered from one `Database`.

One concrete class, not a seam. Each method is one or a few transactions; what they do is in the modules beside this one, as
plain functions over a transaction. What a method changed is durable when it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ...message.octets import Octets
from ...message.part import decode_structure, section
from ...message.prepare import prepare
from ...message.tlsrpt import PolicySessions, TlsReport
from ...model.access import REMOVING, Rights
from ...model.account import Principal
from ...model.errors import Corrupted, DiskFull, InUse, NotFound, NotPermitted, Refusal, TooLarge, Unavailable
from ...model.ids import AccountId, BlobId, EmailId, MailboxId, ModSeq, Uid
from ...model.mail import OTHER_USERS, SEEN, Changes, Email, Mailbox, changeable
from ...model.plan import Body, Enqueue, File, Plan, Prepared, Receipt
from ...model.queue import QueueEntry, QueueState, QueueTotal, QueueView
from ...model.record import Record, Stage, Traced
from ...seams import BlobStore, Clock, Database, Row, SearchIndex, Tx, Work
from ..ids import IdSource
from ..recent import Recent
from ..space import Space, octets_of, shrink
from ..spool import INLINE_LIMIT, Spool
from . import (
    acl,
    across,
    emails,
    janitor,
    mailboxes,
    metadata,
    names,
    queue,
    records,
    settings,
    suppression,
    tls_reports,
    urlauth,
    viewers,
)
from .acl import Change
from .across import Place, Source
from .commit import Acceptor, accounts_of, commit, confirm, filing, queueing, reported
from .emails import STEP, CopyResult, FlagResult, Operation
from .filing import AppendItem, add_blob, add_email, charge, file, keyword_bits, place, take_uids
from .mailboxes import Path
from .queue import Chosen
from .rights import allowed, judge, rights_of, viewer_of

T = TypeVar("T")

READ_AT_ONCE = 16 << 20
WHOLE_AT_ONCE = 4 << 20
"""Octets of bodies in the blob store that `whole` reads."""
"""Octets that `read_many` returns at most in one call."""
LIGHT = 50
"""Messages up to which a change is quick enough for the event loop."""
ACROSS_STEP = 200
"""Messages that are read at once on their way into another account."""
MAX_HEADER = 256 << 10
"""Octets of a header that are looked at for the thread of such a message."""
REAP_AFTER_S = 90
"""So long other sessions may still fetch what one expunged; when the disk is nearly full it goes at once."""
SHRINK_PAGES = 512
"""Pages that a step of the janitor gives back."""
FORGET_ACCEPTED_S = 3600
KEEP_GONE_S = 90 * 86400
"""So long a client may stay away and still be told exactly what is gone (RFC 7162 §3.2.5)."""


@dataclass(frozen=True, slots=True)
class Rope:
    """A stored message's octets: which blob, and how it is put together."""

    octets: Octets
    blob: BlobId

    @property
    def size(self) -> int:
        return self.octets.size


class Store:
    """*owner* is this worker's instance (see `owner_of`), *is_alive* tells whether another one lives; *slot* of *workers*
    decides which lanes of the queue it serves.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        clock: Clock,
        ids: IdSource,
        spool_dir: str,
        *,
        owner: int = 1,
        is_alive: Callable[[int], bool] = lambda owner: True,
        slot: int = 0,
        workers: int = 1,
        space: Space | None = None,
        index: SearchIndex | None = None,
        keeps_records: bool = True,
    ) -> None:
        self.database = database
        self.index = index
        """Hears of emails that are gone for good."""
        self.space = space or Space(spool_dir)
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._spool_dir = spool_dir
        self.recent = Recent()
        self._owner = owner
        self._acceptor = Acceptor(owner, is_alive)
        self._lanes = [lane for lane in range(queue.LANES) if lane % workers == slot]
        self._confirmed: list[bytes] = []
        self._notes = records.Notes()
        self._keeps_records = keeps_records

    def new_ids(self, count: int) -> tuple[int, ...]:
        return tuple(self._ids.next() for _ in range(count))

    # --- room on the disk ------------------------------------------------------------------------------------------

    async def check_space(self, size: int = 0) -> None:
        """Before a message of *size* octets is taken, 0: not known. Raises DiskFull."""
        if self.space.is_stale:
            self.space.look(await self.database.peek(octets_of))
        self.space.check(size, is_inline=size <= INLINE_LIMIT)

    async def _write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        """For whatever frees space or ends what was begun: on a full disk the reserve is given up for it."""
        try:
            return await self.database.write(work, accounts, heavy=heavy)
        except DiskFull:
            await asyncio.to_thread(self.space.release)  # another worker may have done so just now
            self.space.on_pressed()
            return await self.database.write(work, accounts, heavy=heavy)

    # --- mailboxes -------------------------------------------------------------------------------------------------

    async def mailboxes(self, principal: Principal, account: AccountId) -> list[Mailbox]:
        """All of the account's own, placeholders included, INBOX first, then by path."""
        _check(principal, account)
        return await self.database.read(lambda tx: mailboxes.rows(tx, account))

    async def visible_mailboxes(self, principal: Principal, account: AccountId) -> list[Mailbox]:
        """The account's own, and those of others that it may see."""
        _check(principal, account)
        return await self.database.read(lambda tx: [*mailboxes.rows(tx, account), *acl.visible(tx, account)])

    async def mailbox(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> Mailbox:
        """One mailbox by id, to read it. Raises NotFound, NotPermitted."""
        return await self.database.peek(lambda tx: names.row(tx, principal, account, mailbox, Rights.READ))

    async def find_mailbox(self, principal: Principal, account: AccountId, path: Path, needed: Rights = Rights.READ) -> Mailbox:
        """One mailbox by its exact path (INBOX in any case); placeholders too. Raises NotFound.

        Another's, by the name that it has for who asks: raises NotPermitted without the rights *needed*. If those are none, it
        is enough to have any that lets one ask for one's own (RFC 4314 §4).
        """
        _check(principal, account)

        def work(tx: Tx) -> Mailbox:
            owner, rest = names.place(tx, account, path)
            mailbox = mailboxes.lookup(tx, owner, mailboxes.canonical(rest))
            if mailbox is None:
                raise NotFound("No such mailbox")
            return names.row(tx, principal, owner, mailbox, needed)

        return await self.database.peek(work)

    async def _owner_of(self, account: AccountId, path: Path) -> tuple[AccountId, Path]:
        """Whose mailbox *account* calls *path*, and what it is to its owner. Raises NotFound."""
        if path[:1] != (OTHER_USERS,):
            return account, path
        return await self.database.peek(lambda tx: names.place(tx, account, path))

    async def create_mailbox(self, principal: Principal, account: AccountId, path: Path, role: str = "") -> Mailbox:
        """Make it and the parents it lacks. Raises AlreadyExists, LimitReached, NotPermitted."""
        _check(principal, account)
        try:
            owner, path = await self._owner_of(account, path)
        except NotFound:
            raise NotPermitted(names.NOT_THERE) from None
        new, now = self.new_ids(len(path)), self._clock.now()

        def work(tx: Tx) -> Mailbox:
            names.judge_new(tx, principal, owner, path)
            if role and owner != account:
                raise NotPermitted("What a mailbox is for is its owner's to say")
            mailbox = mailboxes.create(tx, owner, path, role, new, now)
            rights = rights_of(tx, principal, owner, mailbox)
            box = mailboxes.row(tx, owner, mailbox)
            return box if owner == account else acl.as_seen(tx, box, account, rights)

        return await self.database.write(work, (owner,))

    async def delete_mailbox(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> None:
        """With children its name stays as a placeholder. Raises NotFound, NotPermitted, HasChildren."""
        placeholder, now = self._ids.next(), self._clock.now()

        def work(tx: Tx) -> None:
            mailboxes.delete(tx, account, mailbox, placeholder, now)

        await self._write(allowed(principal, account, mailbox, Rights.DELETE, work), (account,))

    async def rename_mailbox(self, principal: Principal, account: AccountId, mailbox: MailboxId, path: Path) -> None:
        """The tree moves along; of INBOX the messages move and it stays (RFC 9051 §6.3.6). Raises AlreadyExists, NotFound,
        NotPermitted; Refusal where another account's tree begins.
        """
        asked = principal.account or account
        try:
            owner, path = await self._owner_of(asked, path)
        except NotFound:
            owner = None
        new, now = self.new_ids(len(path)), self._clock.now()

        def work(tx: Tx) -> None:
            box = mailboxes.row(tx, account, mailbox)
            if owner != account:
                raise Refusal("A mailbox cannot be moved to another account")
            names.judge_new(tx, principal, account, path)
            if box.path != ("INBOX",):
                mailboxes.rename(tx, account, mailbox, path, new, now)
                return
            if not principal.may(account):
                raise NotPermitted("The INBOX of another user cannot be renamed")
            target = mailboxes.create(tx, account, path, "", new, now)
            while rows := emails.snapshot(tx, account, mailbox, 0, STEP):
                emails.move(tx, account, mailbox, [row[0] for row in rows], target, now)

        await self.database.write(allowed(principal, account, mailbox, Rights.DELETE, work), (account,), heavy=True)

    async def deleted_size(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> int:
        """Octets of the messages marked \\Deleted."""
        return await self._look(principal, account, mailbox, lambda tx: emails.deleted_size(tx, account, mailbox))

    async def metadata(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> dict[str, bytes]:
        """Annotations by name, the viewer's own and the shared ones. *mailbox* 0: of the whole account."""
        viewer = principal.account or account
        return await self._look(principal, account, mailbox, lambda tx: metadata.entries(tx, account, mailbox, viewer))

    async def all_metadata(self, principal: Principal, account: AccountId) -> list[tuple[int, str, bytes]]:
        """(mailbox id or 0, name, value) of all annotations."""
        _check(principal, account)
        viewer = principal.account or account
        return await self.database.read(lambda tx: metadata.of_account(tx, account, viewer))

    async def set_metadata(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, values: Sequence[tuple[str, bytes | None]]
    ) -> None:
        """Set annotations, remove those whose value is None; all or none. Raises TooLarge, LimitReached, NotFound.

        RFC 5464 §3.3: private ones are for who may read the mailbox, shared ones for who may also change what all see.
        """
        viewer = principal.account or account
        shared = any(not entry.startswith("/private/") for entry, _ in values)
        needed = Rights.READ | Rights.WRITE if shared else Rights.READ

        def work(tx: Tx) -> None:
            metadata.change(tx, account, mailbox, viewer, values)

        await self.database.write(allowed(principal, account, mailbox, needed, work), (account,))

    async def subscribe(self, principal: Principal, account: AccountId, path: Path, on: bool) -> None:
        _check(principal, account)
        await self.database.write(lambda tx: mailboxes.subscribe(tx, account, path, on), (account,))

    async def subscriptions(self, principal: Principal, account: AccountId) -> set[Path]:
        """Subscribed names, whether or not there is such a mailbox."""
        _check(principal, account)
        return await self.database.read(lambda tx: mailboxes.subscriptions(tx, account))

    # --- rights ----------------------------------------------------------------------------------------------------

    async def acl(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> list[tuple[str, Rights]]:
        """(identifier, rights), the owner first. Raises NotFound, NotPermitted."""
        work = allowed(principal, account, mailbox, Rights.ADMINISTER, lambda tx: acl.entries(tx, account, mailbox))
        return await self.database.read(work)

    async def set_acl(
        self,
        principal: Principal,
        account: AccountId,
        mailbox: MailboxId,
        identifier: str,
        operation: Change,
        rights: Rights,
    ) -> None:
        """Give, take or set the rights of *identifier*. Whom it concerns is woken. Raises as `acl.change`."""

        def work(tx: Tx) -> None:
            acl.change(tx, account, mailbox, identifier, operation, rights)

        await self.database.write(allowed(principal, account, mailbox, Rights.ADMINISTER, work), (account,))

    async def check_identifier(self, principal: Principal, account: AccountId, mailbox: MailboxId, identifier: str) -> bool:
        """Whether *identifier* is the owner. Raises Refusal if it is nobody, NotFound, NotPermitted."""

        def work(tx: Tx) -> bool:
            return acl.grantee_of(tx, identifier)[0] == account

        return await self.database.peek(allowed(principal, account, mailbox, Rights.ADMINISTER, work))

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _look(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, work: Work[T], *, short: bool = False
    ) -> T:
        """Read something of the mailbox. Raises NotFound, NotPermitted."""
        return await self.database.read(allowed(principal, account, mailbox, Rights.READ, work), short=short)

    async def snapshot(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, after_uid: int, limit: int = STEP
    ) -> list[Row]:
        """Up to *limit* rows of (uid, flags, modseq) above *after_uid*, ascending."""
        viewer = viewer_of(principal, account)
        work: Work[list[Row]] = lambda tx: emails.snapshot(tx, account, mailbox, after_uid, limit, viewer)  # noqa: E731
        return await self._look(principal, account, mailbox, work)

    async def pack(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, uidvalidity: int
    ) -> tuple[ModSeq, bytes] | None:
        """What `keep_pack` kept and the modseq it is of, if `changes` since then are complete. \\Seen in it is the owner's."""
        return await self._look(principal, account, mailbox, lambda tx: emails.pack(tx, account, mailbox, uidvalidity))

    async def marks(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, upto: ModSeq, after: tuple[int, int], limit: int
    ) -> list[Row]:
        """A viewer's own \\Seen: rows of (uid, seen or not, modseq) by modseq and uid, past *after* and not beyond *upto*."""
        viewer = viewer_of(principal, account)
        if viewer is None:
            return []
        work: Work[list[Row]] = lambda tx: viewers.marks(tx, account, mailbox, viewer, upto, after, limit)  # noqa: E731
        return await self._look(principal, account, mailbox, work)

    async def keep_pack(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, uidvalidity: int, modseq: ModSeq, body: bytes
    ) -> None:
        """Keep *body*, the owner's snapshot of a large mailbox as of *modseq*, so that it need not be gathered again."""
        _check(principal, account)
        await self.database.write(
            lambda tx: emails.keep_pack(tx, account, mailbox, uidvalidity, modseq, body), (account,), heavy=True
        )

    async def changes(self, principal: Principal, account: AccountId, mailbox: MailboxId, since: ModSeq) -> Changes:
        """What happened past *since*. Costs a primary-key read when nothing did."""
        viewer = viewer_of(principal, account)

        def work(tx: Tx) -> Changes:
            return emails.changes(tx, account, mailbox, since, viewer)

        return await self.database.peek(allowed(principal, account, mailbox, Rights.READ, work))

    async def keywords(self, account: AccountId) -> dict[int, bytes]:
        """Names of the account's keywords by bit."""

        def work(tx: Tx) -> dict[int, bytes]:
            rows = tx.all("SELECT bit, name FROM keyword WHERE account_id = ?", account)
            return {bit: bytes(name) for bit, name in rows}

        return await self.database.peek(work)

    async def emails(self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Email]:
        """Wide rows in uid order, for at most 500 uids a call; uids that are gone are left out."""
        return await self._look(principal, account, mailbox, lambda tx: emails.emails(tx, account, mailbox, uids), short=True)

    async def overviews(self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Row]:
        """Rows of (uid, received, zone, size, saved, email id, thread id, overview): what a list of messages shows."""
        return await self._look(principal, account, mailbox, lambda tx: emails.overviews(tx, account, mailbox, uids), short=True)

    async def emails_by_id(self, principal: Principal, account: AccountId, wanted: Sequence[int]) -> list[Email]:
        """By email id, in no order: also those expunged a moment ago. Only of one's own account."""
        _check(principal, account)
        return await self.database.read(lambda tx: emails.emails_by_id(tx, account, wanted))

    async def expunged(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int], since: ModSeq
    ) -> list[Email]:
        """Those of *uids* that were expunged past *since*, as long as they can be had: for who still counts them."""
        return await self._look(principal, account, mailbox, lambda tx: emails.expunged(tx, account, mailbox, uids, since))

    async def email_sizes(self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Row]:
        """Rows of (uid, received, zone, size, saved, sent, email_id, thread_id)."""
        return await self._look(principal, account, mailbox, lambda tx: emails.sizes(tx, account, mailbox, uids), short=True)

    async def whole(self, principal: Principal, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Row]:
        """Rows as of `email_sizes` with the message's octets behind them, for some dozens of uids.

        None instead of octets: that would have been too much at once, see `read_octets`.
        """
        rows = await self._look(principal, account, mailbox, lambda tx: emails.whole(tx, account, mailbox, uids), short=True)
        room = WHOLE_AT_ONCE
        reading: list[Awaitable[bytes]] = []
        for *_, blob, size, body in rows:
            room -= 0 if body is not None else size
            if body is None and room >= 0:
                reading.append(self._blobs.read(BlobId(blob), 0, size))
        bodies = iter(await asyncio.gather(*reading))
        found: list[Row] = []
        room = WHOLE_AT_ONCE
        for *row, recipe, _, size, body in rows:
            room -= 0 if body is not None else size
            octets = bytes(body) if body is not None else next(bodies) if room >= 0 else None
            found.append((*row, None if octets is None else Octets.decode(bytes(recipe), size).of_body(octets)))
        return found

    async def known_blobs(self, blobs: Sequence[BlobId]) -> set[BlobId]:
        """Those of *blobs* that there is a row of."""
        return await self.database.read(lambda tx: emails.known_blobs(tx, blobs))

    async def email_ids(self, principal: Principal, account: AccountId, mailbox: MailboxId, first: int, last: int) -> list[Row]:
        """Rows of (uid, email id) for the uids from *first* to *last*."""
        return await self._look(principal, account, mailbox, lambda tx: emails.email_ids(tx, account, mailbox, first, last))

    def octets(self, email: Email) -> Rope:
        """The rope of an email; reads nothing."""
        return Rope(Octets.decode(email.recipe, email.blob_size), email.blob)

    async def read_octets(self, rope: Rope, start: int, stop: int) -> bytes:
        """Octets *start* to *stop* of the message. Raises Unavailable if they are missing or damaged."""
        return (await self.read_many([(rope, start, stop)]))[0]

    async def read_many(self, wanted: Sequence[tuple[Rope, int, int]]) -> list[bytes]:
        """Several ranges in one go; together at most READ_AT_ONCE octets, unless it is only one."""
        total = sum(stop - start for _, start, stop in wanted)
        if len(wanted) > 1 and total > READ_AT_ONCE:
            raise TooLarge("Too much at once", detail=f"{total} octets")

        def work(tx: Tx) -> list[list[bytes | tuple[BlobId, int, int]]]:
            return _inline(tx, wanted)

        pieces = await self.database.read(work, short=True)
        return [await self._join(piece) for piece in pieces]

    async def _join(self, pieces: list[bytes | tuple[BlobId, int, int]]) -> bytes:
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            return pieces[0]
        return b"".join([piece if isinstance(piece, bytes) else await self._blobs.read(*piece) for piece in pieces])

    # --- changing --------------------------------------------------------------------------------------------------

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
                return emails.store_flags(tx, account, mailbox, part, op, flags, keywords, unchanged_since, viewer, rights, now)

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
            if not emails.remove(tx, account, mailbox, [uid], now):
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
                return emails.copy(tx, account, mailbox, uids, to_mailbox, now)
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
                return emails.move(tx, account, mailbox, uids, to_mailbox, now)
            judge(tx, principal, account, mailbox, Rights.READ | REMOVING)
            rights = judge(tx, principal, account, to_mailbox, Rights.INSERT)
            result = across.copy_within(tx, principal, Place(account, mailbox), uids, to_mailbox, rights, now, moves=True)
            emails.take_away(tx, account, mailbox, to_mailbox, result, now, principal.account)
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
                emails.take_away(tx, source.account, source.mailbox, None, result, now)
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
            found = emails.deleted_uids(tx, account, mailbox, uids, STEP)
            return emails.remove(tx, account, mailbox, found, now) if found else []

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
                return emails.remove(tx, account, mailbox, part, now)

            judged = allowed(principal, account, mailbox, REMOVING, work)
            removed += await self._write(judged, (account,), heavy=len(part) > LIGHT)
        return removed

    # --- URLs that open a message --------------------------------------------------------------------------------

    async def urlauth_key(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> bytes | None:
        """What URLs to messages of *mailbox* are signed with (RFC 4467 §2.4); None: none were made."""
        _check(principal, account)
        return await self.database.peek(lambda tx: urlauth.key(tx, account, mailbox))

    async def make_urlauth_key(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> bytes:
        """The same, made now if there is none."""
        _check(principal, account)
        fresh = secrets.token_bytes(urlauth.KEY_SIZE)
        return await self.database.write(lambda tx: urlauth.make_key(tx, account, mailbox, fresh))

    async def reset_urlauth_keys(self, principal: Principal, account: AccountId, mailbox: MailboxId | None) -> None:
        """Make all URLs to messages of *mailbox* void; None: of all mailboxes."""
        _check(principal, account)
        await self.database.write(lambda tx: urlauth.reset(tx, account, mailbox))

    # --- bodies and plans ------------------------------------------------------------------------------------------

    def spool(self, max_size: int) -> Spool:
        """For the octets of one message on its way in."""
        return Spool(self._spool_dir, BlobId(self._ids.next()), max_size, self.space)

    async def _place(self, blob: BlobId, path: str) -> None:
        if path:
            await self._blobs.put(blob, path)

    async def _file(self, placed: Sequence[BlobId], work: Work[T], accounts: Sequence[AccountId], *, heavy: bool = False) -> T:
        """Write rows that name the files of *placed*; if it is certain that there will be none, the files go."""
        try:
            return await self.database.write(work, accounts, heavy=heavy)
        except Refusal as error:
            if placed and (isinstance(error, DiskFull) or not isinstance(error, Unavailable)):
                await self._blobs.delete(placed)
            raise

    async def commit(self, plan: Plan) -> Receipt:
        """Make *plan* true, whole or not at all; durable when this returns. Raises OverQuota, NotFound, Unavailable."""
        if not self._keeps_records:
            plan = _unrecorded(plan)
        plans = (plan, *plan.along)
        for each in plans:
            await self._place(each.body.blob, each.body.path)
        new, now = [EmailId(i) for i in self.new_ids(sum(len(each.items) for each in plans))], self._clock.now()
        files, acceptor = [each.body.blob for each in plans if each.body.path], self._acceptor
        with self._confirming() as confirmed:
            receipt = await self._file(files, lambda tx: commit(tx, plan, new, now, acceptor, confirmed), accounts_of(plan))
        if receipt.repeated:
            self.note(Record(Stage.REPEATED, now), receipt.blob)
            if files:
                await self._blobs.delete(files)
        else:
            self._name(*plans)
            self._remember(plans, now)
        return receipt

    def _remember(self, plans: Sequence[Plan], now: int) -> None:
        """Small bodies that the queue will want at once."""
        for plan in plans:
            body = plan.body
            if body.data is not None and any(isinstance(item, Enqueue) and item.due <= now for item in plan.items):
                self.recent.keep(body.blob, body.data)

    def _name(self, *plans: Plan | None) -> None:
        for plan in plans:
            if plan is not None and plan.records:
                self._notes.add_names(plan.body.blob, (*plan.records, *queueing(plan, 0)))

    def confirm(self, accept_key: bytes) -> None:
        """The peer has heard our 250: the same message may come again and is then another one."""
        if accept_key:
            self._confirmed.append(accept_key)

    async def flush_confirmed(self) -> None:
        """Write down what `confirm` was told; it otherwise goes along with the next commit."""
        if self._confirmed:
            with self._confirming() as confirmed:
                await self._write(lambda tx: confirm(tx, confirmed))

    @contextlib.contextmanager
    def _confirming(self) -> Iterator[list[bytes]]:
        """What `confirm` was told and a write now carries; it waits for the next one if that write fails."""
        confirmed, self._confirmed = self._confirmed, []
        try:
            yield confirmed
        except Exception:
            self._confirmed += confirmed
            raise

    async def unheard(self, accept_key: bytes) -> None:
        """The connection broke before the peer went on after our 250: the same message again is a repetition of this one."""
        sql, owner = "UPDATE accepted SET owner = 0 WHERE key = ? AND owner = ?", self._owner
        if accept_key:
            await self._write(lambda tx: tx.run(sql, accept_key, owner))

    # --- queue -----------------------------------------------------------------------------------------------------

    async def lease(
        self, now: int, limit: int, lease_s: int, *, per_destination: int = 20, skip: Collection[str] = ()
    ) -> list[QueueEntry]:
        """Lease due entries of this worker's lanes, fairly by destination; none of the destinations in *skip*."""
        lanes = self._lanes
        if not await self.database.peek(lambda tx: queue.due_destinations(tx, lanes, now, skip, 1)):
            return []  # looked before taking the write lock
        self._lanes = lanes[1:] + lanes[:1]
        owner = self._owner
        return await self._write(lambda tx: queue.lease(tx, lanes, now, now + lease_s, owner, limit, per_destination, skip))

    async def renew(self, entries: Sequence[QueueEntry], until: int) -> int:
        return await self._write(lambda tx: queue.renew(tx, entries, until))

    async def release(self, entry: QueueEntry, due: int) -> bool:
        """Give a lease back without counting an attempt."""
        return await self._write(lambda tx: queue.release(tx, entry, due))

    async def put_off(
        self,
        destination: str,
        answer: str,
        waits: Sequence[int],
        delay_report_s: int,
        limit: int,
        attempts: int | None = None,
    ) -> int:
        """Defer what is due to a destination that does not answer, without an attempt for each: *limit* at most; how many.

        *attempts*: those whose last one of so many it would be have it.
        """
        now = self._clock.now()
        lanes = self._lanes
        if queue.lane_of(destination) not in lanes:
            return 0
        return await self._write(
            lambda tx: queue.put_off(tx, destination, now, answer, waits, delay_report_s, limit, attempts), heavy=True
        )

    async def settle(
        self,
        entry: QueueEntry,
        *,
        answer: str = "",
        next_try: int | None = None,
        delay_reported: bool = False,
        destination: str = "",
        report: Plan | None = None,
        record: Record | None = None,
        suppress: str = "",
    ) -> bool:
        """The attempt is over: due again at *next_try* (by *destination*, if given), or done with None. *report* and *record* are
        committed along with it. *suppress*: there is no such address, in these words, so the account does not write to it for a
        time.

        False: the lease had been lost, nothing was changed and no report was made.
        """
        now = self._clock.now()
        new = [EmailId(i) for i in self.new_ids(len(report.items))] if report else []
        if report is not None:
            await self._place(report.body.blob, report.body.path)
        written = self._row(record, reported(report, now) if report else None)

        def work(tx: Tx) -> bool:
            if next_try is None:
                ours = queue.finish(tx, entry, now)
            else:
                ours = queue.reschedule(tx, entry, next_try, answer, delay_reported, destination)
            if ours and written is not None:
                records.record(tx, entry.blob, *written)
            if ours and report is not None:
                commit(tx, report, new, now)
            if ours and suppress and entry.account is not None:
                cause = suppression.Cause.BOUNCE
                suppression.add(tx, entry.account, entry.recipient.address.key, now, cause, suppress)
            return ours

        ours = await self._write(work, accounts_of(report) if report else ())
        if ours:
            self._name(report)
        return ours

    async def file_queued(self, entry: QueueEntry, account: AccountId, prepared: Prepared, report: Plan | None = None) -> bool:
        """File the copy that *entry* kept for *account* and settle it, with *report*, as one: it is filed exactly once.

        False: the lease had been lost and nothing was changed. Raises NotFound.
        """
        now, email = self._clock.now(), EmailId(self._ids.next())
        record_id, keeps = self._ids.next(), self._keeps_records
        body = Body(entry.blob, entry.blob_size, b"")
        item = File(account, entry.recipe, Octets.decode(entry.recipe, entry.blob_size).size)
        new = [EmailId(i) for i in self.new_ids(len(report.items))] if report else []
        if report is not None:
            await self._place(report.body.blob, report.body.path)

        def work(tx: Tx) -> bool:
            if not queue.is_leased(tx, entry):
                return False
            filed = file(tx, item, body, prepared, email, entry.made_at, 0, now)
            if keeps:
                done = (filing(filed, now), *(() if report is None else (reported(report, now),)))
                records.record(tx, entry.blob, record_id, records.encode(done))
            if report is not None:
                commit(tx, report, new, now)
            return queue.finish(tx, entry, now)

        ours = await self._write(work, tuple({account, *(accounts_of(report) if report else ())}))
        if ours:
            self._name(report)
        return ours

    async def next_due(self) -> int | None:
        """When the earliest waiting entry is due, epoch seconds; past times are possible."""
        return await self.database.peek(queue.next_due)

    async def queue_views(self, queue_id: int | None = None, after: int = 0, limit: int = 200) -> list[QueueView]:
        return await self.database.read(lambda tx: queue.views(tx, queue_id, after, limit))

    async def queue_octets(self, queue_id: int) -> Rope:
        """A queued message's octets. Raises NotFound."""
        found = await self.database.read(lambda tx: queue.stored(tx, queue_id))
        if found is None:
            raise NotFound("Nothing is queued under that id")
        blob, size, recipe = found
        return Rope(Octets.decode(recipe, size), blob)

    async def queue_totals(self) -> list[QueueTotal]:
        """What waits, by destination and state, the most first."""
        return await self.database.read(queue.totals)

    async def queue_due(self, chosen: Chosen, due: int) -> int:
        """Make what is chosen and waits due at *due*; how many recipients."""
        count = await self._in_steps(lambda tx: queue.set_due(tx, chosen, due, earlier=True))
        if due > self._clock.now():
            count += await self._in_steps(lambda tx: queue.set_due(tx, chosen, due, earlier=False))
        return count

    async def queue_retry(self, domain: str, *, below: bool = False) -> int:
        """Make what was tried before and waits for *domain* (*below*: and those below it) due now; how many recipients."""
        now, names = self._clock.now(), [domain]
        if below:
            names += [total.destination for total in await self.queue_totals() if total.destination.endswith("." + domain)]
        return sum([await self._in_steps(lambda tx, name=name: queue.retry(tx, name, now)) for name in names])  # type: ignore[misc]

    async def queue_state(self, chosen: Chosen, state: QueueState) -> int:
        """Hold, or release; how many recipients were not so before."""
        return await self._in_steps(lambda tx: queue.set_state(tx, chosen, state))

    async def queue_reroute(self, chosen: Chosen, target: str) -> int:
        """Send what is chosen by *target*, or by its own domain if that is empty, from now on; how many recipients."""
        now = self._clock.now()
        return await self._in_steps(lambda tx: queue.reroute(tx, chosen, target, now))

    async def _in_steps(self, work: Work[int]) -> int:
        """*work* changes a bounded number of rows and says how many, until there are none left."""
        total = 0
        while changed := await self._write(work, heavy=True):
            total += changed
            if changed < queue.STEP:
                break
        return total

    async def queue_drop(self, queue_id: int) -> int:
        now = self._clock.now()
        return await self._write(lambda tx: queue.drop(tx, queue_id, now))

    async def queue_entries(self, queue_id: int) -> list[QueueEntry]:
        """What waits of a message, without leasing it; those with an owner are being tried."""
        return await self.database.read(lambda tx: queue.entries_of(tx, queue_id))

    async def queue_remove(self, entries: Sequence[QueueEntry], report: Plan | None) -> None:
        """Settle *entries* (`queue_entries`) as failed, with *report*, as one. Raises InUse if one was leased meanwhile."""
        now = self._clock.now()
        new = [EmailId(i) for i in self.new_ids(len(report.items))] if report else []
        if report is not None:
            await self._place(report.body.blob, report.body.path)
        dropped = [Record(Stage.DROPPED, now, {"recipient": str(entry.recipient.address)}) for entry in entries]
        written = self._row(*dropped, reported(report, now) if report else None)

        def work(tx: Tx) -> None:
            if not all(queue.finish(tx, entry, now) for entry in entries):
                raise InUse("A delivery of that message has begun at this moment; try again")
            if written is not None:
                records.record(tx, entries[0].blob, *written)
            if report is not None:
                commit(tx, report, new, now)

        await self._write(work, accounts_of(report) if report else ())
        self._name(report)

    async def queue_recall(self, queue_id: int) -> tuple[list[str], list[str]]:
        """Take back a message that waits: (recipients who will not get it, recipients to whom it is under way)."""
        now = self._clock.now()
        return await self._write(lambda tx: queue.recall(tx, queue_id, now), heavy=True)

    async def queue_size(self) -> int:
        def work(tx: Tx) -> int:
            row = tx.one("SELECT count(*) FROM queue_recipient")
            return int(row[0]) if row else 0

        return await self.database.read(work)

    # --- locks and leases of workers -------------------------------------------------------------------------------

    async def lock(self, name: str) -> bool:
        """Take the lock *name* for this worker; False if somebody has it. It is void when the worker dies."""
        owner, now = self._owner, self._clock.now()

        def work(tx: Tx) -> bool:
            sql = "INSERT INTO lock (name, owner, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            return bool(tx.run(sql, name.encode(), owner, now))

        return await self._write(work)

    async def unlock(self, name: str) -> None:
        owner = self._owner
        await self._write(lambda tx: tx.run("DELETE FROM lock WHERE name = ? AND owner = ?", name.encode(), owner))

    async def void_former(self) -> int:
        """What earlier generations of this worker's slot had leased or locked is free again."""
        slot, now = self._owner >> 32, self._clock.now()
        first, last, keep = slot << 32, (slot << 32) | 0xFFFFFFFF, self._owner
        await self._name_again()
        return await self._write(lambda tx: queue.void(tx, first, last, keep, now))

    async def void_all(self) -> int:
        """Before any worker runs: nothing is leased or locked."""
        now = self._clock.now()
        await self._name_again()
        return await self._write(lambda tx: queue.void(tx, 1, (1 << 62), 0, now))

    # --- records ---------------------------------------------------------------------------------------------------

    def note(self, record: Record, trail: int = 0) -> None:
        """Write down, within a second and with others, what no commit carries; *trail*: the message's blob, 0 if there is none.

        It is lost when the worker is killed meanwhile, and when there is too much of it.
        """
        if self._keeps_records:
            record_id = self._ids.next()
            self._notes.add(record_id, trail or record_id, record)

    async def note_queued(self, queue_id: int, record: Record) -> None:
        """`note` about a message that waits in the queue, if it does."""
        found = await self.database.peek(lambda tx: queue.stored(tx, queue_id))
        if found is not None:
            self.note(replace(record, facts={"queue": f"{queue_id:x}", **record.facts}), found[0])

    async def flush_notes(self) -> None:
        """Write what waits to be written. Raises Refusal; it waits for the next time then."""
        if not self._notes:
            return
        if self.space.is_stale:
            self.space.look(await self.database.peek(octets_of))
        rows, names = self._notes.take()
        if self.space.is_low:
            rows = []  # what is left on the disk is for mail
        try:
            await self.database.write(lambda tx: records.write(tx, rows, names), heavy=len(rows) + len(names) > LIGHT * 20)
        except Exception:
            self._notes.give_back(rows, names)
            raise

    async def find_records(self, text: str, since: int, until: int, limit: int = 50) -> list[Traced]:
        """The ways of the messages that *text* names (a Message-ID, an address, an id), the latest first."""
        await self.flush_notes()

        def work(tx: Tx) -> list[Traced]:
            found = [records.traced(tx, trail) for trail in records.named(tx, text, since, until, limit)]
            return [traced for traced in found if records.is_named(traced, text)]

        return await self.database.read(work)

    async def records_since(self, after: int, limit: int = 500) -> list[tuple[int, Traced]]:
        """(id, records) of rows above the id *after*, in order of time; `ids.first_id_at` makes an id of a time."""
        await self.flush_notes()
        return await self.database.read(lambda tx: records.since(tx, after, limit))

    async def prune_records(self, keep_s: int) -> int:
        """One step of removing what is older than *keep_s*; how much. Call again until 0."""
        before = self._clock.now() - keep_s
        return await self._write(lambda tx: records.prune(tx, before), heavy=True)

    def _row(self, *found: Record | None) -> tuple[int, bytes] | None:
        """(id, octets) of a row for those that are there."""
        there = [record for record in found if record is not None]
        return (self._ids.next(), records.encode(there)) if there and self._keeps_records else None

    async def _name_again(self) -> None:
        """The names that had not been written when a worker died."""
        now, after = self._clock.now(), 0

        def step(tx: Tx) -> int:
            names, following = records.unnamed(tx, now, after)
            records.write(tx, (), names)
            return following

        while after := await self.database.write(step, heavy=True):
            pass

    # --- reports about TLS -----------------------------------------------------------------------------------------

    async def add_tls_sessions(self, counts: tls_reports.Counts) -> None:
        await self.database.write(lambda tx: tls_reports.add(tx, counts))

    async def tls_due(self, before: int) -> list[tuple[int, str]]:
        """(day, domain) of sessions that were counted before the day *before* and not reported yet; a step of them."""
        return await self.database.read(lambda tx: tls_reports.due(tx, before))

    async def tls_sessions(self, day: int, domain: str) -> list[PolicySessions]:
        return await self.database.read(lambda tx: tls_reports.sessions(tx, day, domain))

    async def tls_reported(self, day: int, domain: str, plans: Sequence[Plan]) -> None:
        """The report about *day* goes out by *plans*, or otherwise, or to nobody: it is made once."""
        new, now = self.new_ids(sum(len(plan.items) for plan in plans)), self._clock.now()
        for plan in plans:
            await self._place(plan.body.blob, plan.body.path)

        def work(tx: Tx) -> None:
            at = 0
            for plan in plans:
                commit(tx, plan, [EmailId(i) for i in new[at : at + len(plan.items)]], now)
                at += len(plan.items)
            tls_reports.forget(tx, day, domain)

        await self.database.write(work, tuple({account for plan in plans for account in accounts_of(plan)}))
        self._name(*plans)

    async def keep_tls_report(self, report: TlsReport, domains: Sequence[str], stop: int) -> int:
        """Keep what others say about our *domains*; how many rows are new."""
        return await self.database.write(lambda tx: tls_reports.received(tx, report, domains, stop))

    async def tls_reports(self, since: int, limit: int) -> list[tuple[str, TlsReport]]:
        return await self.database.read(lambda tx: tls_reports.reports(tx, since, limit))

    async def prune_tls_reports(self, before: int) -> int:
        return await self._write(lambda tx: tls_reports.prune(tx, before), heavy=True)

    # --- for the search index --------------------------------------------------------------------------------------

    async def last_email(self) -> int:
        """The highest email id; 0 without any."""

        def work(tx: Tx) -> int:
            row = tx.one("SELECT max(email_id) FROM email")
            return int(row[0] or 0) if row else 0

        return await self.database.read(work)

    async def newer_emails(self, after: int) -> list[Row]:
        """Rows of (account, how many, the last email id) for email ids above *after*."""
        return await self.database.read(lambda tx: emails.newer(tx, after))

    async def existing_emails(self, wanted: Sequence[int]) -> set[int]:
        """Those email ids that still have a row."""
        return await self.database.read(lambda tx: emails.existing(tx, wanted))

    async def accounts(self, after: int, limit: int) -> list[AccountId]:
        """Accounts that have mail data, by id, above *after*."""
        sql = "SELECT account_id FROM account_state WHERE account_id > ? ORDER BY account_id LIMIT ?"
        return [AccountId(row[0]) for row in await self.database.read(lambda tx: tx.all(sql, after, limit))]

    # --- the janitor -----------------------------------------------------------------------------------------------

    async def clean(self) -> int:
        """One step of removing what nobody refers to any more; how many entries it found. Call again until 0."""
        now = self._clock.now()
        self.space.look()
        is_low = self.space.is_low

        def work(tx: Tx) -> tuple[int, list[BlobId], list[int]]:
            janitor.forget(tx, now - FORGET_ACCEPTED_S)
            count, files, gone = janitor.reap(tx, now + 1 if is_low else now - REAP_AFTER_S, now)
            return count + janitor.prune(tx, now - KEEP_GONE_S), files, gone

        count, files, gone = await self._write(work, heavy=True)
        if gone and self.index is not None:
            with contextlib.suppress(Refusal):  # whoever fills the index also looks for what should not be there
                await self.index.remove(gone)
        if files:
            await self._blobs.delete(files)
        if not count and is_low:
            return await self.database.write(lambda tx: shrink(tx, SHRINK_PAGES), heavy=True)
        if not count:
            await asyncio.to_thread(self.space.keep)
        return count

    # --- settings --------------------------------------------------------------------------------------------------

    async def setting(self, name: str) -> bytes | None:
        def work(tx: Tx) -> bytes | None:
            row = tx.one("SELECT value FROM setting WHERE name = ?", name.encode())
            return bytes(row[0]) if row else None

        return await self.database.peek(work)

    async def account_setting(self, account: AccountId, name: str) -> Any:
        """What is set for one account under *name*; None: nothing."""
        return await self.database.peek(lambda tx: settings.get(tx, account, name))

    async def set_account_setting(self, account: AccountId, name: str, value: Any) -> None:
        """*value*: anything of msgpack; None removes it."""
        await self.database.write(lambda tx: settings.put(tx, account, name, value))

    async def settings_after(self, name: str, limit: int) -> list[tuple[str, bytes]]:
        """The next *limit* settings by name past *name*."""
        sql = "SELECT name, value FROM setting WHERE name > ? ORDER BY name LIMIT ?"
        rows = await self.database.read(lambda tx: tx.all(sql, name.encode(), limit))
        return [(bytes(row[0]).decode("utf-8", "replace"), bytes(row[1])) for row in rows]

    async def remove_setting(self, name: str, value: bytes) -> None:
        """Remove it unless it has another value by now."""
        sql = "DELETE FROM setting WHERE name = ? AND value = ?"
        await self.database.write(lambda tx: tx.run(sql, name.encode(), value))

    async def set_setting(self, name: str, value: bytes) -> None:
        sql = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        await self.database.write(lambda tx: tx.run(sql, name.encode(), value))


def _unrecorded(plan: Plan) -> Plan:
    return replace(plan, records=(), along=tuple(replace(each, records=()) for each in plan.along))


def owner_of(slot: int, generation: int) -> int:
    """A worker's instance: its place among the workers and which one in that place it is. Never 0."""
    return (slot << 32) | (generation & 0xFFFFFFFF)


def _check(principal: Principal, account: AccountId) -> None:
    if not principal.may(account):
        # Whoever may not see it learns nothing about it.
        raise NotFound("No such mailbox", detail=f"principal {principal.account} asked for account {account}")


def _inline(tx: Tx, wanted: Sequence[tuple[Rope, int, int]]) -> list[list[bytes | tuple[BlobId, int, int]]]:
    """Each range as octets where the body lies in the database, and as ranges to be read where it does not."""
    found: list[list[bytes | tuple[BlobId, int, int]]] = []
    ranges: list[tuple[BlobId, int, int]] = []
    places: list[tuple[int, int]] = []
    for rope, start, stop in wanted:
        pieces: list[bytes | tuple[BlobId, int, int]] = []
        for segment in rope.octets.range(start, stop):
            if isinstance(segment, bytes):
                pieces.append(segment)
            else:
                ranges.append((rope.blob, *segment))
                places.append((len(found), len(pieces)))
                pieces.append(ranges[-1])
        found.append(pieces)
    for (message, piece), whole, octets in zip(places, ranges, tx.parts("blob", "body", ranges), strict=True):
        if octets is not None:
            found[message][piece] = octets
        elif tx.one("SELECT 1 FROM blob WHERE blob_id = ? AND place <> 0", whole[0]) is None:
            raise Corrupted("The message's text is missing", detail=f"blob {whole[0]}")
    return found


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


__all__ = ["AppendItem", "Chosen", "CopyResult", "FlagResult", "Rope", "Store", "owner_of"]
