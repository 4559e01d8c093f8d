"""Everything that a worker serves, put together: the one place that knows all parts."""

from __future__ import annotations

import asyncio
import math
import resource
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from .. import __version__
from ..admin.listener import AdminServer
from ..admin.local_mail import LocalMail
from ..admin.operations import perform
from ..admin.tools import Tools
from ..config import Config
from ..directory.bans import Bans
from ..filters.known import Acquaintance
from ..filters.milters import Milters
from ..flow.allowance import Allowance
from ..flow.authenticate import AuthenticationSettings, Authenticator
from ..flow.bounce import Reporter
from ..flow.complaints import Complaints
from ..flow.convert import Converter
from ..flow.deliver import Deliverer, FlowSettings
from ..flow.judgement import Judge
from ..flow.receive import Receiver
from ..flow.rules import Rules
from ..flow.sign import Signer
from ..flow.submit import Submitter
from ..mailauth.srs import Srs
from ..net.limits import ConnectionLimits, LimitSettings
from ..net.listener import Listener, serve
from ..net.tls import ServerTls
from ..relay.probe import Prober
from ..relay.tls_outcomes import TlsOutcomes
from ..relay.transport import RelayTransport
from ..seams import Directory, Resolver
from ..servers.imap.service import ImapServer, ImapSettings
from ..servers.pop3.session import Pop3Server, Pop3Settings
from ..storage.blobs.files import FileBlobs
from ..storage.blobs.sweep import SpoolSweep, Sweep
from ..storage.store.quarantine import Quarantine
from ..supervisor.lifeline import Spec
from ..workers.indexer import Indexer
from ..workers.janitor import Janitor
from ..workers.learner import Learner, LearnerSettings
from ..workers.queue import QueueWorker
from ..workers.reporter import ReportWorker
from .content import Heard, make_milters, make_outgoing
from .data import Opened
from .dkim import DkimKeys
from .filters import Parts, choices_by, judge_settings, make_filters
from .gate import make_blocklists, make_gate
from .lives import Lives
from .ports import MailPaths, Port, Session, asking, proxies, smtp_ports
from .relaying import make_queue, make_transport
from .reports import Reports, make_reports
from .resolver import make_resolver
from .rules import make_relay_domains, make_rules
from .sending import flow_settings, make_allowance, make_language, make_srs
from .tls import chains
from .tls_reports import make_tls_reports

FILES_KEPT = 128
"""Descriptors that connections of clients may not take, besides those for sending."""


class Office:
    """The roles of one worker. `open` begins to serve, `close` ends it."""

    def __init__(
        self,
        *,
        ports: Mapping[str, Port],
        unix: Mapping[str, Session],
        queue: QueueWorker,
        janitor: Janitor,
        indexer: Indexer | None,
        learner: Learner,
        transport: RelayTransport,
        limits: ConnectionLimits,
        bans: Bans,
        reporter: ReportWorker,
    ) -> None:
        self.queue = queue
        self.janitor = janitor
        self.indexer = indexer
        self.learner = learner
        self._ports = ports
        self._unix = unix
        self._transport = transport
        self._limits = limits
        self.bans = bans
        self.reporter = reporter
        self._listeners: list[tuple[str, Listener]] = []

    async def open(self, listeners: Sequence[tuple[str, socket.socket]], unix: Mapping[str, socket.socket]) -> None:
        """Begin to accept on every socket."""
        for service, sock in listeners:
            port = self._ports[service]
            listener = await serve(
                sock,
                port.session,
                tls=port.tls,
                limits=self._limits,
                refuse=port.refuse,
                admission=self.bans.refusal,
                proxies=port.proxies,
            )
            self._listeners.append((service, listener))
        for service, sock in unix.items():
            self._listeners.append((service, await serve(sock, self._unix[service])))

    def connections(self) -> dict[str, int]:
        """Sessions under way by service."""
        counted: dict[str, int] = {}
        for service, listener in self._listeners:
            counted[service] = counted.get(service, 0) + listener.sessions
        return counted

    async def close(self, grace_s: float) -> None:
        """Accept nothing more; sessions get *grace_s* seconds to end their command and say goodbye."""
        await asyncio.gather(*(listener.close(grace_s) for _, listener in self._listeners))
        await self._transport.close()


def compose(spec: Spec, data: Opened) -> Office:
    """All objects of a worker. Opens nothing."""
    config = spec.config
    resolver = make_resolver(config)
    flow, rules, srs = flow_settings(config), make_rules(config), make_srs(config, data)
    keys = DkimKeys(data.layout.dkim)
    signer = Signer(keys.signing)
    reporter = _reporter(data, flow, signer, srs)
    deliverer = Deliverer(store=data.store, directory=data.directory, clock=data.clock, settings=flow, reporter=reporter, srs=srs)
    allowance = make_allowance(config, data)
    listening, outgoing = make_milters(config, "mx"), make_outgoing(config, data, flow)

    def submitter(directory: Directory) -> Submitter:
        return Submitter(
            store=data.store,
            directory=directory,
            deliverer=deliverer,
            clock=data.clock,
            ids=data.ids,
            settings=flow,
            signer=signer,
            allowance=allowance,
            outgoing=outgoing,
            rules=rules,
            notebook=data.notebook,
        )

    outcomes = TlsOutcomes(data.clock)
    tls_reports = make_tls_reports(config, data, resolver, outcomes, flow, signer)
    reports = make_reports(config, data, resolver, flow, signer, spec.slot, tls_reports)
    transport = make_transport(config, data, resolver, outcomes, spec.workers)
    converter = Converter(data.store, signer, flow.max_size)
    receiver = _receiver(config, data, resolver, transport, deliverer, flow, keys, listening, reports, rules, srs)
    paths = MailPaths(
        Heard(receiver, listening),
        receiver.behind_another(),
        Heard(submitter(data.directory), outgoing.milters if outgoing else None),
    )
    return Office(
        ports=_ports(config, data, paths),
        unix=_unix(config, data, submitter, allowance, transport.prober, reports, reporter),
        queue=make_queue(config, data, reporter, deliverer, transport, converter, spec.workers),
        janitor=_janitor(spec, data, allowance, reports, transport),
        indexer=Indexer(data.store, data.index) if spec.slot == 0 else None,  # one for all workers
        learner=_learner(spec, data),
        transport=transport,
        limits=_limits(config, spec.workers),
        bans=data.bans,
        reporter=reports.worker,
    )


def _reporter(data: Opened, flow: FlowSettings, signer: Signer, srs: Srs | None) -> Reporter:
    return Reporter(
        store=data.store,
        directory=data.directory,
        clock=data.clock,
        ids=data.ids,
        hostname=flow.hostname,
        queue_lifetime_s=flow.queue_lifetime_s,
        signer=signer,
        srs=srs,
        language_of=make_language(data),
    )


def _janitor(spec: Spec, data: Opened, allowance: Allowance, reports: Reports, transport: RelayTransport) -> Janitor:
    """What each worker clears away; slot 0 also does what one does for all."""

    def prune_records() -> Awaitable[int]:
        return data.store.prune_records(spec.config.records.keep_days * 86400)

    def prune_quarantine() -> Awaitable[int]:
        return Quarantine(data.store).prune(data.clock.now())

    steps = [data.store.clean, data.limiter.prune, data.bans.prune, prune_records, allowance.prune]
    steps += [reports.heard.prune, reports.tls.prune, transport.prune, prune_quarantine]
    if spec.slot == 0:
        steps.append(Sweep(data.store, FileBlobs(data.layout.blobs), data.layout.blobs, data.clock).step)
        steps.append(SpoolSweep(data.layout.spool, data.clock).step)
    janitor = Janitor(tuple(steps))
    data.store.space.on_pressed = janitor.press
    return janitor


def _learner(spec: Spec, data: Opened) -> Learner:
    return Learner(
        store=data.store,
        knowledge=data.knowledge,
        notebook=data.notebook,
        clock=data.clock,
        learns=spec.slot == 0,
        settings=LearnerSettings(hostname=spec.config.hostname),
    )


def _receiver(
    config: Config,
    data: Opened,
    resolver: Resolver,
    transport: RelayTransport,
    deliverer: Deliverer,
    flow: FlowSettings,
    keys: DkimKeys,
    milters: Milters | None,
    reports: Reports,
    rules: Rules,
    srs: Srs | None,
) -> Receiver:
    wanted = config.authentication
    authenticator = Authenticator(
        resolver=resolver,
        hostname=config.hostname,
        settings=AuthenticationSettings(enforce=wanted.enforce, trusted_sealers=wanted.trusted_sealers),
        keys=keys.signing,
    )
    has_dns = config.development is None or bool(config.dns.servers)
    lists = make_blocklists(config, resolver)
    acquaintance = Acquaintance(data.knowledge)
    judge = Judge(
        authenticator=authenticator if has_dns else None,
        hostname=config.hostname,
        filters=make_filters(Parts(config, data, resolver, lists, acquaintance, milters)),
        settings=judge_settings(config.filters),
        choices=choices_by(acquaintance),
        notebook=data.notebook,
    )
    return Receiver(
        store=data.store,
        directory=data.directory,
        resolver=resolver,
        deliverer=deliverer,
        clock=data.clock,
        settings=flow,
        judge=judge,
        bans=data.bans,
        gate=make_gate(config, data, resolver, lists) if has_dns else None,
        counter=reports.counter,
        reports=reports.inbox,
        srs=srs,
        rules=rules,
        complaints=Complaints(store=data.store, directory=data.directory, clock=data.clock),
        relay_domains=make_relay_domains(config, transport.ask, data.clock),
    )


def _ports(config: Config, data: Opened, paths: MailPaths) -> dict[str, Port]:
    files = chains(config)
    imap_tls, pop3_tls = (ServerTls(files, protocol) for protocol in ("imap", "pop3"))
    clear_allowed = config.development is not None
    imap = ImapServer(
        store=data.store,
        directory=data.directory,
        bus=data.bus,
        clock=data.clock,
        session_id=data.ids.session,
        tls=imap_tls,
        settings=ImapSettings(
            name=config.hostname,
            version=__version__,
            plaintext_on_loopback=clear_allowed,
            append_limit=config.limits.message_size,
            hidden=config.imap.hidden,
            message_limit=config.imap.message_limit,
            save_limit=config.imap.save_limit,
            submitters=config.imap.submitters,
        ),
        index=data.index,
        bans=data.bans,
    )
    pop3 = Pop3Server(
        store=data.store,
        directory=data.directory,
        bus=data.bus,
        session_id=data.ids.session,
        tls=pop3_tls,
        settings=Pop3Settings(plaintext_on_loopback=clear_allowed),
        bans=data.bans,
    )

    def full_imap(words: str) -> bytes:
        return f"* BYE [LIMIT] {words}\r\n".encode()

    def full_pop3(words: str) -> bytes:
        return f"-ERR [SYS/TEMP] {words}\r\n".encode()

    ports = {
        **smtp_ports(config, data, paths, ServerTls(files, "smtp")),
        "imap": Port(imap.session, None, full_imap),
        "imaps": Port(imap.session, imap_tls, full_imap),
        "imaps_certificate": Port(imap.session, asking(config, "imap"), full_imap),
        "pop3": Port(pop3.session, None, full_pop3),
        "pop3s": Port(pop3.session, pop3_tls, full_pop3),
    }
    return {service: replace(port, proxies=proxies(config, service)) for service, port in ports.items()}


def _unix(
    config: Config,
    data: Opened,
    submitter: Callable[[Directory], Submitter],
    allowance: Allowance,
    prober: Callable[[], Prober],
    reports: Reports,
    reporter: Reporter,
) -> dict[str, Session]:
    async def send_reports(with_today: bool) -> int:
        if reports.counter is not None:
            await reports.counter.flush()
        await reports.tls.flush()
        about_mail = await reports.sender.send_due(with_today=with_today) if reports.counter is not None else 0
        return about_mail + await reports.tls.send_due(with_today=with_today)

    tools = Tools(
        data.directory,
        data.store,
        data.bus,
        data.clock,
        config.data,
        data.clock.now(),
        Lives(data.layout.run).working,
        allowance,
        data.bans,
        prober,
        reports.resolver,
        reports.heard,
        send_reports,
        reporter,
    )
    local_mail = LocalMail(
        store=data.store,
        directory=data.directory,
        clock=data.clock,
        session_id=data.ids.session,
        submitter=submitter,
        hostname=config.hostname,
        max_size=config.limits.message_size,
    )
    admin = AdminServer(lambda operation, arguments: perform(tools, operation, arguments))
    return {"admin": admin.session, "sendmail": local_mail.session}


def _limits(config: Config, workers: int) -> ConnectionLimits:
    """This worker's share. Connections fall to the workers by chance, so a share is half as large again as an even one.

    Some descriptors are kept back for files, the database and what we send: who is inside must be able to go on.
    """
    share = 1.0 if workers == 1 else 1.5 / workers
    per_address = math.ceil(config.limits.connections_per_address * share)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = min(files // 2, FILES_KEPT + config.sending.concurrency)
    total = min(math.ceil(config.limits.connections * share), files - kept)
    return ConnectionLimits(
        LimitSettings(per_address, 4 * per_address, math.ceil(config.limits.connections_per_minute * share), total)
    )
