"""What we will do with a message (`Plan`) and what was done (`Receipt`). `Store.commit` makes a plan true in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from .envelope import Envelope
from .ids import AccountId, BlobId, EmailId, MailboxId, QueueId, Uid
from .queue import QueueState
from .record import Record
from .sending import Charge, Usage


@dataclass(frozen=True, slots=True)
class Body:
    """A message's octets on their way into the store, complete and hashed.

    Small bodies are in *data*; larger ones lie in the spool file *path* until the commit moves them into the blob store.
    """

    blob: BlobId
    size: int
    sha256: bytes
    data: bytes | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is worked out once on arrival and stored beside a message (see `message.prepare`)."""

    overview: bytes
    structure: bytes
    message_id: bytes = b""
    """Without angle brackets; empty if none."""
    references: tuple[bytes, ...] = ()
    """Message-IDs that this one answers, oldest first (References, then In-Reply-To)."""
    subject: bytes = b""
    """The base subject (RFC 5256 §2.1), folded; for threads."""
    sent: int = 0
    """The Date field, epoch seconds, or 0."""


@dataclass(frozen=True, slots=True)
class File:
    """File a copy into a mailbox. *mailbox* 0 means by role (*role*), falling back to the inbox."""

    account: AccountId
    recipe: bytes
    size: int
    flags: int = 0
    mailbox: MailboxId = MailboxId(0)
    role: str = "inbox"
    keywords: tuple[bytes, ...] = ()
    respects_quota: bool = False
    """True for a client's own APPEND; mail accepted at RCPT is filed whatever the quota says."""


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Hand on to the recipients of *envelope*, each a duty of its own. *destinations* runs parallel to its recipients."""

    queue_id: QueueId
    envelope: Envelope
    destinations: tuple[str, ...]
    recipe: bytes
    account: AccountId | None
    due: int
    expires: int
    state: QueueState = QueueState.WAITING
    answer: str = ""
    """Why it is held, where it is."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep it from its recipients, in the quarantine, until somebody releases it or *until* (epoch seconds) has come."""

    hold_id: int
    account: AccountId | None
    """For whom; None: for addresses elsewhere."""
    item: Enqueue
    """What a release queues; its times and its id count no more then."""
    size: int
    until: int
    room: int = 1 << 62
    """Octets for all that is held; beyond them the plan is refused."""
    facts: tuple[tuple[str, str], ...] = ()
    """What an administrator is shown: `reason`, `subject`, `author`."""


Item = File | Enqueue | Hold


@dataclass(frozen=True, slots=True)
class Plan:
    body: Body
    prepared: Prepared | None
    """None when nothing is filed."""
    received: int
    """INTERNALDATE of what is filed, epoch seconds."""
    zone: int = 0
    items: tuple[Item, ...] = ()
    accept_key: bytes = b""
    """Hash over peer, envelope and body, to recognise a message that was sent again after a lost 250; empty: never."""
    along: tuple[Plan, ...] = ()
    """Reports about it, made true in the same transaction; not once more if it had been accepted before."""
    records: tuple[Record, ...] = ()
    """What is written down about it; where it was filed and queued is added by the commit. Empty: nothing is."""
    charge: Charge | None = None
    """A submission, which counts against its account's limits; it is refused beyond them."""


@dataclass(frozen=True, slots=True)
class Filed:
    account: AccountId
    mailbox: MailboxId
    email: EmailId
    uid: Uid
    uidvalidity: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the commit did. *repeated*: the message had been accepted before and nothing was done again."""

    blob: BlobId
    filed: tuple[Filed, ...] = ()
    queued: tuple[QueueId, ...] = ()
    repeated: bool = False
    usage: Usage | None = None
    """Where it was charged: what the account has sent by now."""
