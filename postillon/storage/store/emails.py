"""Stored emails and their placements: reading, flags, copying, expunging. Works over a transaction.

No statement touches more than STEP rows, except copies, which are atomic and capped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...model.access import ALL, Rights
from ...model.errors import LimitReached, NotFound, NotPermitted
from ...model.ids import AccountId, BlobId, EmailId, MailboxId, ModSeq, ThreadId, Uid
from ...model.mail import DELETED, SEEN, Changes, Email, changeable
from ...seams import Row, Tx
from ..db.dialect import ids
from ..knowledge import lessons
from . import viewers
from .filing import charge, keyword_bits, place, take_uids
from .mailboxes import GONE_PLACEMENT, REAP_EMAIL

STEP = 2000
MAX_COPY = 100_000

Operation = Literal["add", "remove", "replace"]


@dataclass(frozen=True, slots=True)
class FlagResult:
    modseq: ModSeq
    """Of the last change made, or the mailbox' own when nothing changed."""
    changed: list[tuple[Uid, int, ModSeq]]
    failed: list[Uid]
    """Not changed because of UNCHANGEDSINCE (RFC 7162 §3.1.3)."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    uidvalidity: int
    """Of the mailbox copied to."""
    pairs: list[tuple[Uid, Uid]]
    """(uid there was, uid there is now), in order."""


# --- reading -------------------------------------------------------------------------------------------------------


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


# --- flags ---------------------------------------------------------------------------------------------------------


def store_flags(
    tx: Tx,
    account: AccountId,
    mailbox: MailboxId,
    uids: Sequence[int],
    operation: Operation,
    flags: int,
    keywords: Sequence[bytes],
    unchanged_since: int | None,
    viewer: AccountId | None = None,
    rights: Rights = ALL,
    now: int = 0,
) -> FlagResult:
    """One step of a STORE, at most STEP uids. Only messages that really change get a new modseq (RFC 7162 §3.1).

    *viewer*: who is not the owner keeps a \\Seen of his own, and changes what *rights* allow (RFC 4314 §4). Raises
    NotPermitted if that is nothing of what was asked.
    """
    if viewer is not None:
        keywords = _permitted(operation, flags, keywords, rights)
    flags |= keyword_bits(tx, account, keywords) if operation != "remove" else _known_bits(tx, account, keywords)
    rows = _flag_rows(tx, account, mailbox, uids, viewer)
    may = changeable(rights)
    set_bits, clear_bits = {"add": (flags & may, 0), "remove": (0, flags & may), "replace": (flags & may, ~flags & may)}[
        operation
    ]
    failed = [Uid(uid) for uid, _, modseq in rows if unchanged_since is not None and modseq > unchanged_since]
    unwanted = set(failed)
    news = [
        (Uid(uid), (old | set_bits) & ~clear_bits, old)
        for uid, old, _ in rows
        if uid not in unwanted and (old | set_bits) & ~clear_bits != old
    ]
    if not news:
        box = tx.one("SELECT modseq FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
        if box is None:
            raise NotFound("No such mailbox")
        return FlagResult(ModSeq(box[0]), [], failed)
    modseq = tx.modseq(account)
    if viewer is None:
        _change(tx, account, mailbox, news, set_bits, clear_bits)
        lessons.marked(tx, account, mailbox, news, keywords, now)
    else:
        viewers.mark(tx, account, mailbox, viewer, [(uid, bool(new & SEEN)) for uid, new, old in news if (new ^ old) & SEEN])
        shared = [(uid, new | SEEN, old | SEEN) for uid, new, old in news if (new ^ old) & ~SEEN]
        _change(tx, account, mailbox, shared, set_bits & ~SEEN, clear_bits & ~SEEN)
    return FlagResult(modseq, [(uid, new, modseq) for uid, new, _ in news], failed)


def _permitted(operation: Operation, flags: int, keywords: Sequence[bytes], rights: Rights) -> Sequence[bytes]:
    """The keywords that may be changed. RFC 4314 §4: what else may not is left out; raises NotPermitted if that is all."""
    may = changeable(rights)
    kept = keywords if rights & Rights.WRITE else ()
    asked = operation != "replace" or flags or keywords
    if not may or (asked and not (flags & may or kept)):
        raise NotPermitted("You have no right to change these flags")
    return kept


def _flag_rows(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int], viewer: AccountId | None) -> list[Row]:
    if viewer is not None:
        return [row[:3] for row in viewers.placements(tx, account, mailbox, viewer, uids)]
    sql, value = ids(tx, uids)
    return tx.all(
        f"SELECT uid, flags, modseq FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql} ORDER BY uid",
        account,
        mailbox,
        value,
    )


def _change(
    tx: Tx, account: AccountId, mailbox: MailboxId, news: Sequence[tuple[Uid, int, int]], set_bits: int, clear_bits: int
) -> None:
    """Change the placements of *news*, (uid, new flags, old flags), and the mailbox' counters."""
    if not news:
        return
    modseq = tx.modseq(account)
    sql, value = ids(tx, [uid for uid, _, _ in news])
    tx.run(
        "UPDATE placement SET flags = (flags | ?) & ~CAST(? AS BIGINT), modseq = ?"
        f" WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql}",
        set_bits,
        clear_bits,
        modseq,
        account,
        mailbox,
        value,
    )
    unseen = sum(bool(old & SEEN) - bool(new & SEEN) for _, new, old in news)
    deleted = sum(bool(new & DELETED) - bool(old & DELETED) for _, new, old in news)
    tx.run(
        "UPDATE mailbox SET modseq = ?, unseen = unseen + ?, deleted = deleted + ? WHERE account_id = ? AND mailbox_id = ?",
        modseq,
        unseen,
        deleted,
        account,
        mailbox,
    )


def _known_bits(tx: Tx, account: AccountId, names: Sequence[bytes]) -> int:
    """Bits of those keywords that exist: removing one that nobody ever set makes none."""
    if not names:
        return 0
    wanted = {name.lower() for name in names}
    rows = tx.all("SELECT bit, name FROM keyword WHERE account_id = ?", account)
    return sum(1 << bit for bit, name in rows if bytes(name).lower() in wanted)


# --- copying and removing ------------------------------------------------------------------------------------------


def copy(
    tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int], target: MailboxId, now: int, respects_quota: bool = True
) -> CopyResult:
    """Copy placements within an account; all or none. Raises NotFound (the target), OverQuota, LimitReached."""
    if len(uids) > MAX_COPY:
        raise LimitReached(f"At most {MAX_COPY} messages can be copied at once")
    sql, value = ids(tx, uids)
    rows = tx.all(
        f"SELECT uid, email_id, flags, size FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql} ORDER BY uid",
        account,
        mailbox,
        value,
    )
    if not rows:
        return nothing(tx, account, target)
    result = put(tx, account, target, rows, now, respects_quota)
    tx.many("UPDATE email SET copies = copies + 1 WHERE account_id = ? AND email_id = ?", [(account, row[1]) for row in rows])
    lessons.copied(tx, account, mailbox, target, [row[1] for row in rows], now)
    return result


def nothing(tx: Tx, account: AccountId, target: MailboxId) -> CopyResult:
    """Of what was to be copied to *target* nothing is left. Raises NotFound."""
    box = tx.one("SELECT uidvalidity FROM mailbox WHERE account_id = ? AND mailbox_id = ? AND selectable = 1", account, target)
    if box is None:
        raise NotFound("No such mailbox")
    return CopyResult(box[0], [])


def put(tx: Tx, account: AccountId, target: MailboxId, rows: Sequence[Row], now: int, respects_quota: bool = True) -> CopyResult:
    """Place emails of the account: *rows* of (uid there was, email id, flags, size). Their copies are the caller's to count."""
    size = sum(row[3] for row in rows)
    charge(tx, account, size, respects_quota)
    first, uidvalidity, _ = take_uids(tx, account, target, [row[2] for row in rows], size)
    place(tx, account, target, [(first + n, row[1], row[2], row[3]) for n, row in enumerate(rows)], now)
    return CopyResult(uidvalidity, [(Uid(row[0]), Uid(first + n)) for n, row in enumerate(rows)])


def move(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int], target: MailboxId, now: int) -> CopyResult:
    """RFC 6851: copy and remove as one. Quota is not asked: nothing is added."""
    result = copy(tx, account, mailbox, uids, target, now, respects_quota=False)
    take_away(tx, account, mailbox, target, result, now)
    return result


def take_away(
    tx: Tx,
    account: AccountId,
    mailbox: MailboxId,
    target: MailboxId | None,
    result: CopyResult,
    now: int,
    mover: AccountId | None = None,
) -> None:
    """Expunge what *result* says was copied. Who had seen it has seen it in *target* too, if that is of the same account;
    *mover* is a viewer whose own marks are there already.
    """
    moved, seen = [old for old, _ in result.pairs], list[tuple[int, int]]()
    for at in range(0, len(moved), STEP):
        remove(tx, account, mailbox, moved[at : at + STEP], now, seen)
    if seen and target is not None:
        viewers.carry(tx, account, target, result.pairs, [mark for mark in seen if mark[1] != mover])


def deleted_uids(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int] | None, limit: int) -> list[Uid]:
    """Those messages that are marked \\Deleted, of *uids* if given."""
    sql, values, index = "", [], ""
    if uids is not None:
        text, value = ids(tx, uids)
        sql, values = f" AND uid IN {text}", [value]
    elif tx.dialect == "sqlite":
        # Of two ways by the same columns SQLite takes the key, and walks the whole mailbox.
        index = " INDEXED BY placement_deleted"
    rows = tx.all(
        f"SELECT uid FROM placement{index}"
        f" WHERE account_id = ? AND mailbox_id = ? AND (flags & 8) <> 0{sql} ORDER BY uid LIMIT ?",
        account,
        mailbox,
        *values,
        limit,
    )
    return [Uid(row[0]) for row in rows]


def deleted_size(tx: Tx, account: AccountId, mailbox: MailboxId) -> int:
    """Octets of the messages marked \\Deleted. Costs as many rows as there are of them."""
    index = " INDEXED BY placement_deleted" if tx.dialect == "sqlite" else ""
    row = tx.one(
        f"SELECT sum(size) FROM placement{index} WHERE account_id = ? AND mailbox_id = ? AND (flags & 8) <> 0", account, mailbox
    )
    return int(row[0] or 0) if row else 0


def remove(
    tx: Tx,
    account: AccountId,
    mailbox: MailboxId,
    uids: Sequence[int],
    now: int,
    seen: list[tuple[int, int]] | None = None,
) -> list[Uid]:
    """Expunge *uids* (at most STEP) whatever their flags: tombstones, counters, quota. Returns those that were there.

    *seen* gets (uid, viewer) of those that others had seen.
    """
    sql, value = ids(tx, uids)
    rows = tx.all(
        f"DELETE FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql}"
        " RETURNING uid, email_id, flags, size, saved",
        account,
        mailbox,
        value,
    )
    if not rows:
        return []
    modseq = tx.modseq(account)
    tx.many(
        "INSERT INTO gone (account_id, mailbox_id, modseq, kind, object, email_id, at, saved) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(account, mailbox, modseq, GONE_PLACEMENT, row[0], row[1], now, row[4]) for row in rows],
    )
    size = sum(row[3] for row in rows)
    box = tx.one(
        "UPDATE mailbox SET modseq = ?, total = total - ?, unseen = unseen - ?, deleted = deleted - ?, size = size - ?"
        " WHERE account_id = ? AND mailbox_id = ? RETURNING viewers",
        modseq,
        len(rows),
        sum(not row[2] & SEEN for row in rows),
        sum(bool(row[2] & DELETED) for row in rows),
        size,
        account,
        mailbox,
    )
    if box is not None and box[0]:
        marks = viewers.forget(tx, account, mailbox, [row[0] for row in rows])
        if seen is not None:
            seen += marks
    tx.run("UPDATE account_state SET used = used - ? WHERE account_id = ?", size, account)
    unplace(tx, account, [row[1] for row in rows], now)
    return sorted(Uid(row[0]) for row in rows)


def unplace(tx: Tx, account: AccountId, email_ids: Sequence[int], now: int) -> None:
    """One placement less for each of *email_ids*; those that have none left go on the janitor's list.

    The rows stay for a while, so that a FETCH under way in another session still finds them.
    """
    tx.many("UPDATE email SET copies = copies - 1 WHERE account_id = ? AND email_id = ?", [(account, i) for i in email_ids])
    sql, value = ids(tx, sorted(set(email_ids)))
    unused = tx.all(f"SELECT email_id FROM email WHERE account_id = ? AND copies <= 0 AND email_id IN {sql}", account, value)
    tx.many(
        "INSERT INTO reap (at, kind, account_id, object) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(now, REAP_EMAIL, account, row[0]) for row in unused],
    )
