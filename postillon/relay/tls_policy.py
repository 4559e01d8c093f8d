"""How much TLS a next hop must give us. The rules of DANE and MTA-STS will answer here too; now there are MX and routes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum

from ..model.queue import NextHop


class TlsMode(Enum):
    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered, any certificate, in clear where it fails (RFC 7435)."""
    REQUIRED = "required"
    """STARTTLS with a certificate that verifies, or nothing."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314), verified."""

    @property
    def is_verified(self) -> bool:
        return self in (TlsMode.REQUIRED, TlsMode.IMPLICIT)


@dataclass(frozen=True, slots=True)
class ClientContexts:
    """The two kinds of client context that `net.tls` makes: one that believes any certificate, one that verifies."""

    opportunistic: ssl.SSLContext
    verified: ssl.SSLContext

    def of(self, mode: TlsMode) -> ssl.SSLContext:
        return self.verified if mode.is_verified else self.opportunistic


def for_mx() -> TlsMode:
    """Towards a host that we only know from DNS (RFC 3207 §4.1: a certificate that does not match is no reason not to send)."""
    return TlsMode.OPPORTUNISTIC


def for_route(route: NextHop) -> TlsMode:
    """What the administrator said; but a password is never sent over TLS that anybody could have taken away."""
    mode = TlsMode(route.tls)
    return TlsMode.REQUIRED if route.login and mode is TlsMode.OPPORTUNISTIC else mode
