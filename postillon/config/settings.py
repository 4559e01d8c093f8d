"""Every setting of the one configuration file, with its default. All times in seconds, all sizes in octets.

The larger tables stand in modules of their own: `sending`, `judging`, `oauth`.
What an administrator changes while the server runs (domains, accounts, aliases) is in the database, never here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .judging import Authentication, Blocklist, ClamAv, Content, Filters, Milter, Protection, Rspamd
from .oauth import OAuth
from .sending import RelayDomain, Rule, Sending
from .size import Size


@dataclass(frozen=True, slots=True)
class Listen:
    """Addresses and ports we serve. Port 0 turns a service off."""

    addresses: tuple[str, ...] = ("*",)
    """`*` is every address, IPv4 and IPv6."""
    smtp: int = 25
    submission: int = 587
    submissions: int = 465
    imap: int = 143
    imaps: int = 993
    pop3: int = 110
    pop3s: int = 995
    proxy: int = 0
    """As `smtp`, but only for the proxies of `trusted.proxies`: every connection begins with a PROXY header."""
    lmtp: int = 0
    """For a mail server in front of us; only from `trusted.lmtp`."""
    imaps_certificate: int = 0
    """As `imaps`, but clients are asked for a certificate."""
    submissions_certificate: int = 0
    """As `submissions`, but clients are asked for a certificate."""


SERVICES = (
    "smtp",
    "submission",
    "submissions",
    "imap",
    "imaps",
    "pop3",
    "pop3s",
    "proxy",
    "lmtp",
    "imaps_certificate",
    "submissions_certificate",
)
"""The services in the order they are told; each is a field of `Listen`."""


LOOPBACK = ("127.0.0.0/8", "::1")


@dataclass(frozen=True, slots=True)
class Trusted:
    """Networks (`192.0.2.0/24`) and addresses whose word we take for what others cannot say of themselves."""

    proxies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By service: whose connections begin with a PROXY header that tells the client's address."""
    xclient: tuple[str, ...] = ()
    """Who may say, on `smtp`, `submission` and `lmtp`, for which client it speaks (XCLIENT, XFORWARD)."""
    etrn: tuple[str, ...] = ()
    """Who may have what waits for a domain tried at once (ETRN)."""
    lmtp: tuple[str, ...] = LOOPBACK
    """Who may deliver by LMTP."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    certificate: str = ""
    """PEM file: our certificate, then the chain. Empty: the self-signed one in the data directory."""
    key: str = ""
    """PEM file of its private key."""
    client_authorities: str = ""
    """PEM file of the authorities whose client certificates are a login, on the listeners that ask for one."""


@dataclass(frozen=True, slots=True)
class Dns:
    servers: tuple[str, ...] = ()
    """Resolvers as `ADDRESS` or `ADDRESS:PORT`; empty: those of /etc/resolv.conf."""
    trusted: bool | None = None
    """Believe what they say about DNSSEC (for DANE); not given: only if they are on this machine."""


@dataclass(frozen=True, slots=True)
class SubmissionLimits:
    """What one account may send; 0: no limit. `postillon account limit` sets others for one account."""

    messages_per_hour: int = 300
    messages_per_day: int = 1500
    recipients_per_hour: int = 600
    recipients_per_day: int = 3000
    first_time_per_hour: int = 150
    """Recipients to whom the account has not written before."""
    first_time_per_day: int = 500
    watch: bool = True
    """Hold the queue of an account that sends in a way that is not like it."""


@dataclass(frozen=True, slots=True)
class Limits:
    message_size: Size = Size(50 << 20)
    quota: Size = Size(10 << 30)
    """Of an account that is made without one."""
    connections: int = 2000
    """At the same time, on each worker and service."""
    connections_per_address: int = 50
    connections_per_minute: int = 300
    """New ones of one address, for each worker."""
    submission: SubmissionLimits = SubmissionLimits()


@dataclass(frozen=True, slots=True)
class Imap:
    hidden: tuple[str, ...] = ("UIDONLY",)
    """Capabilities that no client is told of; `postillon account hide` names more for one account."""
    message_limit: int = 0
    """Messages that one command may deal with; 0: any number."""
    save_limit: int = 100_000
    """Messages that one command may store or copy."""
    submitters: tuple[str, ...] = ()
    """Accounts that other submission servers log in with: they may read what `submit+` URLs name."""


@dataclass(frozen=True, slots=True)
class Logging:
    level: str = "info"
    """`debug`, `info`, `warning` or `error`."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is written down about each message's way, for `postillon trace`."""

    keep_days: int = 30
    """0: nothing is written down."""


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports to and from other servers."""

    dmarc: bool = True
    """Send daily aggregate reports to domains that ask for them (DMARC)."""
    tls: bool = True
    """Tell domains that ask for it, once a day, how TLS towards them went (TLS-RPT)."""
    organization: str = ""
    """Who reports; empty: `hostname`."""
    sender: str = ""
    """The address in From of the reports; empty: postmaster at `hostname`."""
    inboxes: tuple[str, ...] = ("postmaster", "dmarc", "dmarc-reports", "tlsrpt", "tls-reports")
    """Local parts, or whole addresses, of ours whose mail is looked through for reports of others."""


@dataclass(frozen=True, slots=True)
class Dkim:
    rotate_days: int = 0
    """Make new keys when those that sign are so old, and sign with them once they are published; 0: only by command."""


@dataclass(frozen=True, slots=True)
class Development:
    """What only `postillon dev` sets; there are no such keys in the file."""

    mx_port: int = 25
    sends: bool = False
    """False: no DNS query, no foreign recipient."""
    mta_sts_port: int = 443
    """Where MTA-STS policies are fetched."""
    trust: str = ""
    """PEM file of the authorities that policies and next hops are verified with; empty: the system's."""


@dataclass(frozen=True, slots=True)
class Config:
    hostname: str
    """Our name in greetings, EHLO, Received and the certificate: the host that the MX record names."""
    data: str
    """The data directory, absolute."""
    user: str = ""
    """Whom the workers run as; empty: whoever starts the server."""
    group: str = ""
    workers: int = 0
    """0: one for each processor core."""
    loop: str = "auto"
    """`auto` (uvloop where it is installed), `uvloop` or `asyncio`."""
    sendmail_socket: str = ""
    """Where `postillon sendmail` finds the server; empty: `run/sendmail.sock` in the data directory."""
    listen: Listen = Listen()
    trusted: Trusted = Trusted()
    tls: TlsFiles = TlsFiles()
    dns: Dns = Dns()
    sending: Sending = Sending()
    rules: tuple[Rule, ...] = ()
    relay_domains: dict[str, RelayDomain] = field(default_factory=dict)
    limits: Limits = Limits()
    imap: Imap = Imap()
    oauth: OAuth = OAuth()
    authentication: Authentication = Authentication()
    filters: Filters = Filters()
    protection: Protection = Protection()
    content: Content = Content()
    dkim: Dkim = Dkim()
    clamav: ClamAv = ClamAv()
    rspamd: Rspamd = Rspamd()
    milters: dict[str, Milter] = field(default_factory=dict)
    """By a name of your choice; they are asked in this order."""
    blocklists: tuple[Blocklist, ...] = ()
    logging: Logging = Logging()
    records: Records = Records()
    reports: Reports = Reports()
    development: Development | None = None


_ACTIONS = ("tag", "junk", "quarantine", "refuse")
_DANGERS = ("executables", "scripts", "macros", "encrypted", "bombs", "smuggling", "ambiguous")
_WHEN_DOWN = ("continue", "tempfail", "refuse", "quarantine")

CHECKS = (
    "blocklists",
    "attachments",
    "clamav",
    "rspamd",
    "milter",
    "lists",
    "reputation",
    "classifier",
    "fraud",
    "oddities",
    "repeats",
    "own",
)
"""Of incoming mail, in the order in which their findings are told (`app.filters.KINDS`)."""

CHOICES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("milters", "*", "when_down"): _WHEN_DOWN,
    ("clamav", "when_down"): _WHEN_DOWN,
    ("clamav", "found"): _ACTIONS,
    ("rspamd", "when_down"): _WHEN_DOWN,
    **{("content", danger): _ACTIONS for danger in _DANGERS},
    **{("content", "domains", "*", danger): _ACTIONS for danger in _DANGERS},
    ("loop",): ("auto", "uvloop", "asyncio"),
    ("logging", "level"): ("debug", "info", "warning", "error"),
    ("sending", "smarthost", "protocol"): ("smtp", "lmtp"),
    ("sending", "routes", "*", "protocol"): ("smtp", "lmtp"),
    ("sending", "smarthost", "tls"): ("none", "opportunistic", "required", "implicit"),
    ("sending", "routes", "*", "tls"): ("none", "opportunistic", "required", "implicit"),
    ("sending", "next_hops", "*", "tls"): ("none", "opportunistic", "required", "implicit"),
    ("rules", "*", "on"): ("in", "out", "both"),
    ("relay_domains", "*", "tls"): ("none", "opportunistic", "required", "implicit"),
    ("relay_domains", "*", "verify"): ("ask", "list", "any"),
    ("sending", "destinations", "*", "tls"): ("none", "opportunistic", "encrypted", "required"),
}
"""The values a text setting may have; `*` is any name."""
