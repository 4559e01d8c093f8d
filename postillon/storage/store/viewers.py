"""\\Seen of each viewer of a mailbox that is another's: rows of their own with mod-sequences of their own. Works over a
transaction.

The owner's \\Seen is in the placement, like every other flag. A viewer's flag word is the placement's with the bit for \\Seen
from the viewer's row, and no row means unseen; its mod-sequence is the higher of both. Unseen messages are all but those
counted as seen, so that deliveries know nothing of viewers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...model.ids import AccountId, MailboxId, ModSeq
from ...model.mail import SEEN
from ...seams import Row, Tx
from ..db.dialect import ids

_JOINED = (
    "SELECT p.uid, p.flags, p.modseq, s.is_seen, s.modseq{} FROM placement p LEFT JOIN seen s ON s.account_id = p.account_id"
    " AND s.mailbox_id = p.mailbox_id AND s.uid = p.uid AND s.viewer_id = ? WHERE p.account_id = ? AND p.mailbox_id = ?"
)


def _own(rows: Sequence[Row]) -> list[Row]:
    """(uid, flags, modseq, is_seen or None, modseq or None, …) -> (uid, flags, modseq, …) as the viewer sees them."""
    return [
        (uid, flags & ~SEEN | (SEEN if is_seen else 0), max(modseq, own or 0), *rest)
        for uid, flags, modseq, is_seen, own, *rest in rows
    ]


def snapshot(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId, after: int, limit: int) -> list[Row]:
    """As `emails.snapshot`."""
    sql = _JOINED.format("") + " AND p.uid > ? ORDER BY p.uid LIMIT ?"
    return _own(tx.all(sql, viewer, account, mailbox, after, limit))


def placements(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId, uids: Sequence[int]) -> list[Row]:
    """Rows of (uid, flags, modseq, email id, size) of *uids*, ascending."""
    sql, value = ids(tx, uids)
    found = tx.all(
        _JOINED.format(", p.email_id, p.size") + f" AND p.uid IN {sql} ORDER BY p.uid", viewer, account, mailbox, value
    )
    return _own(found)


def changed_since(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId, since: ModSeq) -> list[int]:
    """The uids that the viewer marked past *since*."""
    rows = tx.all(
        "SELECT uid FROM seen WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ? AND modseq > ?",
        account,
        mailbox,
        viewer,
        since,
    )
    return [row[0] for row in rows]


def marks(
    tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId, upto: ModSeq, after: tuple[int, int], limit: int
) -> list[Row]:
    """(uid, is_seen, modseq) in the order of modseq and uid, past *after*, (modseq, uid), and not beyond *upto*."""
    return tx.all(
        "SELECT uid, is_seen, modseq FROM seen WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ? AND modseq <= ?"
        " AND (modseq, uid) > (?, ?) ORDER BY modseq, uid LIMIT ?",
        account,
        mailbox,
        viewer,
        upto,
        *after,
        limit,
    )


def counters(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId) -> tuple[int, int]:
    """(messages seen, modseq of the last change)."""
    row = tx.one(
        "SELECT seen, modseq FROM viewer WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ?", account, mailbox, viewer
    )
    return (row[0], row[1]) if row else (0, 0)


def mark(tx: Tx, account: AccountId, mailbox: MailboxId, viewer: AccountId, marks: Sequence[tuple[int, bool]]) -> None:
    """Keep (uid, seen or not) for the viewer; each must be a change."""
    if not marks:
        return
    modseq = tx.modseq(account)
    tx.many(
        "INSERT INTO seen (account_id, mailbox_id, uid, viewer_id, is_seen, modseq) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (account_id, mailbox_id, uid, viewer_id)"
        " DO UPDATE SET is_seen = excluded.is_seen, modseq = excluded.modseq",
        [(account, mailbox, uid, viewer, int(is_seen), modseq) for uid, is_seen in marks],
    )
    more = sum(1 if is_seen else -1 for _, is_seen in marks)
    key = (account, mailbox, viewer)
    update = "UPDATE viewer SET seen = seen + ?, modseq = ? WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ?"
    if not tx.run(update, more, modseq, *key):
        tx.run("INSERT INTO viewer (account_id, mailbox_id, viewer_id, seen, modseq) VALUES (?, ?, ?, ?, ?)", *key, more, modseq)
        tx.run("UPDATE mailbox SET viewers = viewers + 1 WHERE account_id = ? AND mailbox_id = ?", account, mailbox)


def forget(tx: Tx, account: AccountId, mailbox: MailboxId, uids: Sequence[int]) -> list[tuple[int, int]]:
    """These messages were expunged. (uid, viewer) of each that somebody had seen."""
    sql, value = ids(tx, uids)
    gone = tx.all(
        f"DELETE FROM seen WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql} RETURNING uid, viewer_id, is_seen",
        account,
        mailbox,
        value,
    )
    fewer: dict[int, int] = {}
    for _, viewer, is_seen in gone:
        fewer[viewer] = fewer.get(viewer, 0) + is_seen
    tx.many(
        "UPDATE viewer SET seen = seen - ? WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ?",
        [(count, account, mailbox, viewer) for viewer, count in sorted(fewer.items()) if count],
    )
    return [(uid, viewer) for uid, viewer, is_seen in gone if is_seen]


def carry(
    tx: Tx, account: AccountId, target: MailboxId, pairs: Sequence[tuple[int, int]], seen: Sequence[tuple[int, int]]
) -> None:
    """What *seen*, (uid, viewer), tells of messages that were moved: (uid there was, uid there is now)."""
    now_at = dict(pairs)
    for viewer in sorted({viewer for _, viewer in seen}):
        mark(tx, account, target, AccountId(viewer), [(now_at[uid], True) for uid, who in seen if who == viewer])


def clear_up_to(tx: Tx, account: AccountId, mailbox: MailboxId, uid: int) -> None:
    """Of a mailbox that is gone, whose placements go in steps."""
    tx.run("DELETE FROM seen WHERE account_id = ? AND mailbox_id = ? AND uid <= ?", account, mailbox, uid)


def clear(tx: Tx, account: AccountId, mailbox: MailboxId) -> None:
    """The last step."""
    tx.run("DELETE FROM seen WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    tx.run("DELETE FROM viewer WHERE account_id = ? AND mailbox_id = ?", account, mailbox)


def forget_viewer(tx: Tx, viewer: AccountId, limit: int = 1000) -> bool:
    """One step of dropping what a removed account had seen; True when nothing is left."""
    row = tx.one("SELECT account_id, mailbox_id FROM viewer WHERE viewer_id = ? LIMIT 1", viewer)
    if row is None:
        return True
    key = (row[0], row[1], viewer)
    uids = [
        found[0]
        for found in tx.all("SELECT uid FROM seen WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ? LIMIT ?", *key, limit)
    ]
    tx.many(
        "DELETE FROM seen WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ? AND uid = ?", [(*key, uid) for uid in uids]
    )
    if len(uids) < limit and tx.run("DELETE FROM viewer WHERE account_id = ? AND mailbox_id = ? AND viewer_id = ?", *key):
        tx.run("UPDATE mailbox SET viewers = viewers - 1 WHERE account_id = ? AND mailbox_id = ?", row[0], row[1])
    return False
