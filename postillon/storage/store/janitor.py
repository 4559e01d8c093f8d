"""What is left to remove after the fact, in small steps. Works over a transaction."""

from __future__ import annotations

from ...model.ids import AccountId, BlobId, MailboxId
from ...seams import Tx
from ..knowledge.forget import forget_account
from . import viewers
from .email_changes import unplace
from .filing import REF_EMAIL
from .mailboxes import REAP_EMAIL, REAP_FILE, REAP_KNOWLEDGE, REAP_MAILBOX, REAP_VIEWER
from .queue import unrefer


def reap(tx: Tx, before: int, now: int, limit: int = 500) -> tuple[int, list[BlobId], list[int]]:
    """One step over the list's entries older than *before*: (entries done, blobs whose files may go now, emails that went)."""
    rows = tx.all(
        "SELECT at, kind, account_id, object FROM reap WHERE at < ? ORDER BY at, kind, account_id, object LIMIT ?", before, limit
    )
    files: list[BlobId] = []
    gone: list[int] = []
    for at, kind, account, item in rows:
        if kind == REAP_MAILBOX and not _mailbox_step(tx, AccountId(account), MailboxId(item), now):
            continue
        if kind == REAP_VIEWER and not viewers.forget_viewer(tx, AccountId(account)):
            continue
        if kind == REAP_KNOWLEDGE and not forget_account(tx, AccountId(account)):
            continue
        if kind == REAP_EMAIL:
            if _email(tx, AccountId(account), item, now):
                gone.append(item)
        elif kind == REAP_FILE:
            files.append(BlobId(item))
        tx.run("DELETE FROM reap WHERE at = ? AND kind = ? AND account_id = ? AND object = ?", at, kind, account, item)
    return len(rows), files, gone


def _email(tx: Tx, account: AccountId, email: int, now: int) -> bool:
    """Remove the row unless the email was placed again meanwhile (COPY by another session)."""
    row = tx.one("DELETE FROM email WHERE account_id = ? AND email_id = ? AND copies <= 0 RETURNING blob_id", account, email)
    if row is not None:
        unrefer(tx, row[0], REF_EMAIL, email, now)
    return row is not None


def _mailbox_step(tx: Tx, account: AccountId, mailbox: MailboxId, now: int) -> bool:
    """Remove placements of a deleted mailbox; True when none is left."""
    rows = tx.all("SELECT uid FROM placement WHERE account_id = ? AND mailbox_id = ? ORDER BY uid LIMIT 1000", account, mailbox)
    if not rows:
        tx.run("DELETE FROM metadata WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
        tx.run("DELETE FROM mailbox_pack WHERE mailbox_id = ? AND account_id = ?", mailbox, account)
        tx.run("DELETE FROM urlauth_key WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
        viewers.clear(tx, account, mailbox)
        return True
    sql = "DELETE FROM placement WHERE account_id = ? AND mailbox_id = ? AND uid <= ? RETURNING email_id"
    gone = tx.all(sql, account, mailbox, rows[-1][0])  # fewer than were found if another worker's janitor is at it, too
    viewers.clear_up_to(tx, account, mailbox, rows[-1][0])
    unplace(tx, account, [row[0] for row in gone], now)
    return False


def prune(tx: Tx, before: int, limit: int = 500) -> int:
    """One step of dropping tombstones older than *before*; how many. `account_state.floor` tells how far they may be missing."""
    rows = tx.all(
        "SELECT account_id, mailbox_id, modseq, kind, object FROM gone WHERE at < ? ORDER BY at, account_id LIMIT ?",
        before,
        limit,
    )
    tx.many("DELETE FROM gone WHERE account_id = ? AND mailbox_id = ? AND modseq = ? AND kind = ? AND object = ?", rows)
    floors: dict[int, int] = {}
    for account, _, modseq, _, _ in rows:
        floors[account] = max(modseq, floors.get(account, 0))
    for account, floor in sorted(floors.items()):
        tx.run("UPDATE account_state SET floor = ? WHERE account_id = ? AND floor < ?", floor, account, floor)
    return len(rows)


def forget(tx: Tx, accepted_before: int) -> None:
    """Drop unconfirmed acceptances that nobody will repeat any more."""
    tx.run("DELETE FROM accepted WHERE at < ?", accepted_before)
