"""Every protocol (in Python's sense) that has more than one kind. One contract suite each, which every kind must pass.

`Store` and the queue are not seams: they are one concrete class over `Database`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

from .model.account import Account, ScramKeys
from .model.address import Address
from .model.envelope import Client, Envelope
from .model.ids import AccountId, BlobId, ModSeq
from .model.queue import Outcome
from .model.verdict import Opinion

T = TypeVar("T")
X = TypeVar("X", contravariant=True)
Row = tuple[Any, ...]


class Clock(Protocol):
    def now(self) -> int:
        """Seconds since 1970, UTC."""
        ...


class Tx(Protocol):
    """One transaction, seen from inside a work. Values are int, bytes and None only; `?` is the placeholder everywhere."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgres`."""
        ...

    def one(self, sql: str, *values: Any) -> Row | None:
        """The first row, or None."""
        ...

    def all(self, sql: str, *values: Any) -> list[Row]: ...

    def run(self, sql: str, *values: Any) -> int:
        """Execute and return how many rows it changed."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute once for each row of values."""
        ...

    def parts(self, table: str, column: str, ranges: Sequence[tuple[int, int, int]]) -> list[bytes | None]:
        """Of long values only what is wanted: for each (row's integer key, start, stop) these octets of *column*.

        None where there is no such row, or no value in it.
        """
        ...

    def modseq(self, account: AccountId, used: int = 0) -> ModSeq:
        """This work's modseq for *account*, which must be declared: bumped at the first call, the same at the next.

        *used* octets are added to what the account uses, in the same statement.
        After the commit the account's subscribers are woken.
        """
        ...

    def wake(self, topic: int) -> None:
        """Publish *topic* on the bus after the commit."""
        ...


Work = Callable[[Tx], T]


class Database(Protocol):
    """Transactions as plain, repeatable functions.

    A work may run more than once (after a failed neighbour, a deadlock), so ids, times and randomness are arguments of it
    and it touches nothing outside. `write` returns after the commit is on stable storage. Raises `Unavailable`.
    """

    async def write(self, work: Work[T], accounts: Sequence[AccountId] = (), *, heavy: bool = False) -> T:
        """Run *work* and commit. *accounts* are those whose mail data it changes: no two works of one account run at a time.
        Cancelling the caller is no rollback.

        *heavy*: it may take more than some milliseconds (hundreds of rows), so it must not run on the event loop.
        """
        ...

    async def read(self, work: Work[T], *, short: bool = False) -> T:
        """Run *work* on one snapshot in a reader thread; a *short* one (some hundreds of rows, one of several) maybe on the
        event loop, as long as what it reads lies in memory.
        """
        ...

    async def peek(self, work: Work[T]) -> T:
        """Like read, for a few primary-key reads of narrow rows: may run on the event loop itself."""
        ...

    async def close(self) -> None: ...


class BlobStore(Protocol):
    """Bodies above the inline limit. Ids are new for each acceptance and never used twice."""

    async def put(self, blob: BlobId, path: str) -> None:
        """Take over the file *path* as *blob*; durable on return. The file is gone afterwards."""
        ...

    async def read(self, blob: BlobId, start: int, stop: int) -> bytes:
        """Octets start to stop (exclusive). Raises `Unavailable` if the blob is missing or damaged."""
        ...

    async def delete(self, blobs: Sequence[BlobId]) -> None:
        """Remove; a blob that is not there is no error."""
        ...


class Waker(Protocol):
    """A flag that somebody sets and one task waits for. Setting it twice is the same as once."""

    def is_set(self) -> bool: ...
    def clear(self) -> None: ...
    def on_set(self, callback: Callable[[], None] | None) -> None:
        """Call *callback* (on the loop) when the flag is set from now on; at once if it is set already. None: stop."""
        ...

    def close(self) -> None:
        """Unsubscribe."""
        ...


class Bus(Protocol):
    """Wakes: `topic` has moved, and nothing more. May lose, double or delay them."""

    def publish(self, topics: Iterable[int]) -> None: ...
    def subscribe(self, topic: int) -> Waker: ...
    async def close(self) -> None: ...


QUEUE_TOPIC = -1
"""Something was enqueued. Positive topics are account ids."""
DIRECTORY_TOPIC = -2
"""Domains, aliases or accounts changed."""
BANS_TOPIC = -3
"""Somebody was banned, or is no longer."""


class FindKind(Enum):
    LOCAL = "local"
    UNKNOWN = "unknown"
    """One of our domains, no such address."""
    FOREIGN = "foreign"
    """Not a domain of ours."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where an address leads. With LOCAL: the accounts that get a copy and the foreign addresses it is handed on to."""

    kind: FindKind
    accounts: tuple[AccountId, ...] = ()
    remote: tuple[Address, ...] = ()
    detail: str | None = None
    free: int = field(default=0, compare=False)
    """Octets that the roomiest of *accounts* can still take; negative over quota."""


class TokenVerifier(Protocol):
    """Who tells whose an OAuth access token is."""

    def challenge(self, mechanism: str) -> bytes:
        """What a client hears whose token is not good: JSON (RFC 7628 §3.2.2)."""
        ...

    async def owner(self, token: str) -> str:
        """The login name that *token* was issued for. Raises AuthenticationFailed, Unavailable."""
        ...


class Directory(Protocol):
    @property
    def tokens(self) -> TokenVerifier | None:
        """None: nobody can log in with a token."""
        ...

    async def find(self, address: Address) -> Found:
        """Exact account or alias, then the subaddress stripped, then the domain's catch-all."""
        ...

    async def is_local_domain(self, domain: str) -> bool: ...

    async def postmaster(self) -> Found:
        """Where bare `<Postmaster>` goes (RFC 5321 §4.5.1)."""
        ...

    async def authenticate(self, name: str, password: str, client: Client) -> Account:
        """Raises AuthenticationFailed, AuthenticationDelayed or Unavailable. Unknown names cost the same as wrong passwords."""
        ...

    async def scram_keys(self, name: str, mechanism: str) -> tuple[ScramKeys, Account | None]:
        """Keys for `SCRAM-SHA-1` or `SCRAM-SHA-256`; made-up ones, always the same, with None for an unknown name."""
        ...

    async def admit(self, account: Account, client: Client) -> Account:
        """After a SCRAM proof was right: state and limits are checked. Raises as `authenticate`."""
        ...

    async def authenticate_token(self, name: str, token: str, client: Client) -> Account:
        """The account that *token* was issued for. *name*: who the client says it is, or empty. Raises as `authenticate`."""
        ...

    async def authenticate_certificate(self, addresses: Sequence[str], name: str, client: Client) -> Account:
        """The account that one of *addresses*, of a verified certificate, is the login name of: *name* if that is given.

        Raises as `authenticate`.
        """
        ...

    async def failed(self, name: str, client: Client) -> None:
        """Count a failed SCRAM exchange against the client's address, network and the name.

        Raises AuthenticationDelayed beyond the limits, so that a right and a wrong proof sound the same there too.
        """
        ...

    async def account(self, account: AccountId) -> Account:
        """The row as it is now. Raises NotFound."""
        ...

    async def may_send_as(self, account: AccountId, address: Address) -> bool: ...


class DnsStatus(Enum):
    OK = "ok"
    NODATA = "no data"
    NXDOMAIN = "no such domain"
    SERVFAIL = "server failure"
    TIMEOUT = "timeout"
    BOGUS = "dnssec bogus"


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS said. *records* depend on the question: `mx` (preference, host), `tlsa` tuples, the others text."""

    status: DnsStatus
    records: tuple[Any, ...] = ()
    name: str = ""
    """The canonical name, after CNAMEs."""
    secure: bool = False
    """The AD bit, believed only from a resolver marked as trusted."""
    ttl: int = 0

    @property
    def is_temporary(self) -> bool:
        return self.status in (DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.BOGUS)


class Resolver(Protocol):
    async def txt(self, name: str) -> Answer: ...
    async def mx(self, name: str) -> Answer:
        """Records (preference, host); a null MX (RFC 7505) is one record with host ``."""
        ...

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        """A and AAAA as text."""
        ...

    async def ptr(self, address: str) -> Answer: ...
    async def tlsa(self, name: str) -> Answer: ...


class SearchIndex(Protocol):
    """Decoded, folded text of stored mail. It may be lost and made again at any time; whatever is said of what `known`
    named is exact.
    """

    @property
    def generation(self) -> int:
        """Changes when the index began anew: what was known before need not be there."""
        ...

    async def known(self, emails: Sequence[int]) -> dict[int, int]:
        """By email: the id under which the index has those of *emails* that are in it, 0 where it lacks some of their text."""
        ...

    async def remove(self, emails: Sequence[int]) -> None: ...

    async def in_field(self, field: bytes, needle: str, among: set[int], breathe: Callable[[], Awaitable[Any]]) -> set[int]:
        """Those of *among* (ids of the index) with *needle* (folded) in a header field called *field* (lower case).

        With an empty needle those that have the field. *breathe* is awaited between steps.
        """
        ...

    async def in_head(self, needle: str, among: set[int], breathe: Callable[[], Awaitable[Any]]) -> set[int]:
        """Those with *needle* anywhere in the header, names of fields included."""
        ...

    async def in_body(self, needle: str, among: set[int], breathe: Callable[[], Awaitable[Any]]) -> set[int]:
        """Those with *needle* in the text."""
        ...


class Filter(Protocol[X]):
    """Examines a message that has come whole, before it is answered. *X* is `filters.examined.Examined`.

    It runs beside the other filters, within a time limit. An exception or the limit means a finding, never a lost message.
    """

    @property
    def name(self) -> str:
        """As in the configuration, the log and records."""
        ...

    @property
    def is_local(self) -> bool:
        """It asks nobody but our own store: it runs once it is known who sent the message, one such filter after the other."""
        ...

    async def examine(self, examined: X) -> Opinion: ...


class Transport(Protocol):
    async def attempt(self, envelope: Envelope, octets: Any, destination: str = "") -> dict[int, Outcome]:
        """Try all recipients of *envelope* once: one outcome each, keyed by position. Never raises for the peer's faults.

        *destination*: where an administrator sends them instead of their domains, `via:HOST:PORT`.
        """
        ...
