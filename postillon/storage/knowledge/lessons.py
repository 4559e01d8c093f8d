"""What people say about their mail by moving and marking it, as rows that wait to be learned. Works over a transaction.

Moving or copying into Junk, or `$Junk`, says bad; out of Junk (but not into Trash), or `$NotJunk`, says good; taking such a
keyword away takes the word back; answering says good of what nobody judged. Only the last word on an email counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ...model.ids import AccountId, EmailId, MailboxId
from ...model.mail import ANSWERED
from ...seams import Tx
from ..db.dialect import ids
from ..ids import first_id_at

JUNK, NOT_JUNK = b"$junk", b"$notjunk"
KEEP_S = 400 * 86400
"""So long it is remembered what was learned from an email."""


class Wish(IntEnum):
    NONE = 0
    """Nothing is to be learned from it."""
    BAD = 1
    GOOD = 2
    ANSWERED = 3
    """Good, unless something was said about it before."""


@dataclass(frozen=True, slots=True)
class Lesson:
    account: AccountId
    email: EmailId
    wish: Wish
    learned: Wish
    """What was learned from it before; NONE if nothing."""
    version: int
    """Of the way in which it was learned."""
    at: int


_SAY = (
    "INSERT INTO lesson (account_id, email_id, wish, at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (account_id, email_id) DO UPDATE SET wish = excluded.wish, at = excluded.at"
)
_ADD = "INSERT INTO lesson (account_id, email_id, wish, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


def copied(tx: Tx, account: AccountId, source: MailboxId, target: MailboxId, emails: Sequence[int], now: int) -> None:
    """Emails were copied or moved from *source* to *target*."""
    sql, value = ids(tx, [source, target])
    rows = tx.all(f"SELECT mailbox_id, role FROM mailbox WHERE account_id = ? AND mailbox_id IN {sql}", account, value)
    roles = {mailbox: bytes(role) for mailbox, role in rows}
    before, after = roles.get(source, b""), roles.get(target, b"")
    if before == after or b"junk" not in (before, after) or b"trash" in (before, after):
        return
    wish = Wish.BAD if after == b"junk" else Wish.GOOD
    tx.many(_SAY, [(account, email, wish, now) for email in sorted(set(emails))])


def marked(
    tx: Tx,
    account: AccountId,
    mailbox: MailboxId,
    changed: Sequence[tuple[int, int, int]],
    keywords: Sequence[bytes],
    now: int,
) -> None:
    """Flags were changed: (uid, flags now, flags before) of *changed*. *keywords* are those that were named."""
    names = {name.lower() for name in keywords} & {JUNK, NOT_JUNK}
    answered = [uid for uid, new, old in changed if new & ANSWERED and not old & ANSWERED]
    if not names and not answered:
        return
    said: dict[int, Wish] = dict.fromkeys(answered, Wish.ANSWERED)
    if names:
        bits = {
            bytes(name).lower(): 1 << bit for bit, name in tx.all("SELECT bit, name FROM keyword WHERE account_id = ?", account)
        }
        junk, good = bits.get(JUNK, 0), bits.get(NOT_JUNK, 0)
        for uid, new, old in changed:
            if (new ^ old) & (junk | good):
                said[uid] = Wish.BAD if new & junk & ~old else Wish.GOOD if new & good & ~old else Wish.NONE
    sql, value = ids(tx, sorted(said))
    rows = tx.all(
        f"SELECT uid, email_id FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql}", account, mailbox, value
    )
    for uid, email in rows:
        tx.run(_ADD if said[uid] is Wish.ANSWERED else _SAY, account, email, said[uid], now)


def waiting(tx: Tx, limit: int) -> list[Lesson]:
    rows = tx.all(
        "SELECT l.account_id, l.email_id, l.wish, l.at, d.wish, d.version FROM lesson l LEFT JOIN learned d"
        " ON d.account_id = l.account_id AND d.email_id = l.email_id ORDER BY l.account_id, l.email_id LIMIT ?",
        limit,
    )
    return [
        Lesson(AccountId(account), EmailId(email), Wish(wish), Wish(before or 0), version or 0, at)
        for account, email, wish, at, before, version in rows
    ]


def end(tx: Tx, lesson: Lesson, version: int) -> bool:
    """The lesson was learned as *version*: False if it is another one by now."""
    done = tx.run(
        "DELETE FROM lesson WHERE account_id = ? AND email_id = ? AND wish = ? AND at = ?",
        lesson.account,
        lesson.email,
        lesson.wish,
        lesson.at,
    )
    if not done:
        return False
    if lesson.wish is Wish.NONE:
        tx.run("DELETE FROM learned WHERE account_id = ? AND email_id = ?", lesson.account, lesson.email)
        return True
    if lesson.wish is Wish.ANSWERED and lesson.learned is not Wish.NONE:
        return True  # what was said about it before stands
    wish = Wish.BAD if lesson.wish is Wish.BAD else Wish.GOOD
    tx.run(
        "INSERT INTO learned (account_id, email_id, wish, version) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account_id, email_id) DO UPDATE SET wish = excluded.wish, version = excluded.version",
        lesson.account,
        lesson.email,
        wish,
        version,
    )
    return True


def prune(tx: Tx, now: int) -> int:
    """A step of forgetting what was learned from emails so old that nobody will take it back."""
    rows = tx.all("SELECT account_id, email_id FROM learned WHERE email_id < ? LIMIT 500", first_id_at(now - KEEP_S))
    tx.many("DELETE FROM learned WHERE account_id = ? AND email_id = ?", rows)
    return len(rows)
