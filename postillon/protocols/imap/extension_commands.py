"""Commands that only extensions have, as values: access control, quota, metadata, NOTIFY, URLAUTH and smaller ones.

The conventions are those of `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from .commands import Request, SearchReturn
from .fetch_attributes import FetchAttribute
from .search_keys import SearchKey

# --- access control (RFC 4314) ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetAcl(Request):
    mailbox: str
    identifier: str
    """Whose rights; with a `-` before it they are negative ones."""
    operation: Literal["add", "remove", "replace"]
    rights: str
    """Letters and digits as written; which ones there are is the session's word."""


@dataclass(frozen=True, slots=True)
class DeleteAcl(Request):
    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class GetAcl(Request):
    mailbox: str


@dataclass(frozen=True, slots=True)
class ListRights(Request):
    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights(Request):
    mailbox: str


# --- quota (RFC 9208) -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GetQuota(Request):
    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot(Request):
    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota(Request):
    root: str
    limits: tuple[tuple[str, int], ...]
    """(resource in capitals, limit in the resource's unit: STORAGE counts 1024 octets)."""


# --- metadata (RFC 5464) ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GetMetadata(Request):
    """*mailbox* is empty for the server's own entries. Entry names in lower case, `/private/comment`."""

    mailbox: str
    entries: tuple[str, ...]
    max_size: int | None = None
    depth: Literal["0", "1", "infinity"] = "0"


@dataclass(frozen=True, slots=True)
class SetMetadata(Request):
    mailbox: str
    values: tuple[tuple[str, bytes | None], ...]
    """(entry, value); None removes the entry."""


# --- which mailboxes: NOTIFY (RFC 5465) and ESEARCH (RFC 7377) --------------------------------------------------------


class Scope(Enum):
    SELECTED = "SELECTED"
    SELECTED_DELAYED = "SELECTED-DELAYED"
    """Only NOTIFY: like SELECTED, but expunges wait for a command that allows them."""
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    SUBTREE_ONE = "SUBTREE-ONE"
    """The named mailboxes and their children, no deeper."""
    MAILBOXES = "MAILBOXES"


@dataclass(frozen=True, slots=True)
class MailboxFilter:
    scope: Scope
    mailboxes: tuple[str, ...] = ()
    """For SUBTREE, SUBTREE_ONE and MAILBOXES."""


class NotifyEvent(Enum):
    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    ANNOTATION_CHANGE = "AnnotationChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


@dataclass(frozen=True, slots=True)
class EventGroup:
    mailboxes: MailboxFilter
    events: frozenset[NotifyEvent]
    """Empty: NONE."""
    attributes: tuple[FetchAttribute, ...] = ()
    """What to send of a new message in the selected mailbox."""


@dataclass(frozen=True, slots=True)
class Notify(Request):
    """NOTIFY SET; NOTIFY NONE has no groups."""

    groups: tuple[EventGroup, ...] = ()
    status: bool = False
    """Send a STATUS of each mailbox first."""


@dataclass(frozen=True, slots=True)
class SearchMailboxes(Request):
    """The ESEARCH command (RFC 7377): a search over several mailboxes, always with uids."""

    key: SearchKey
    sources: tuple[MailboxFilter, ...] = (MailboxFilter(Scope.SELECTED),)
    returns: SearchReturn = field(default=SearchReturn(all=True))


@dataclass(frozen=True, slots=True)
class CancelUpdate(Request):
    """RFC 5267 §4.3.6: the searches with these tags need no updates any more."""

    tags: tuple[bytes, ...]


# --- URLAUTH (RFC 4467, RFC 5524) -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResetKey(Request):
    """Empty *mailbox*: all mailboxes."""

    mailbox: str = ""
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenUrlAuth(Request):
    urls: tuple[tuple[bytes, str], ...]
    """(URL without the verifier, mechanism in capitals)."""


@dataclass(frozen=True, slots=True)
class UrlWanted:
    url: bytes
    parameters: tuple[Literal["BODYPARTSTRUCTURE", "BODY", "BINARY"], ...] = ()
    """Empty: the plain form."""


@dataclass(frozen=True, slots=True)
class UrlFetch(Request):
    urls: tuple[UrlWanted, ...]


# --- smaller ones -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Language(Request):
    """RFC 5255 §3.2; empty: list them."""

    ranges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GetJmapAccess(Request):
    """RFC 9698."""


@dataclass(frozen=True, slots=True)
class UidBatches(Request):
    """UIDBATCHES: where the mailbox' uids are to be cut into batches of *size* messages, newest first."""

    size: int
    batches: tuple[int, int] | None = None
    """Only the *n*-th to the *m*-th batch, from 1."""
