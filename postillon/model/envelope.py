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


@dataclass(frozen=True, slots=True)
class Tls:
    """What the handshake agreed on: `version` as `TLSv1.3`, `cipher` by its IANA or OpenSSL name."""

    version: str
    cipher: str


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
    mechanism: str = ""
    """The SASL mechanism it authenticated with."""
    local_port: int = 0
    reverse_name: str = ""


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
