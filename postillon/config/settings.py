"""Every setting of the one configuration file, with its default. All times in seconds, all sizes in octets.

What an administrator changes while the server runs (domains, accounts, aliases) is in the database, never here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .oauth import OAuth

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Size(int):
    """Octets; in the file a number, or text with a binary unit: `"50M"`, `"2 GiB"`."""

    @classmethod
    def parse(cls, value: object) -> Size:
        """Raises ValueError with words for the administrator."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError('a size is a number of octets or text like "50M"')
        if isinstance(value, int):
            amount = value
        else:
            matched = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
            if matched is None:
                raise ValueError('a size is a number of octets or text like "50M"')
            amount = int(matched[1]) * _UNITS[matched[2].upper()]
        if amount < 0:
            raise ValueError("a size cannot be negative")
        return cls(amount)


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
class Authentication:
    """What is done about the sender of incoming mail."""

    enforce: bool = True
    """Refuse or file as junk what the author's domain says is forged (DMARC); False: only write down what was found."""
    trusted_sealers: tuple[str, ...] = ()
    """Domains of forwarders and lists whose ARC seals we believe when they say that a message was genuine."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is thought of incoming mail by its content, and what follows."""

    order: tuple[str, ...] = ()
    """The checks by name, in the order in which their findings are told; empty: all that need no setting of their own."""
    off: tuple[str, ...] = ()
    """Checks that are left out."""
    tag: float = 3.0
    """From this score on the reasons are told in the header."""
    junk: float = 6.0
    """From this score on a message is filed as junk."""
    refuse: float = 15.0
    """From this score on it is refused in the dialogue."""
    scores: dict[str, float] = field(default_factory=dict)
    """By the code of a finding: the score that it has here."""
    time: int = 10
    """Seconds that one check may take."""
    total_time: int = 30
    """Seconds that all of them may take."""
    own: str = ""
    """A file of Python with your own check, absolute; empty: none."""


@dataclass(frozen=True, slots=True)
class Protection:
    """What strangers must put up with before their mail is looked at."""

    trusted: tuple[str, ...] = ("127.0.0.1", "::1")
    """Networks in CIDR notation, or addresses, that are never banned, delayed or greylisted."""
    bans: bool = True
    """Refuse addresses for a time after too many failed logins, unknown recipients and the like."""
    greet_delay: int = 5
    """Seconds that a stranger waits for the greeting, once; who talks meanwhile is sent away. 0: no wait."""
    refuse_listed: float = 8.0
    """From this sum of the scores of `blocklists` on mail is refused at RCPT; 0: never."""
    greylist: bool = True
    """Make suspicious strangers come back before their mail is taken."""
    greylist_wait: int = 60
    """Seconds after which they may."""
    no_soliciting: tuple[str, ...] = ()
    """Keywords (`net.example:ADV`) of mail that its sender marks as a solicitation and that is refused."""


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
class Blocklist:
    """A DNS blocklist, or an allowlist, whose score is below 0."""

    zone: str
    score: float = 3.0
    codes: dict[str, float] = field(default_factory=dict)
    """Answer → score."""
    checks: tuple[str, ...] = ("address",)
    """What is looked up there: `address`, `helo`, `sender`, `dkim`, `links`, `mails`, `files`."""
    hash: str = "sha1"
    """How `mails` and `files` are looked up: `sha1`, `md5`, `sha256`."""


@dataclass(frozen=True, slots=True)
class ContentRules:
    """What is done about dangerous content for the addresses of one domain; what is not given is as in `Content`."""

    executables: str = ""
    scripts: str = ""
    macros: str = ""
    encrypted: str = ""
    bombs: str = ""
    smuggling: str = ""
    ambiguous: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What is done about dangerous content: `tag` (its score counts), `junk`, `quarantine` or `refuse`."""

    executables: str = "refuse"
    """Programs, scripts, shortcuts, installers and disk images, by what they are; also in archives."""
    scripts: str = "tag"
    """Scripts for Unix shells and the like."""
    macros: str = "tag"
    """Documents that carry a program or another file."""
    encrypted: str = "tag"
    """Archives and documents that cannot be looked into."""
    bombs: str = "quarantine"
    """Archives that unpack to more than we are willing to unpack."""
    smuggling: str = "quarantine"
    """Pages and images whose script makes a file on the reader's machine."""
    ambiguous: str = "tag"
    """Messages that two programs may read differently."""
    at: tuple[str, ...] = ("mx",)
    """Where it is looked for: `mx`, `submission`."""
    quarantine_days: int = 30
    """How long mail is kept in the quarantine."""
    quarantine_size: Size = Size(2 << 30)
    """For all of it; what would not fit is put off."""
    domains: dict[str, ContentRules] = field(default_factory=dict)
    """By the recipient's domain."""


@dataclass(frozen=True, slots=True)
class ClamAv:
    """A virus scanner: ClamAV's daemon. Only with an `address`."""

    address: str = ""
    """`unix:/PATH` or `HOST:PORT`."""
    at: tuple[str, ...] = ("mx", "submission")
    """What is scanned: mail from other servers, mail of our own accounts."""
    found: str = "refuse"
    """What is done about a virus: `tag`, `junk`, `quarantine` or `refuse`."""
    when_down: str = "continue"
    """What becomes of mail while it does not answer: `continue`, `tempfail`, `refuse` or `quarantine`."""
    time: int = 20
    """Seconds for one message."""
    size: Size = Size(25 << 20)
    """The largest message that is scanned."""


@dataclass(frozen=True, slots=True)
class Rspamd:
    """The spam filter rspamd. Only with an `address`."""

    address: str = ""
    """Of its normal or proxy worker: `unix:/PATH` or `HOST:PORT`."""
    follow: bool = True
    """Do what it says (reject, soft reject, add header); false: only its scores count."""
    scale: float = 1.0
    """Its scores times this are ours."""
    headers: bool = True
    """Put in and take out the header fields that it wants."""
    password_file: str = ""
    """A file whose first line is its password."""
    when_down: str = "continue"
    time: int = 20


@dataclass(frozen=True, slots=True)
class Milter:
    """A mail filter in Sendmail's protocol, which hears the SMTP dialogue and may refuse and change messages."""

    address: str
    """`unix:/PATH` or `HOST:PORT`."""
    at: tuple[str, ...] = ("mx", "submission")
    """Where it listens: to mail from other servers, to mail of our own accounts."""
    when_down: str = "continue"
    """What becomes of mail while it does not answer: `continue`, `tempfail`, `refuse` or `quarantine`."""
    time: int = 15
    """Seconds for each of its answers."""


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
