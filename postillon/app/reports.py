"""Reports to and from others, put together."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ..config import Config
from ..flow.deliver import FlowSettings
from ..flow.dmarc_count import DmarcCounter
from ..flow.dmarc_heard import DmarcHeard
from ..flow.dmarc_send import DmarcSender, DmarcSendSettings
from ..flow.own_mail import OwnMail
from ..flow.report_inbox import ReportInbox
from ..flow.sign import Signer
from ..flow.tls_reports import TlsReports
from ..model.address import Address
from ..seams import Resolver
from ..workers.reporter import ReporterSettings, ReportWorker
from .data import Opened
from .dkim import DkimKeys
from .dkim_rotation import DkimRotation, RotationSettings
from .sending import make_notices

SPREAD_S = 4 * 3600
"""Within so long after midnight reports are sent, each server at a time of its own."""


@dataclass(frozen=True, slots=True)
class Reports:
    counter: DmarcCounter | None
    """None: no reports are sent."""
    sender: DmarcSender
    heard: DmarcHeard
    inbox: ReportInbox
    worker: ReportWorker
    tls: TlsReports
    resolver: Resolver


def make_heard(data: Opened, resolver: Resolver) -> DmarcHeard:
    return DmarcHeard(side=data.side, resolver=resolver, clock=data.clock, is_ours=data.directory.is_local_domain)


def make_reports(
    config: Config, data: Opened, resolver: Resolver, flow: FlowSettings, signer: Signer, slot: int, tls: TlsReports
) -> Reports:
    """*slot* 0 sends them."""
    wanted = config.reports
    counter = DmarcCounter(data.side, data.clock)
    heard = make_heard(data, resolver)
    inbox = ReportInbox(data.store, wanted.inboxes, (heard.take, tls.take))
    mail = OwnMail(
        store=data.store, directory=data.directory, clock=data.clock, ids=data.ids, settings=flow, signer=signer, inbox=inbox
    )
    settings = DmarcSendSettings(
        hostname=config.hostname,
        organization=wanted.organization or config.hostname,
        sender=Address.parse(wanted.sender) if wanted.sender else Address("postmaster", config.hostname),
    )
    sender = DmarcSender(side=data.side, resolver=resolver, mail=mail, clock=data.clock, ids=data.ids, settings=settings)
    rotation = DkimRotation(
        keys=DkimKeys(data.layout.dkim),
        resolver=resolver,
        clock=data.clock,
        tell=make_notices(config, data).operator,
        settings=RotationSettings(config.dkim.rotate_days * 86_400),
    )
    worker = ReportWorker(
        flushes=(counter.flush, tls.flush),
        sends=(*((sender.send_due,) if wanted.dmarc else ()), tls.send_due, rotation.step) if slot == 0 else (),
        clock=data.clock,
        settings=ReporterSettings(offset_s=zlib.crc32(config.hostname.encode()) % SPREAD_S),
    )
    return Reports(counter if wanted.dmarc else None, sender, heard, inbox, worker, tls, resolver)
