"""The queue's words: a duty per recipient, and what became of an attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from .envelope import Envelope, Recipient
from .ids import AccountId, BlobId, QueueId


class QueueState(IntEnum):
    WAITING = 0
    HELD = 1
    """By the administrator, or by a rule."""
    ACCOUNT_HELD = 2
    """With everything else that its account sends."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One recipient's duty, leased. *owner* and *epoch* must be shown again to settle it."""

    queue_id: QueueId
    number: int
    """Which recipient of the message, from 0."""
    account: AccountId | None
    """Whose submission it was; None for mail that came from outside or was made by us."""
    blob: BlobId
    blob_size: int
    recipe: bytes
    envelope: Envelope
    """The whole message's properties; its `recipients` holds just this recipient."""
    destination: str
    """The domain that decides the next hop, or `local` for a copy to file here."""
    made_at: int
    expires: int
    attempts: int
    last_answer: str
    owner: int
    epoch: int
    delay_reported: bool = False

    @property
    def recipient(self) -> Recipient:
        return self.envelope.recipients[0]


class OutcomeKind(Enum):
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What they said about one recipient, or why we could not ask. Exactly one per recipient and attempt."""

    kind: OutcomeKind
    status: str
    """RFC 3463."""
    text: str
    """The remote's words, or ours, one line, printable."""
    remote: str = ""
    """`host [address]` that said it; empty if nobody did."""
    code: int = 0
    """SMTP reply code; 0 if nobody said one."""
    security: str = field(default="", compare=False)
    """How the connection was protected, in words for the operator; empty if there was none."""
    confirms: bool = field(default=False, compare=False)
    """Delivered to a hop that knows DSN: telling the sender of success is its duty now (RFC 3461 §5.2.2)."""
    later_s: int = field(default=0, compare=False)
    """Not 0: nothing was tried, it was not its turn. It is in so many seconds, which is no failed attempt."""


@dataclass(frozen=True, slots=True)
class QueueView:
    """A row as the administrator sees it."""

    queue_id: QueueId
    number: int
    sender: str
    recipient: str
    destination: str
    state: QueueState
    size: int
    made_at: int
    due: int
    expires: int
    attempts: int
    last_answer: str


@dataclass(frozen=True, slots=True)
class QueueTotal:
    """What waits for one destination, as the administrator sees it."""

    destination: str
    state: QueueState
    count: int
    """Recipients."""
    due: int
    """When the next one is tried."""
    attempts: int
    made_at: int
    """When the oldest was accepted."""
    last_answer: str
    """Of the one that is due next, as its attempts."""


@dataclass(frozen=True, slots=True)
class NextHop:
    """A fixed route: host and port, with a login if the smarthost wants one."""

    host: str
    port: int = 25
    tls: str = "opportunistic"
    """`none`, `opportunistic`, `required` (STARTTLS, verified) or `implicit` (verified)."""
    login: str = ""
    password: str = ""
    protocol: str = "smtp"
    """`smtp` or `lmtp`."""
    pool: str = ""
    """Our addresses to connect from, by name; empty: as for the recipients' domain."""
    proxy: str = ""

    def __repr__(self) -> str:  # the password must not reach a log
        return f"NextHop({self.host!r}, {self.port}, {self.tls!r}, login={self.login!r})"
