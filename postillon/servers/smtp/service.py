"""What the sessions of one SMTP service share: their settings, the mail path and the spool they use, what they often say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ...directory.bans import Bans
from ...directory.known import Known, Trial
from ...flow.mail_path import MailPath
from ...model.address import Address
from ...model.envelope import Accepted, Client, Envelope, Recipient
from ...model.errors import Refusal
from ...model.plan import Body, Receipt
from ...model.record import Record
from ...net.networks import Networks
from ...net.tls import ServerTls
from ...protocols.smtp.offers import Offers
from ...protocols.smtp.reply import Reply
from ...protocols.smtp.server import SmtpLimits
from ...seams import Clock
from .patience import PatienceSettings

Note = Callable[[Record, int], None]


class Spool(Protocol):
    """Where the octets go meanwhile (`storage.spool`)."""

    def write(self, chunk: bytes) -> None:
        """Raises Refusal: too large, disk full."""
        ...

    async def finish(self) -> Body: ...

    def discard(self) -> None:
        """Forget it; harmless at any time."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    hostname: str = "localhost"
    """Our name in the greeting."""
    limits: SmtpLimits = SmtpLimits()
    patience: PatienceSettings = PatienceSettings()
    greet_delay_s: float = 0
    """Who speaks before the greeting is sent away; so long we listen for that, unless we know the client."""
    trusted: Networks = field(default_factory=Networks)
    """Who never waits for the greeting."""
    normalise_newlines: bool = True
    """Submission only: bare CR and LF in a message become CR LF instead of a refusal. (At MX they are refused.)"""
    plaintext_login_allowed: bool = False
    """Submission only: AUTH without TLS, for clients on loopback addresses (developer mode)."""
    login_attempts: int = 5
    """Submission only: failed logins until the connection ends."""
    product: str = "Postillon"
    offers: Offers = Offers()
    """What everybody gets who connects here."""
    xclient: Networks = field(default_factory=Networks)
    """Who may say for which client it speaks (XCLIENT, XFORWARD)."""
    etrn: Networks = field(default_factory=Networks)
    """Who may ask for what waits (ETRN)."""


class SmtpServer:
    """What the sessions of one service share. One object serves its ports with and without implicit TLS.

    *path*: what becomes of mail. *spool*: makes a spool for so many octets (`Store.spool`). *session_id* makes ids for the
    log. *tls*: for STARTTLS; None: not offered. *bans* hears of offences.
    *known* remembers who has waited for the greeting. The constructor does no work.
    """

    def __init__(
        self,
        *,
        path: MailPath,
        spool: Callable[[int], Spool],
        clock: Clock,
        session_id: Callable[[], str],
        tls: ServerTls | None = None,
        settings: SmtpSettings | None = None,
        note: Note = lambda record, trail: None,
        bans: Bans | None = None,
        known: Known | None = None,
    ) -> None:
        """*note* writes down what was refused (`Store.note`)."""
        self.note = note
        self.path = path
        self.spool = spool
        self.clock = clock
        self.session_id = session_id
        self.tls = tls
        self.settings = settings or SmtpSettings()
        self.bans = bans
        self.on_ended: Callable[[Client], None] = lambda client: None
        """Told when a client's connection is over."""
        self._known = known

    async def is_acquainted(self, address: str) -> bool:
        """May *address* hear the greeting at once?"""
        if address in self.settings.trusted or address in self.settings.xclient:
            return True
        return self._known is not None and await self._known.has_passed(Trial.GREETING, address)

    async def got_acquainted(self, address: str) -> None:
        if self._known is not None:
            await self._known.passed(Trial.GREETING, address)


OK = Reply(250, "Ok", "2.0.0")
SENDER_OK = Reply(250, "Sender ok", "2.1.0")
PRIORITY_CHANGED = Reply(250, "Sender ok; 0 is the new priority", "2.3.6")  # RFC 6710 §4.1
NO_SOLICITING = Reply(550, "Solicitations of that kind are not taken here", "5.7.1")  # RFC 3865 §2.5
RECIPIENT_OK = Reply(250, "Recipient ok", "2.1.5")
GO_ON = Reply(354, "End data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "Bye", "2.0.0")
HELP = Reply(214, "EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT; see RFC 5321", "2.0.0")
CANNOT_VERIFY = Reply(252, "Cannot verify; send mail and see", "2.0.0")
READY_FOR_TLS = Reply(220, "Ready to start TLS", "2.0.0")
TLS_FAILED = Reply(454, "TLS not available now", "4.7.0")
INTERNAL_ERROR = Reply(451, "Internal error; try again later", "4.3.0")


def taken(receipt: Receipt) -> Reply:
    return Reply(250, f"Ok: {receipt.blob:x}", "2.0.0")


def reply_to(refusal: Refusal) -> Reply:
    """A refusal in SMTP's words (RFC 5321 §4.2, RFC 3463)."""
    return Reply(refusal.code, refusal.text, refusal.status)


def as_refusal(reply: Reply) -> Refusal:
    return Refusal(" ".join(reply.lines), status=reply.status or "5.0.0", code=reply.code)


@dataclass(slots=True)
class Transaction:
    """What is known of the message under way."""

    envelope: Envelope
    accepted: dict[Recipient | None, Accepted] = field(default_factory=dict)
    """By recipient as given, so that one given twice gets one copy."""
    named: list[Recipient | None] = field(default_factory=list)
    """Every RCPT that was accepted, in order."""
    spool: Spool | None = None
    fault: Reply | None = None
    """Why the octets could not be kept."""
    blob: int = 0
    """The message's id, once it is complete."""

    @property
    def addresses(self) -> list[Address]:
        return [each.recipient.address for each in self.accepted.values()]

    def discard(self) -> None:
        if self.spool is not None:
            self.spool.discard()
            self.spool = None
