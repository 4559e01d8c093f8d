"""Every command of IMAP4rev1 and IMAP4rev2 as a value, arguments parsed (RFC 3501 §6, RFC 9051 §6).

Conventions. Mailbox names are text: modified UTF-7 or UTF-8 is already decoded, `INBOX` in any case is `INBOX`, the
hierarchy separator is `/`, a trailing one (CREATE) is kept. Flags are bytes: the system flags in model.mail's spelling,
keywords as written. `uid` tells the UID form. Numbers are `SequenceSet`, or `SAVED` for `$`. Access control, quota, metadata
and the like are in `extension_commands`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from .fetch_attributes import FetchAttribute
from .search_keys import SearchKey
from .sequence import SavedResult, SequenceSet

MessageSet = SequenceSet | SavedResult


class Request:
    """The base of all command values."""

    __slots__ = ()


# --- any state, not authenticated -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capability(Request):
    pass


@dataclass(frozen=True, slots=True)
class Noop(Request):
    pass


@dataclass(frozen=True, slots=True)
class Logout(Request):
    pass


@dataclass(frozen=True, slots=True)
class Id(Request):
    """RFC 2971. Empty for `ID NIL`; a value may be None."""

    fields: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class StartTls(Request):
    pass


@dataclass(frozen=True, slots=True)
class Authenticate(Request):
    """*mechanism* in capitals; *initial* is the decoded initial response (RFC 4959), b"" for `=`, None if there is none."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Login(Request):
    name: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unauthenticate(Request):
    """RFC 8437."""


@dataclass(frozen=True, slots=True)
class Compress(Request):
    """RFC 4978. *mechanism* in capitals."""

    mechanism: str


@dataclass(frozen=True, slots=True)
class Enable(Request):
    """RFC 5161. *capabilities* in capitals; unknown ones are to be ignored."""

    capabilities: tuple[str, ...]


# --- authenticated ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QResync:
    """RFC 7162 §3.2.5: what the client knew when it was last here."""

    uidvalidity: int
    modseq: int
    known_uids: SequenceSet | None = None
    """None: the client gave none, all are meant."""
    match: tuple[SequenceSet, SequenceSet] | None = None
    """(sequence numbers, uids) of samples."""


@dataclass(frozen=True, slots=True)
class Select(Request):
    """SELECT; EXAMINE is *read_only*."""

    mailbox: str
    read_only: bool = False
    condstore: bool = False
    qresync: QResync | None = None


@dataclass(frozen=True, slots=True)
class Create(Request):
    mailbox: str
    use: tuple[bytes, ...] = ()
    """Special-use attributes as written, `\\Drafts` (RFC 6154 §3)."""


@dataclass(frozen=True, slots=True)
class Delete(Request):
    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename(Request):
    mailbox: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Subscribe(Request):
    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe(Request):
    mailbox: str


class StatusAttribute(Enum):
    """The value is the word in the response."""

    MESSAGES = b"MESSAGES"
    RECENT = b"RECENT"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    DELETED = b"DELETED"
    SIZE = b"SIZE"
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"
    APPENDLIMIT = b"APPENDLIMIT"
    MAILBOXID = b"MAILBOXID"
    DELETED_STORAGE = b"DELETED-STORAGE"


@dataclass(frozen=True, slots=True)
class List(Request):
    """LIST, RFC 5258's form too. *extended* is True if selection options, several patterns or RETURN were written."""

    reference: str
    patterns: tuple[str, ...]
    extended: bool = False
    # selection options
    select_subscribed: bool = False
    select_remote: bool = False
    select_special_use: bool = False
    recursive_match: bool = False
    # return options
    return_subscribed: bool = False
    return_children: bool = False
    return_special_use: bool = False
    return_myrights: bool = False
    return_status: tuple[StatusAttribute, ...] = ()
    return_metadata: tuple[str, ...] = ()
    """Entry names in lower case, `/private/comment` (RFC 9590)."""


@dataclass(frozen=True, slots=True)
class Lsub(Request):
    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Namespace(Request):
    pass


@dataclass(frozen=True, slots=True)
class Status(Request):
    mailbox: str
    attributes: tuple[StatusAttribute, ...]


@dataclass(frozen=True, slots=True)
class LiteralPart:
    """Octets that came as a literal and were streamed (`LiteralStart` … `LiteralEnd`), in the order of the parts."""

    size: int
    binary: bool = False
    """literal8: NUL is allowed (RFC 3516)."""


@dataclass(frozen=True, slots=True)
class UrlPart:
    """RFC 4469 CATENATE: octets that an IMAP URL names."""

    url: bytes


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """One message of APPEND (several: RFC 3502) or REPLACE. Just one LiteralPart unless CATENATE was used."""

    parts: tuple[LiteralPart | UrlPart, ...]
    flags: tuple[bytes, ...] = ()
    date: tuple[int, int] | None = None
    """(epoch seconds, zone in minutes), or None for now."""


@dataclass(frozen=True, slots=True)
class Append(Request):
    """In `AppendStart` still without *messages*; whole in the `Command` that follows the last literal."""

    mailbox: str
    messages: tuple[AppendMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Replace(Request):
    """RFC 8508. *number* is a sequence number or uid; 0 stands for `*`. *message* is None in `AppendStart`."""

    uid: bool
    number: int
    mailbox: str
    message: AppendMessage | None = None


@dataclass(frozen=True, slots=True)
class Idle(Request):
    """RFC 2177. Answer with `engine.idle_go()`; `IdleDone` follows."""


# --- selected ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check(Request):
    pass


@dataclass(frozen=True, slots=True)
class Close(Request):
    pass


@dataclass(frozen=True, slots=True)
class Unselect(Request):
    pass


@dataclass(frozen=True, slots=True)
class Expunge(Request):
    """EXPUNGE; UID EXPUNGE has *numbers* (RFC 4315)."""

    numbers: MessageSet | None = None

    @property
    def uid(self) -> bool:
        return self.numbers is not None


@dataclass(frozen=True, slots=True)
class Partial:
    """RFC 9394: the *first*-th to the *last*-th result, from 1; negative ones count from the end, -1 is the last."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SearchReturn:
    """RETURN (…) of RFC 4731, 5182, 9394, 5267. RETURN () is the same as RETURN (ALL)."""

    min: bool = False
    max: bool = False
    all: bool = False
    count: bool = False
    save: bool = False
    partial: Partial | None = None
    update: bool = False
    context: bool = False
    relevancy: bool = False


@dataclass(frozen=True, slots=True)
class Search(Request):
    uid: bool
    key: SearchKey
    returns: SearchReturn | None = None
    """None: answer with `* SEARCH` (rev1); else, and always once IMAP4rev2 is enabled, with ESEARCH."""


@dataclass(frozen=True, slots=True)
class Fetch(Request):
    uid: bool
    numbers: MessageSet
    attributes: tuple[FetchAttribute, ...]
    """Without repetitions, macros expanded, in the client's order. With *uid*, UID is to be added if it is not there."""
    changed_since: int | None = None
    vanished: bool = False
    partial: Partial | None = None


@dataclass(frozen=True, slots=True)
class Store(Request):
    uid: bool
    numbers: MessageSet
    operation: Literal["add", "remove", "replace"]
    flags: tuple[bytes, ...]
    silent: bool = False
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy(Request):
    uid: bool
    numbers: MessageSet
    mailbox: str


@dataclass(frozen=True, slots=True)
class Move(Request):
    uid: bool
    numbers: MessageSet
    mailbox: str


SortField = Literal["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO", "RELEVANCY"]


@dataclass(frozen=True, slots=True)
class SortKey:
    """RFC 5256 §3, RFC 5957, RFC 6203 §4 (RELEVANCY)."""

    field: SortField
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Sort(Request):
    uid: bool
    order: tuple[SortKey, ...]
    key: SearchKey
    returns: SearchReturn | None = None


@dataclass(frozen=True, slots=True)
class Thread(Request):
    """RFC 5256. *algorithm* in capitals; which ones there are is the session's word."""

    uid: bool
    algorithm: str
    key: SearchKey
