"""Copying mail that is not, or not only, the copier's own (RFC 4314 §4): between accounts, and within another's. Works over a
transaction.

Within an account a copy is a placement more. In another account it is an email of that account: its own row, thread and index
entry over the same blob, charged to the owner of the mailbox it goes to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ...model.access import Rights
from ...model.account import SERVER, Principal
from ...model.errors import LimitReached
from ...model.ids import AccountId, EmailId, MailboxId, Uid
from ...model.mail import SEEN, Email, changeable
from ...model.plan import Body, File, Prepared
from ...seams import Row, Tx
from ..db.dialect import ids
from . import email_changes, viewers
from .email_changes import CopyResult
from .filing import add_email, keyword_bits
from .rights import viewer_of

MAX_ACROSS = 10_000
"""Messages that one command may copy into another account: each is a new row."""


@dataclass(frozen=True, slots=True)
class Source:
    """An email to be copied into another account: its row, and what its thread is found by."""

    email: Email
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Place:
    account: AccountId
    mailbox: MailboxId


def rows_of(tx: Tx, principal: Principal, source: Place, uids: Sequence[int]) -> list[Row]:
    """Rows of (uid, email id, flags, size), flags as *principal* sees them."""
    viewer = viewer_of(principal, source.account)
    if viewer is not None:
        found = viewers.placements(tx, source.account, source.mailbox, viewer, uids)
        return [(uid, email, flags, size) for uid, flags, _, email, size in found]
    sql, value = ids(tx, uids)
    return tx.all(
        f"SELECT uid, email_id, flags, size FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid IN {sql} ORDER BY uid",
        source.account,
        source.mailbox,
        value,
    )


def check_count(uids: Sequence[int]) -> None:
    if len(uids) > MAX_ACROSS:
        raise LimitReached(f"At most {MAX_ACROSS} messages can be copied to another account at once")


def copy_within(
    tx: Tx, principal: Principal, source: Place, uids: Sequence[int], target: MailboxId, rights: Rights, now: int, moves: bool
) -> CopyResult:
    """As `email_changes.copy`, by who is not the owner; *rights*: at the target. What *moves* the owner has still seen."""
    if len(uids) > email_changes.MAX_COPY:
        raise LimitReached(f"At most {email_changes.MAX_COPY} messages can be copied at once")
    rows = rows_of(tx, principal, source, uids)
    if not rows:
        return email_changes.nothing(tx, source.account, target)
    to = Place(source.account, target)
    theirs = {row[0] for row in rows_of(tx, SERVER, source, uids) if row[2] & SEEN} if moves else set()
    result = _put(tx, principal, to, rows, rights, now, quota=not moves, owner_seen=theirs)
    tx.many(
        "UPDATE email SET copies = copies + 1 WHERE account_id = ? AND email_id = ?", [(source.account, row[1]) for row in rows]
    )
    return result


def copy_across(
    tx: Tx,
    principal: Principal,
    source: Place,
    target: Place,
    uids: Sequence[int],
    known: Mapping[int, Source],
    new_ids: Sequence[EmailId],
    rights: Rights,
    now: int,
) -> CopyResult:
    """Copy into another account. *known*: what was read of the emails, by their ids; a uid without is left out, for it came
    later or is gone. *new_ids*: one for each of *known*. Raises NotFound (the target), OverQuota, LimitReached.
    """
    rows = [row for row in rows_of(tx, principal, source, uids) if row[1] in known]
    if not rows:
        return email_changes.nothing(tx, target.account, target.mailbox)
    there = dict(zip(known, new_ids, strict=True))
    may = changeable(rights)
    words = _translated(tx, source.account, target.account, {row[2] & may for row in rows})
    placed = [(uid, there[email], words[flags & may], size) for uid, email, flags, size in rows]
    for email, copies in Counter(row[1] for row in rows).items():
        _add(tx, target.account, known[email], there[email], copies)
    return _put(tx, principal, target, placed, rights, now)


def _add(tx: Tx, account: AccountId, source: Source, new: EmailId, copies: int) -> None:
    email, prepared = source.email, source.prepared
    item = File(account, email.recipe, email.size)
    body = Body(email.blob, email.blob_size, b"")
    add_email(tx, item, body, prepared, new, email.received, email.zone, copies)


def _translated(tx: Tx, source: AccountId, target: AccountId, words: set[int]) -> dict[int, int]:
    """Flag words of *source* as those of *target*: keywords keep their names, not their bits."""
    names = {bit: bytes(name) for bit, name in tx.all("SELECT bit, name FROM keyword WHERE account_id = ?", source)}
    used = [bit for bit in sorted(names) if any(word >> bit & 1 for word in words)]
    bits = {bit: keyword_bits(tx, target, (names[bit],)) for bit in used}
    known = sum(1 << bit for bit in names)
    return {word: word & ~known | sum(new for bit, new in bits.items() if word >> bit & 1) for word in words}


def _put(
    tx: Tx,
    principal: Principal,
    target: Place,
    rows: Sequence[Row],
    rights: Rights,
    now: int,
    *,
    quota: bool = True,
    owner_seen: Collection[int] = (),
) -> CopyResult:
    """Place *rows*, with the flags that *rights* allow to set; a viewer's \\Seen goes to his own rows."""
    viewer, may = viewer_of(principal, target.account), changeable(rights)
    if viewer is None:
        return email_changes.put(tx, target.account, target.mailbox, rows, now, quota)
    shared = [(uid, email, flags & may & ~SEEN | (SEEN if uid in owner_seen else 0), size) for uid, email, flags, size in rows]
    result = email_changes.put(tx, target.account, target.mailbox, shared, now, quota)
    seen = {row[0] for row in rows if row[2] & SEEN & may}
    marks = [(int(new), True) for old, new in result.pairs if old in seen]
    viewers.mark(tx, target.account, target.mailbox, viewer, marks)
    return result


def mark_new(tx: Tx, principal: Principal, target: Place, uids: Sequence[Uid], flags: Sequence[int]) -> None:
    """A viewer's own \\Seen of messages just filed, as *flags* have it."""
    viewer = viewer_of(principal, target.account)
    if viewer is not None:
        marks = [(int(uid), True) for uid, word in zip(uids, flags, strict=True) if word & SEEN]
        viewers.mark(tx, target.account, target.mailbox, viewer, marks)
