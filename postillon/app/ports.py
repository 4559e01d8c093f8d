"""How the connections of each service are served, and by whom those of SMTP and LMTP are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..flow.receive import Receiver
from ..net.listener import Refuse
from ..net.networks import Networks
from ..net.proxied import Proxies
from ..net.tls import ServerTls
from ..protocols.smtp.offers import Offers
from ..protocols.smtp.server import SmtpLimits
from ..servers.imap.urlauth import UrlAuthority
from ..servers.smtp.lmtp import LmtpServer
from ..servers.smtp.mx import MxServer
from ..servers.smtp.service import SmtpSettings
from ..servers.smtp.submission import SubmissionServer
from .content import Heard
from .data import Opened
from .tls import chains

Session = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Port:
    """How a service's connections are served."""

    session: Session
    tls: ServerTls | None
    """Given: TLS from the first octet."""
    refuse: Refuse
    proxies: Proxies | None = None
    """Whose connections begin with a PROXY header."""


def proxies(config: Config, service: str) -> Proxies | None:
    """Through whom the clients of *service* may come; on `proxy` nobody comes by themselves."""
    trusted = config.trusted.proxies.get(service, ())
    return Proxies(Networks(trusted), required=service == "proxy") if trusted else None


def asking(config: Config, protocol: str) -> ServerTls | None:
    """TLS that asks clients for a certificate; None where nobody vouches for theirs."""
    authorities = config.tls.client_authorities
    return ServerTls(chains(config), protocol, clients=Path(authorities)) if authorities else None


@dataclass(frozen=True, slots=True)
class MailPaths:
    """Who says what becomes of mail."""

    mx: Heard
    behind: Receiver
    """For mail servers in front of us, which have judged already."""
    submission: Heard


def smtp_ports(config: Config, data: Opened, paths: MailPaths, tls: ServerTls) -> dict[str, Port]:
    """The services that take mail."""
    trusted = config.trusted
    smtp = SmtpSettings(
        hostname=config.hostname,
        limits=SmtpLimits(size=config.limits.message_size),
        xclient=Networks(trusted.xclient),
        etrn=Networks(trusted.etrn),
        offers=Offers(deliver_by=True, priority=True, no_soliciting=config.protection.no_soliciting),
    )
    common: dict[str, Any] = {
        "spool": data.store.spool,
        "clock": data.clock,
        "session_id": data.ids.session,
        "tls": tls,
        "note": data.store.note,
    }
    protection = config.protection
    mx = MxServer(
        path=paths.mx.path,
        settings=replace(smtp, greet_delay_s=protection.greet_delay, trusted=Networks(protection.trusted)),
        bans=data.bans,
        known=data.known,
        **common,
    )
    lmtp = LmtpServer(path=paths.behind, settings=smtp, peers=Networks(trusted.lmtp), **common)
    submission = SubmissionServer(
        path=paths.submission.path,
        directory=data.directory,
        bus=data.bus,
        settings=replace(
            smtp,
            etrn=Networks(),
            offers=replace(smtp.offers, binary=True, hold_s=config.sending.longest_hold),
            plaintext_login_allowed=config.development is not None,
        ),
        urls=UrlAuthority(data.store, data.directory, data.clock, config.hostname),
        bans=data.bans,
        **common,
    )
    mx.on_ended, submission.on_ended = paths.mx.ended, paths.submission.ended

    def full(words: str) -> bytes:
        return f"421 4.7.0 {config.hostname} {words}\r\n".encode()

    return {
        "smtp": Port(mx.session, None, full),
        "proxy": Port(mx.session, None, full),
        "lmtp": Port(lmtp.session, None, full),
        "submission": Port(submission.session, None, full),
        "submissions": Port(submission.session, tls, full),
        "submissions_certificate": Port(submission.session, asking(config, "smtp"), full),
    }
