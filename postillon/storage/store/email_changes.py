"""Stored emails and their placements, as they change: flags, copying, moving, expunging. Works over a transaction.

No statement touches more than STEP rows, except copies, which are atomic and capped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...model.access import ALL, Rights
from ...model.errors import LimitReached, NotFound, NotPermitted
from ...model.ids import AccountId, MailboxId, ModSeq, Uid
from ...model.mail import DELETED, SEEN, changeable
from ...seams import Row, Tx
from ..db.dialect import ids
from ..knowledge import lessons
from . import viewers
from .emails import STEP
from .filing import charge, keyword_bits, place, take_uids
from .mailboxes import GONE_PLACEMENT, REAP_EMAIL

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
