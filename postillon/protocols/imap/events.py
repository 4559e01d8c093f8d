"""What `ServerEngine` tells its session."""

from __future__ import annotations

from dataclasses import dataclass, field

from .commands import Append, Replace, Request


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command. *name* is in capitals with its prefix, `UID FETCH`; the tagged answer begins with *tag*."""

    tag: bytes
    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class AppendStart:
    """APPEND or REPLACE has begun: check the mailbox now. `LiteralStart` or the `Command` itself follows.

    If the rest of the command is broken, a `ProtocolError` comes instead of the `Command`: drop what was spooled.
    """

    tag: bytes
    name: str
    request: Append | Replace


@dataclass(frozen=True, slots=True)
class LiteralStart:
    """A message (or a part of it, with CATENATE) wants to come. Answer before the next event is asked for, with
    `engine.literal_go()` or `engine.literal_refuse(response)`; without either the engine refuses it."""

    size: int
    synchronising: bool
    """The client waits for `+` and sends nothing before it (RFC 7888 for the other kind)."""
    binary: bool
    """literal8."""
    message: int
    """Which message of the command, from 0."""
    part: int
    """Which part of the message, from 0, counting UrlParts too."""
    catenated: bool = False
    """It is a TEXT of CATENATE: a piece of a message."""


@dataclass(frozen=True, slots=True)
class LiteralChunk:
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LiteralEnd:
    """All octets came. *has_nul*: there was a NUL although the literal was not a literal8 (RFC 3501 §9 CHAR8)."""

    has_nul: bool


@dataclass(frozen=True, slots=True)
class Continue:
    """Send *response* (`+ …`), nothing more: the engine lets an ordinary command's literal come."""

    response: bytes


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The answer to `engine.challenge()`, decoded; None: the client cancelled with `*`."""

    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdleDone:
    """DONE."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """The client broke the protocol: send *response* (whole lines), then close if *close*.

    During AUTHENTICATE, IDLE or APPEND it also ends that command; *response* is its tagged answer.
    """

    response: bytes
    close: bool = False


Event = Command | AppendStart | LiteralStart | LiteralChunk | LiteralEnd | Continue | AuthResponse | IdleDone | ProtocolError
