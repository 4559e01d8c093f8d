"""Reading mail: rows, changes, octets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from ....message.octets import Octets
from ....model.access import Rights
from ....model.account import Principal
from ....model.errors import Corrupted, TooLarge
from ....model.ids import AccountId, BlobId, MailboxId, ModSeq
from ....model.mail import Changes, Email
from ....seams import Row, Tx, Work
from .. import emails, viewers
from ..emails import STEP
from ..rights import allowed, viewer_of
from .core import READ_AT_ONCE, Core, Rope, _check

WHOLE_AT_ONCE = 4 << 20
"""Octets of bodies in the blob store that `whole` reads."""


class Reading(Core):
    """Reading mail: rows, changes, octets."""

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
