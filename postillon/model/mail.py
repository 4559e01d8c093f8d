"""Stored mail: mailboxes, emails, placements, changes (RFC 9051, RFC 8621 names)."""

from __future__ import annotations

from dataclasses import dataclass

from .access import ALL, Rights
from .ids import AccountId, BlobId, EmailId, MailboxId, ModSeq, ThreadId, Uid

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16
"""System flags as bits of `flags`. Bits 7 to 62 are keywords, named per account; bits 5 and 6 are kept free."""

SYSTEM_FLAGS = {
    b"\\Seen": SEEN,
    b"\\Answered": ANSWERED,
    b"\\Flagged": FLAGGED,
    b"\\Deleted": DELETED,
    b"\\Draft": DRAFT,
}
FIRST_KEYWORD_BIT = 7
LAST_KEYWORD_BIT = 62


def changeable(rights: Rights) -> int:
    """The bits of a flag word that may be changed with *rights*; -1 for all of them."""
    bits = ~(SEEN | DELETED) if rights & Rights.WRITE else 0
    if rights & Rights.SEEN:
        bits |= SEEN
    return bits | DELETED if rights & Rights.MARK_DELETED else bits


OTHER_USERS = "Other Users"
"""The first level of the names of other people's mailboxes (RFC 2342); nobody's own tree has it."""
ROLES = ("inbox", "drafts", "sent", "archive", "junk", "trash")
"""RFC 8621 §2 role names; IMAP's special use is the same word with a backslash and a capital (RFC 6154)."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox row, as who asked for it sees it. *path* is the names from the root, each any text without `/` or control
    characters; another's mailbox is called OTHER_USERS, the owner's address, and what its owner calls it.
    """

    account: AccountId
    id: MailboxId
    path: tuple[str, ...]
    role: str
    """One of ROLES, or empty."""
    subscribed: bool
    selectable: bool
    """False: only a name that has children (\\Noselect)."""
    uidvalidity: int
    uidnext: Uid
    modseq: ModSeq
    """HIGHESTMODSEQ."""
    total: int
    unseen: int
    deleted: int
    size: int
    """Octets of all messages (STATUS=SIZE, RFC 8438)."""
    rights: Rights = ALL
    """What who asked may do with it. Without r nothing is told of its messages."""
    is_shared: bool = False
    """It belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Email:
    """A stored message without its octets. *overview* and *structure* were made on arrival; see `message.prepare`."""

    uid: Uid
    """0 where the email was not read through a mailbox."""
    id: EmailId
    thread: ThreadId
    blob: BlobId
    blob_size: int
    recipe: bytes
    """How the message is put together from the blob: `message.octets.Octets.decode`; empty is the whole blob."""
    size: int
    """RFC822.SIZE: octets of the message as clients see it."""
    received: int
    """INTERNALDATE, epoch seconds UTC; *zone* is its offset in minutes."""
    zone: int
    saved: int
    """When it came into this mailbox (SAVEDATE)."""
    overview: bytes
    structure: bytes


@dataclass(frozen=True, slots=True)
class Changes:
    """All that happened in a mailbox past a modseq. Applying it twice is harmless."""

    modseq: ModSeq
    """The mailbox' HIGHESTMODSEQ at the moment of reading."""
    changed: list[tuple[Uid, int, ModSeq]]
    """(uid, flags, modseq) of new and changed placements, by uid."""
    gone: list[Uid]
    """Expunged uids, ascending."""
    exists: bool = True
    """False: the mailbox itself is gone."""
    complete: bool = True
    """False: so long ago that tombstones are missing. What is not there any more is gone, whether or not in *gone*."""
