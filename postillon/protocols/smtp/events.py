"""What a client of ours may mean by what it sends: the events of `server.ServerEngine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...model.envelope import Envelope, Recipient
from .reply import Reply


@dataclass(frozen=True, slots=True)
class Ehlo:
    name: str
    esmtp: bool
    """False after HELO."""


@dataclass(frozen=True, slots=True)
class Mail:
    envelope: Envelope
    """Without recipients."""


@dataclass(frozen=True, slots=True)
class Rcpt:
    recipient: Recipient | None
    """None: the bare `<Postmaster>`."""


@dataclass(frozen=True, slots=True)
class DataStart:
    """DATA. Once accepted, what follows is the message."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """*size* octets of the message follow. No answer yet: the octets come anyway, so a refusal waits for BdatEnd or DataEnd."""

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class Burl:
    """What *url* names is the next piece of the message (RFC 4468 §3). The session reads it, gives it to `engine.take`, and
    accepts; DataEnd follows after the last one. Not accepted: only RSET helps."""

    url: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """Octets of the message to keep: dots taken away, CR LF never divided."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BdatEnd:
    """The octets of a BDAT have come, and more BDATs are expected. Not accepted: only RSET helps (RFC 3030 §2)."""

    size: int


@dataclass(frozen=True, slots=True)
class DataEnd:
    """The message is complete, and the transaction is over whatever the answer."""

    size: int
    refusal: Reply | None
    """Set if the message itself is not acceptable: too large, bare newlines, NUL."""


@dataclass(frozen=True, slots=True)
class Auth:
    mechanism: str
    initial: bytes | None
    """Decoded; None if there was none."""


@dataclass(frozen=True, slots=True)
class AuthResponse:
    data: bytes | None
    """Decoded; None: the client cancelled with `*`."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Once accepted the engine yields nothing more; `pending` must be 0, or somebody injects commands (RFC 3207 §6)."""


@dataclass(frozen=True, slots=True)
class XClient:
    """Postfix' XCLIENT: for whom the client speaks. Once accepted, the dialogue begins anew, without a hello."""

    attributes: Mapping[str, str]
    """By name in capitals; an empty value is one that the client does not know."""


@dataclass(frozen=True, slots=True)
class XForward:
    """Postfix' XFORWARD: where the next message came from, for the log."""

    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Etrn:
    """RFC 1985. *option*: empty for a domain, `@` for it and those below, `#` for a queue by name."""

    option: str
    node: str


@dataclass(frozen=True, slots=True)
class Rset:
    pass


@dataclass(frozen=True, slots=True)
class Noop:
    pass


@dataclass(frozen=True, slots=True)
class Help:
    pass


@dataclass(frozen=True, slots=True)
class Vrfy:
    pass


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """The engine's own verdict on a command; the session sends *reply*, and then closes if *close*."""

    reply: Reply
    close: bool = False


Event = (
    Ehlo | Mail | Rcpt | DataStart | Bdat | Burl | Chunk | BdatEnd | DataEnd | Auth | AuthResponse | StartTls
    | XClient | XForward | Etrn | Rset | Noop | Help | Vrfy | Quit | ProtocolError
)  # fmt: skip
