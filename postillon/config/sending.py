"""The settings of how mail leaves: `[sending]`, and the `[[rules]]` and `[relay_domains]` that bend its way."""

from __future__ import annotations

from dataclasses import dataclass, field

from .size import Size


@dataclass(frozen=True, slots=True)
class Route:
    """A fixed next hop for a domain, or for everything (`smarthost`)."""

    host: str
    port: int = 25
    tls: str = "opportunistic"
    """`none`, `opportunistic`, `required` (STARTTLS, certificate verified) or `implicit` (TLS from the first octet, verified)."""
    login: str = ""
    password_file: str = ""
    """A file whose first line is the password."""
    protocol: str = "smtp"
    """`smtp` or `lmtp`."""
    pool: str = ""
    """One of `sending.pools`, or `direct`: whatever the system chooses."""
    proxy: str = ""
    """One of `sending.proxies`, or `direct`: none."""
    per_minute: int | None = None
    """Messages that it gets at most, of all workers together; None: as many as it takes."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One of this machine's addresses that we send from."""

    address: str
    name: str = ""
    """Our name in EHLO there, which its PTR record should bear; empty: `hostname`."""
    share: int = 1
    """Its part of the pool's attempts; 0: none for now."""
    per_minute: int | None = None
    """Messages that leave from it at most, of all workers together; None: as many as there are."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS5 proxy that we send through."""

    host: str
    """Its IP address."""
    port: int = 1080
    login: str = ""
    password_file: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """What differs for one destination domain; what is not given is as in `Sending`."""

    tls: str = ""
    """`none`, `opportunistic`, `encrypted` (any certificate) or `required` (verified), whatever DANE and MTA-STS say; empty: by
    those."""
    first_wait: int | None = None
    longest_wait: int | None = None
    delay_report: int | None = None
    fallback: str = ""
    """The next hop that is used after so many failures, instead of `Sending.fallback`."""
    pool: str = ""
    proxy: str = ""
    per_minute: int | None = None
    """Messages that it gets at most; None: as many as it takes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rules]]`: conditions, all of which must hold, and what is then done. Patterns have `*` and `?`."""

    name: str = ""
    on: str = "both"
    """`in` (from other servers), `out` (of our own accounts) or `both`."""
    sender: tuple[str, ...] = ()
    """Patterns of envelope senders; `<>` is the null sender."""
    recipient: tuple[str, ...] = ()
    header: dict[str, str] = field(default_factory=dict)
    larger_than: Size | None = None
    bcc: tuple[str, ...] = ()
    hold: bool = False
    sender_becomes: str = ""
    recipient_becomes: str = ""
    header_remove: tuple[str, ...] = ()
    header_add: dict[str, str] = field(default_factory=dict)
    via: str = ""
    """The name of one of `sending.next_hops`."""
    verp: bool = False
    """Put each recipient into the envelope sender (VERP)."""
    priority: int = 0
    """From -9 to 9: before or after other mail (MT-PRIORITY); 0: as the sender says."""


@dataclass(frozen=True, slots=True)
class RelayDomain:
    """A domain whose mail we take and hand on to its own server (backup MX)."""

    host: str = ""
    """Its server; empty: by its MX records, those better than ours."""
    port: int = 25
    tls: str = "opportunistic"
    recipients: tuple[str, ...] = ()
    """Who exists there, where we know; local parts or addresses."""
    verify: str = "ask"
    """`ask` its server while the sender waits (who it does not know is refused; when it is away all are taken), `list`: only
    *recipients*, `any`: take all."""


@dataclass(frozen=True, slots=True)
class Sending:
    smarthost: Route | None = None
    next_hops: dict[str, Route] = field(default_factory=dict)
    """By name, for rules (`via`) and `fallback`."""
    fallback: str = ""
    """The next hop, by name, for what could not be delivered otherwise in `fallback_after` attempts."""
    fallback_after: int = 3
    routes: dict[str, Route] = field(default_factory=dict)
    """By domain; they come before the smarthost and the MX."""
    destinations: dict[str, Destination] = field(default_factory=dict)
    """By domain."""
    pools: dict[str, tuple[Origin, ...]] = field(default_factory=dict)
    """By name: addresses that we send from, with their shares."""
    pool: str = ""
    """For what has none of its own; empty: the system chooses the address."""
    proxies: dict[str, Proxy] = field(default_factory=dict)
    """By name."""
    proxy: str = ""
    """For what has none of its own; empty: none."""
    concurrency: int = 40
    """Deliveries under way at the same time, for each worker."""
    first_wait: int = 30 * 60
    """Before the second attempt at a recipient; it doubles with each attempt."""
    longest_wait: int = 4 * 3600
    delay_report: int = 4 * 3600
    """When a sender hears, once, that a message has not arrived yet; 0: never."""
    lifetime: int = 5 * 86400
    """When a message is given up and returned."""
    longest_hold: int = 30 * 86400
    """How long a mail program may have a message held back before it is sent; 0: not at all."""
    srs: bool = True
    """Rewrite the sender of what an alias hands on to another server, so that SPF holds there."""
