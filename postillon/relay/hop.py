"""One place to connect to, and the settings of the sending side."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..message.tlsrpt import UsedPolicy
from ..net.socks import Proxy
from .dane import Tlsa
from .tls_policy import TlsMode


@dataclass(frozen=True, slots=True)
class Origin:
    """One of our addresses to connect from."""

    address: str
    name: str = ""
    """Ours in EHLO there; empty: `RelaySettings.hostname`."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A host's address to try. Connections to equal hops are interchangeable."""

    name: str
    """The host's name, which a verified certificate must bear; the address itself for literals."""
    address: str
    port: int
    tls: TlsMode
    login: str = ""
    password: str = field(default="", repr=False)
    preference: int = field(default=0, compare=False)
    """The MX record's; hops of equal preference are equally good."""
    tlsa: tuple[Tlsa, ...] = ()
    """For TlsMode.DANE."""
    names: tuple[str, ...] = ()
    """For TlsMode.DANE: what a certificate may be for; the first is asked for (SNI)."""
    lmtp: bool = False
    """It speaks LMTP (RFC 2033)."""
    origin: Origin | None = None
    """None: the system chooses."""
    proxy: Proxy | None = None
    why: str = field(default="", compare=False)
    """Who asks for that much TLS, see `tls_policy.HostTls`."""
    domain: str = field(default="", compare=False)
    """The recipients' domain, where DNS led here; empty for a fixed next hop."""
    policy: UsedPolicy | None = field(default=None, compare=False)
    """What a TLS report calls that; None: sessions are not reported."""

    @property
    def way(self) -> str:
        """Where we begin, in words for the operator; empty if the system chooses."""
        if self.proxy is not None:
            return f", through the proxy {self.proxy}"
        return f", from {self.origin.address}" if self.origin is not None else ""

    @property
    def because(self) -> str:
        return f" ({self.why})" if self.why else ""

    @property
    def remote(self) -> str:
        """As it stands in logs and reports: `host [address]`."""
        return f"{self.name} [{self.address}]"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each answer (RFC 5321 §4.5.3.2)."""

    connect_s: float = 30
    greeting_s: float = 300
    command_s: float = 300
    data_s: float = 120
    block_s: float = 180
    end_s: float = 600
    """After the final dot: giving up early means sending twice."""
    envelope_s: float = 1800
    """For MAIL, all RCPT and DATA together; ours, against tarpits."""
    quit_s: float = 5


@dataclass(frozen=True, slots=True)
class RelaySettings:
    hostname: str
    """Our name in EHLO."""
    port: int = 25
    """The port of an MX; another one only for tests and developers."""
    loopback_allowed: bool = False
    """May an MX have a private or loopback address? Only in developer mode."""
    ipv6: bool = True
    ipv4: bool = True
    max_hosts: int = 10
    """MX hosts looked up, best first."""
    max_addresses: int = 12
    """Addresses tried in one attempt."""
    idle_s: float = 30
    messages_per_connection: int = 100
    recipients_per_message: int = 100
    """RFC 5321 §4.5.3.1.8: every server takes at least that many."""
    timeouts: Timeouts = field(default_factory=Timeouts)


IsSelf = Callable[[str, int], bool]
"""Is this address and port one that we listen on?"""


def is_public(address: str) -> bool:
    """May an MX that strangers chose be at this address? Addresses that carry another one inside are judged by that."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast and not ip.is_unspecified


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def interleaved(addresses: Sequence[str], settings: RelaySettings) -> list[str]:
    """IPv6 and IPv4 by turns, IPv6 first, each family in the order given; one that we do not speak is left out."""
    v6 = [address for address in addresses if ":" in address] if settings.ipv6 else []
    v4 = [address for address in addresses if ":" not in address] if settings.ipv4 else []
    turns = max(len(v6), len(v4))
    return [family[i] for i in range(turns) for family in (v6, v4) if i < len(family)]
