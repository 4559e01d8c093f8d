"""Filing a message: the rows that make it stored, found, threaded and counted. Works over a transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ...model.errors import LimitReached, NotFound, OverQuota
from ...model.ids import AccountId, BlobId, EmailId, MailboxId, ThreadId, Uid
from ...model.mail import DELETED, FIRST_KEYWORD_BIT, LAST_KEYWORD_BIT, SEEN
from ...model.plan import Body, File, Filed, Prepared
from ...seams import Tx

REF_EMAIL, REF_QUEUE = 1, 2
PLACE_INLINE, PLACE_STORE = 0, 1


@dataclass(frozen=True, slots=True)
class AppendItem:
    """One message of an APPEND."""

    body: Body
    prepared: Prepared
    flags: int = 0
    keywords: tuple[bytes, ...] = ()
    received: int = 0
    zone: int = 0


def add_blob(tx: Tx, body: Body, now: int) -> None:
    """The row of a new body; a large one lies in the blob store already."""
    tx.run(
        "INSERT INTO blob (blob_id, size, sha256, place, made_at, body) VALUES (?, ?, ?, ?, ?, ?)",
        body.blob,
        body.size,
        body.sha256,
        PLACE_INLINE if body.data is not None else PLACE_STORE,
        now,
        body.data,
    )


def refer(tx: Tx, blob: BlobId, kind: int, holder: int) -> None:
    tx.run("INSERT INTO blob_ref (blob_id, kind, holder) VALUES (?, ?, ?)", blob, kind, holder)


def keyword_bits(tx: Tx, account: AccountId, names: Sequence[bytes]) -> int:
    """The flag bits of keywords, new ones allotted. Raises LimitReached when the account has no bit left."""
    if not names:
        return 0
    known = {bytes(name).lower(): bit for bit, name in tx.all("SELECT bit, name FROM keyword WHERE account_id = ?", account)}
    bits = 0
    for name in names:
        bit = known.get(name.lower())
        if bit is None:
            taken = set(known.values())
            bit = next((at for at in range(FIRST_KEYWORD_BIT, LAST_KEYWORD_BIT + 1) if at not in taken), None)
            if bit is None:
                raise LimitReached("No more keywords can be made in this account")
            tx.run("INSERT INTO keyword (account_id, bit, name) VALUES (?, ?, ?)", account, bit, name)
            known[name.lower()] = bit
        bits |= 1 << bit
    return bits


def message_hash(message_id: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(message_id, digest_size=8).digest(), "big") >> 1


_ADD_REF = "INSERT INTO thread_ref (account_id, hash, thread_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def thread_of(tx: Tx, account: AccountId, prepared: Prepared, new_thread: int) -> ThreadId:
    """The thread of whatever this message answers or is answered by, or a new one (RFC 8621 §3)."""
    if not prepared.message_id and not prepared.references:
        return ThreadId(new_thread)
    own = (prepared.message_id,) if prepared.message_id else ()
    if not prepared.references:
        value = message_hash(prepared.message_id + b"\0" + prepared.subject)
        if tx.run(_ADD_REF, account, value, new_thread):
            return ThreadId(new_thread)
    # A subject that changed starts a new thread even when References say otherwise, as RFC 8621 §3 recommends.
    hashes = [message_hash(name + b"\0" + prepared.subject) for name in (*own, *prepared.references[-20:])]
    thread = 0
    missing = []
    for value in hashes:
        found = tx.one("SELECT thread_id FROM thread_ref WHERE account_id = ? AND hash = ?", account, value)
        if found is None:
            missing.append(value)
        else:
            thread = found[0]
    thread = thread or new_thread
    for value in missing:
        tx.run(_ADD_REF, account, value, thread)
    return ThreadId(thread)


def add_email(
    tx: Tx, item: File, body: Body, prepared: Prepared, email: EmailId, received: int, zone: int, copies: int = 1
) -> EmailId:
    tx.run(
        "INSERT INTO email (account_id, email_id, blob_id, blob_size, size, received, zone, sent, thread_id, created, copies,"
        " recipe, overview, structure) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        item.account,
        email,
        body.blob,
        body.size,
        item.size,
        received,
        zone,
        prepared.sent,
        thread_of(tx, item.account, prepared, email),
        tx.modseq(item.account),
        copies,
        item.recipe,
        prepared.overview,
        prepared.structure,
    )
    refer(tx, body.blob, REF_EMAIL, email)
    return email


def charge(tx: Tx, account: AccountId, size: int, respects_quota: bool) -> None:
    """Count *size* octets to the account. Raises OverQuota where the quota counts."""
    if not respects_quota:
        tx.modseq(account, size)
    elif not tx.run("UPDATE account_state SET used = used + ? WHERE account_id = ? AND used + ? <= quota", size, account, size):
        raise OverQuota("Mailbox is full", detail=f"account {account}: {size} octets more than its quota")


_TAKE = (
    "UPDATE mailbox SET uidnext = uidnext + ?, modseq = ?, total = total + ?, unseen = unseen + ?, deleted = deleted + ?,"
    " size = size + ? WHERE account_id = ? AND mailbox_id = {} AND selectable = 1 RETURNING uidnext, uidvalidity, mailbox_id"
)
_BY_ID = _TAKE.format("?")
_BY_ROLE = _TAKE.format("(SELECT mailbox_id FROM mailbox WHERE account_id = ? AND role = ? AND selectable = 1 LIMIT 1)")


def take_uids(
    tx: Tx, account: AccountId, mailbox: MailboxId, flags: Sequence[int], size: int, role: str = ""
) -> tuple[Uid, int, MailboxId]:
    """Reserve a uid for each of *flags* and count the messages in: (first uid, uidvalidity, mailbox). Raises NotFound.

    *mailbox* 0 is the one with *role*, or else the inbox.
    """
    values = (
        len(flags),
        tx.modseq(account),
        len(flags),
        sum(not flag & SEEN for flag in flags),
        sum(bool(flag & DELETED) for flag in flags),
        size,
        account,
    )
    if mailbox:
        found = tx.one(_BY_ID, *values, mailbox)
    else:
        found = tx.one(_BY_ROLE, *values, account, role.encode()) or tx.one(_BY_ROLE, *values, account, b"inbox")
    if found is None:
        raise NotFound("No such mailbox", detail=f"account {account}, mailbox {mailbox or role}")
    return Uid(found[0] - len(flags)), found[1], MailboxId(found[2])


_PLACE = (
    "INSERT INTO placement (account_id, mailbox_id, uid, email_id, flags, modseq, size, saved) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def place(tx: Tx, account: AccountId, mailbox: MailboxId, rows: Sequence[tuple[int, int, int, int]], now: int) -> None:
    """Insert placements: rows of (uid, email, flags, size)."""
    modseq = tx.modseq(account)
    if len(rows) == 1:
        uid, email, flags, size = rows[0]
        tx.run(_PLACE, account, mailbox, uid, email, flags, modseq, size, now)
        return
    tx.many(_PLACE, [(account, mailbox, uid, email, flags, modseq, size, now) for uid, email, flags, size in rows])


def file(tx: Tx, item: File, body: Body, prepared: Prepared, email: EmailId, received: int, zone: int, now: int) -> Filed:
    """File one copy; the blob's row must be there. Raises OverQuota, NotFound."""
    charge(tx, item.account, item.size, item.respects_quota)
    flags = item.flags | keyword_bits(tx, item.account, item.keywords)
    uid, uidvalidity, mailbox = take_uids(tx, item.account, item.mailbox, (flags,), item.size, item.role)
    add_email(tx, item, body, prepared, email, received, zone)
    place(tx, item.account, mailbox, ((uid, email, flags, item.size),), now)
    return Filed(item.account, mailbox, email, uid, uidvalidity)
