"""The envelope: who sends to whom, apart from the message's header (RFC 5321 §2.3.1, RFC 3461)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from .address import Address
from .ids import AccountId


class Notify(Enum):
    """RFC 3461 §4.1: when the sender wants a report about a recipient."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


BodyType = Literal["7BIT", "8BITMIME", "BINARYMIME"]


@dataclass(frozen=True, slots=True)
class Recipient:
    address: Address
    notify: frozenset[Notify] = frozenset()
    """Empty: the sender did not say, which means FAILURE (and DELAY if we like)."""
    original: str | None = None
    """ORCPT as received, still xtext-decoded: `rfc822;a@b` (RFC 3461 §4.2)."""


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """RFC 2852: *seconds* from the acceptance on in which the message shall be delivered; not positive ones are over."""

    seconds: int
    returns: bool
    """Mode R: after that it is returned. Else (mode N) its sender is told that it is late, and it is tried on."""
    traces: bool = False
    """The sender wants to be told when it is handed on."""


@dataclass(frozen=True, slots=True)
class Envelope:
    sender: Address | None
    """None is the null reverse-path `<>` (RFC 5321 §4.5.5)."""
    recipients: tuple[Recipient, ...] = ()
    body: BodyType = "7BIT"
    smtputf8: bool = False
    size: int | None = None
    """SIZE as declared by the client, octets (RFC 1870)."""
    ret: Literal["FULL", "HDRS"] | None = None
    envid: str | None = None
    require_tls: bool = False
    """REQUIRETLS (RFC 8689)."""
    tls_optional: bool = False
    """The header says `TLS-Required: No` (RFC 8689 §5): known once the message has come."""
    hold_for: int = 0
    """FUTURERELEASE (RFC 4865): seconds after the acceptance before which nothing is delivered; 0: at once."""
    hold_until: int = 0
    """The same as epoch seconds."""
    deliver_by: DeliverBy | None = None
    priority: int = 0
    """MT-PRIORITY (RFC 6710), -9 to 9."""
    solicit: tuple[str, ...] = ()
    """NO-SOLICITING (RFC 3865): the keywords that the sender gave, in lower case."""

    withheld: str = ""
    """Why its sender, who is likely to be forged, is told nothing about it: `spf`, `junk`; empty: it may hear of it."""

    def release_at(self, accepted: int) -> int:
        """Epoch seconds before which nothing is delivered; *accepted*: when we took the message."""
        return max(accepted, self.hold_until, accepted + self.hold_for)


@dataclass(frozen=True, slots=True)
class Tls:
    """What the handshake agreed on: `version` as `TLSv1.3`, `cipher` by its IANA or OpenSSL name."""

    version: str
    cipher: str
    bits: int = 0
    """Of the cipher's key; 0: not known."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who is on the other end of a connection."""

    address: str
    """IP address as text, without brackets."""
    port: int = 0
    hello: str = ""
    """The EHLO or HELO argument."""
    esmtp: bool = True
    tls: Tls | None = None
    account: AccountId | None = None
    """Set once the client has authenticated."""
    login: str = ""
    """The name it authenticated as, canonical."""
    session: str = ""
    """The session's id in the log."""
    local_address: str = ""
    """Ours, that it connected to."""
    mechanism: str = ""
    """The SASL mechanism it authenticated with."""
    local_port: int = 0
    reverse_name: str = ""
    protocol: Literal["", "LMTP"] = ""
    """Empty: SMTP or ESMTP."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A recipient of a message under way, with where it will go. Made at RCPT by `flow`, used again after DATA."""

    recipient: Recipient
    accounts: tuple[AccountId, ...] = ()
    """Local accounts that get a copy (aliases expanded)."""
    remote: tuple[Address, ...] = field(default=())
    """Addresses elsewhere that the message is handed on to."""
    detail: str | None = None
    """The subaddress' detail part."""
