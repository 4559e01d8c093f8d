"""The settings of what is thought of mail and done about it: senders, content, other programs that are asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from .size import Size


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

    off: tuple[str, ...] = ()
    """Checks that are left out, by name."""
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
