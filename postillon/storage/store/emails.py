"""Stored emails and their placements, as they are read. Works over a transaction; no statement touches more than STEP rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...model.ids import AccountId, BlobId, EmailId, MailboxId, ModSeq, ThreadId, Uid
from ...model.mail import Changes, Email
from ...seams import Row, Tx
from ..db.dialect import ids
from . import viewers
from .mailboxes import GONE_PLACEMENT

STEP = 2000


def snapshot(
    tx: Tx, account: AccountId, mailbox: MailboxId, after: int, limit: int, viewer: AccountId | None = None
) -> list[Row]:
    """(uid, flags, modseq) above *after*, as *viewer* sees them who is not the owner."""
    if viewer is not None:
        return viewers.snapshot(tx, account, mailbox, viewer, after, limit)
    return tx.all(
        "SELECT uid, flags, modseq FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid > ? ORDER BY uid LIMIT ?",
        account,
        mailbox,
        after,
        limit,
    )


def pack(tx: Tx, account: AccountId, mailbox: MailboxId, uidvalidity: int) -> tuple[ModSeq, bytes] | None:
    """The packed snapshot and the modseq it is of; None if there is none from which `changes` leads on."""
    row = tx.one(
        "SELECT p.modseq, p.body FROM mailbox_pack p JOIN account_state s ON s.account_id = p.account_id"
        " WHERE p.mailbox_id = ? AND p.account_id = ? AND p.uidvalidity = ? AND p.modseq >= s.floor",
        mailbox,
        account,
        uidvalidity,
    )
    return None if row is None else (ModSeq(row[0]), bytes(row[1]))


def keep_pack(tx: Tx, account: AccountId, mailbox: MailboxId, uidvalidity: int, modseq: int, body: bytes) -> None:
    tx.run(
        "INSERT INTO mailbox_pack (mailbox_id, account_id, uidvalidity, modseq, body) SELECT mailbox_id, ?, uidvalidity, ?, ?"
        " FROM mailbox WHERE account_id = ? AND mailbox_id = ? AND uidvalidity = ? ON CONFLICT (mailbox_id) DO UPDATE"
        " SET uidvalidity = excluded.uidvalidity, modseq = excluded.modseq, body = excluded.body",
        account,
        modseq,
        body,
        account,
        mailbox,
        uidvalidity,
    )


def changes(tx: Tx, account: AccountId, mailbox: MailboxId, since: ModSeq, viewer: AccountId | None = None) -> Changes:
    """All past *since*, from one snapshot; as *viewer* sees it who is not the owner."""
    box = tx.one("SELECT modseq, selectable FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    if box is None or not box[1]:
        return Changes(since, [], [], exists=False)
    modseq = ModSeq(box[0])
    if viewer is not None:
        modseq = ModSeq(max(modseq, viewers.counters(tx, account, mailbox, viewer)[1]))
    if modseq <= since:
        return Changes(modseq, [], [])
    # Sorted here: asked for an order by uid, SQLite walks the whole mailbox by its key instead of the index on modseq.
    changed = sorted(
        tx.all(
            "SELECT uid, flags, modseq FROM placement WHERE account_id = ? AND mailbox_id = ? AND modseq > ?",
            account,
            mailbox,
            since,
        )
    )
    if viewer is not None:
        marked = viewers.changed_since(tx, account, mailbox, viewer, since)
        uids = sorted({row[0] for row in changed}.union(marked))
        changed = [row[:3] for row in viewers.placements(tx, account, mailbox, viewer, uids)]
    gone = tx.all(
        "SELECT object FROM gone WHERE account_id = ? AND mailbox_id = ? AND modseq > ? AND kind = ? ORDER BY object",
        account,
        mailbox,
        since,
        GONE_PLACEMENT,
    )
    state = tx.one("SELECT floor FROM account_state WHERE account_id = ?", account)
    return Changes(
        modseq,
        [(Uid(u), f, ModSeq(m)) for u, f, m in changed],
        [Uid(row[0]) for row in gone],
        complete=state is None or since >= state[0],
    )


def _among(tx: Tx, uids: Sequence[int]) -> tuple[str, tuple[Any, ...]]:
    """(sql, values) for `p.uid {sql}`: a range where *uids* (ascending) has no gaps, which is read much faster."""
    if uids and uids[-1] - uids[0] + 1 == len(uids):
        return "BETWEEN ? AND ?", (uids[0], uids[-1])
    sql, value = ids(tx, uids)
    return f"IN {sql}", (value,)


def overviews(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Row]:
    sql, values = _among(tx, uids)
    return tx.all(
        "SELECT p.uid, e.received, e.zone, e.size, p.saved, p.email_id, e.thread_id, e.overview FROM placement p"
        " JOIN email e ON e.email_id = p.email_id AND e.account_id = p.account_id"
        f" WHERE p.account_id = ? AND p.mailbox_id = ? AND p.uid {sql} ORDER BY p.uid",
        account,
        mailbox,
        *values,
    )


def emails(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Email]:
    sql, values = _among(tx, uids)
    found = tx.all(
        "SELECT p.uid, e.email_id, e.thread_id, e.blob_id, e.blob_size, e.recipe, e.size, e.received, e.zone, p.saved,"
        " e.overview, e.structure FROM placement p JOIN email e ON e.account_id = p.account_id AND e.email_id = p.email_id"
        f" WHERE p.account_id = ? AND p.mailbox_id = ? AND p.uid {sql} ORDER BY p.uid",
        account,
        mailbox,
        *values,
    )
    return [_email(row) for row in found]


def emails_by_id(tx: Tx, account: AccountId, wanted: Sequence[int]) -> list[Email]:
    """Emails whatever their placements: also those that were expunged a moment ago."""
    sql, value = ids(tx, wanted)
    found = tx.all(
        "SELECT 0, email_id, thread_id, blob_id, blob_size, recipe, size, received, zone, 0, overview, structure"
        f" FROM email WHERE account_id = ? AND email_id IN {sql}",
        account,
        value,
    )
    return [_email(row) for row in found]


def expunged(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int], since: ModSeq) -> list[Email]:
    """Those of *uids* that were expunged past *since* and whose octets are still kept, in uid order."""
    sql, value = ids(tx, uids)
    found = tx.all(
        "SELECT g.object, e.email_id, e.thread_id, e.blob_id, e.blob_size, e.recipe, e.size, e.received, e.zone, g.saved,"
        " e.overview, e.structure FROM gone g JOIN email e ON e.account_id = g.account_id AND e.email_id = g.email_id"
        f" WHERE g.account_id = ? AND g.mailbox_id = ? AND g.modseq > ? AND g.kind = ? AND g.object IN {sql} ORDER BY g.object",
        account,
        mailbox,
        since,
        GONE_PLACEMENT,
        value,
    )
    return [_email(row) for row in found]


def _email(row: Row) -> Email:
    return Email(
        Uid(row[0]),
        EmailId(row[1]),
        ThreadId(row[2]),
        BlobId(row[3]),
        row[4],
        bytes(row[5]),
        row[6],
        row[7],
        row[8],
        row[9],
        bytes(row[10]),
        bytes(row[11]),
    )


def sizes(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Row]:
    """(uid, received, zone, size, saved, sent, email_id, thread_id): narrow columns, for SEARCH and SORT."""
    sql, values = _among(tx, uids)
    return tx.all(
        "SELECT p.uid, e.received, e.zone, e.size, p.saved, e.sent, e.email_id, e.thread_id FROM placement p"
        " JOIN email e ON e.account_id = p.account_id AND e.email_id = p.email_id"
        f" WHERE p.account_id = ? AND p.mailbox_id = ? AND p.uid {sql} ORDER BY p.uid",
        account,
        mailbox,
        *values,
    )


def whole(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[Row]:
    """As `sizes`, and then recipe, blob, its size, and the body where it lies in the database."""
    sql, values = _among(tx, uids)
    return tx.all(
        "SELECT p.uid, e.received, e.zone, e.size, p.saved, e.sent, e.email_id, e.thread_id, e.recipe, e.blob_id, e.blob_size,"
        " b.body"
        " FROM placement p JOIN email e ON e.email_id = p.email_id AND e.account_id = p.account_id"
        " JOIN blob b ON b.blob_id = e.blob_id"
        f" WHERE p.account_id = ? AND p.mailbox_id = ? AND p.uid {sql} ORDER BY p.uid",
        account,
        mailbox,
        *values,
    )


def known_blobs(tx: Tx, blobs: Sequence[BlobId]) -> set[BlobId]:
    sql, value = ids(tx, blobs)
    return {BlobId(row[0]) for row in tx.all(f"SELECT blob_id FROM blob WHERE blob_id IN {sql}", value)}


def email_ids(tx: Tx, account: AccountId, mailbox: MailboxId, first: int, last: int) -> list[Row]:
    """(uid, email id) of the uids from *first* to *last*."""
    return tx.all(
        "SELECT uid, email_id FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid",
        account,
        mailbox,
        first,
        last,
    )


def newer(tx: Tx, after: int) -> list[Row]:
    """(account, how many, the last) of emails whose ids are above *after*."""
    return tx.all("SELECT account_id, count(*), max(email_id) FROM email WHERE email_id > ? GROUP BY account_id", after)


def existing(tx: Tx, wanted: Sequence[int]) -> set[int]:
    """Those emails that are still there, expunged a moment ago or not."""
    sql, value = ids(tx, wanted)
    return {row[0] for row in tx.all(f"SELECT email_id FROM email WHERE email_id IN {sql}", value)}
