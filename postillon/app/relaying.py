"""The way out, put together from the configuration: the queue's worker, and how other servers are reached."""

from __future__ import annotations

import socket
import ssl
import time
from functools import lru_cache

from ..config import Config, Destination, Sending
from ..config import Route as RouteSettings
from ..flow.bounce import Reporter
from ..flow.convert import Converter
from ..flow.deliver import Deliverer
from ..flow.outbound import Outbound
from ..flow.retry import RetrySchedule
from ..model.queue import NextHop
from ..net.tls import client_context
from ..relay.hop import IsSelf, RelaySettings, is_public
from ..relay.mta_sts import PolicyFetcher, StsPolicies
from ..relay.smarthost import Routes
from ..relay.tls_outcomes import TlsOutcomes
from ..relay.tls_policy import ClientContexts, TlsMode, TlsRules
from ..relay.transport import RelayTransport
from ..seams import Resolver
from ..supervisor.sockets import resolve
from ..workers.concurrency import ConcurrencySettings
from ..workers.queue import QueueSettings, QueueWorker
from .data import Opened
from .password_file import password_in
from .rules import make_fallbacks, make_rates
from .sending import make_egress


def _schedule(sending: Sending, destination: Destination | None = None) -> RetrySchedule:
    """The times of *destination*, those of *sending* where it has none."""
    own = destination or Destination()
    first, longest, report = own.first_wait, own.longest_wait, own.delay_report
    return RetrySchedule(
        first_wait_s=sending.first_wait if first is None else first,
        longest_wait_s=sending.longest_wait if longest is None else longest,
        delay_report_s=sending.delay_report if report is None else report,
    )


def make_queue(
    config: Config,
    data: Opened,
    reporter: Reporter,
    deliverer: Deliverer,
    transport: RelayTransport,
    converter: Converter,
    workers: int,
) -> QueueWorker:
    sending = config.sending
    outbound = Outbound(
        store=data.store,
        transport=transport,
        deliver_local=deliverer.file_entry,
        reporter=reporter,
        clock=data.clock,
        schedule=_schedule(sending),
        schedules={domain: _schedule(sending, own) for domain, own in sending.destinations.items()},
        fallbacks=make_fallbacks(sending),
        converter=converter,
    )
    # A destination that does not answer rests no longer than its mail would wait.
    concurrency = ConcurrencySettings(rest_s=min(ConcurrencySettings().rest_s, sending.first_wait))
    return QueueWorker(
        store=data.store,
        outbound=outbound,
        routing=transport,
        bus=data.bus,
        clock=data.clock,
        settings=QueueSettings(attempts=sending.concurrency, concurrency=concurrency),
        grace_s=2,
        rates=make_rates(sending, workers),
    )


def _rules(config: Config, data: Opened, resolver: Resolver, verified: ssl.SSLContext, outcomes: TlsOutcomes | None) -> TlsRules:
    """What TLS the mail hosts of other domains must give."""
    development = config.development
    fetch = PolicyFetcher(
        resolver=resolver,
        context=verified,
        port=development.mta_sts_port if development else 443,
        is_allowed=is_public if development is None else lambda address: True,
    )
    return TlsRules(
        resolver=resolver,
        policies=StsPolicies(resolver=resolver, fetch=fetch, memory=data.store, clock=data.clock, outcomes=outcomes),
        port=development.mx_port if development else 25,
        overrides={domain: TlsMode(own.tls) for domain, own in config.sending.destinations.items() if own.tls},
        outcomes=outcomes,
    )


def make_transport(
    config: Config, data: Opened, resolver: Resolver, outcomes: TlsOutcomes | None = None, workers: int = 1
) -> RelayTransport:
    development = config.development
    verified = client_context(verify=True, ca_file=development.trust or None if development else None)
    relayed = {name: NextHop(one.host, one.port, one.tls) for name, one in config.relay_domains.items() if one.host}
    routes = Routes(
        {**relayed, **{domain: _next_hop(route) for domain, route in config.sending.routes.items()}},
        _next_hop(config.sending.smarthost) if config.sending.smarthost else None,
        {name: _next_hop(route) for name, route in config.sending.next_hops.items()},
    )
    return RelayTransport(
        settings=RelaySettings(
            hostname=config.hostname,
            port=development.mx_port if development else 25,
            loopback_allowed=development is not None,
        ),
        resolver=resolver,
        contexts=ClientContexts(client_context(verify=False), verified),
        is_self=_is_self(config),
        routes=lambda: routes,
        rules=_rules(config, data, resolver, verified, outcomes),
        outcomes=outcomes,
        egress=make_egress(config.sending, workers),
    )


def _next_hop(route: RouteSettings) -> NextHop:
    password = password_in(route.password_file)
    return NextHop(route.host, route.port, route.tls, route.login, password, route.protocol, route.pool, route.proxy)


def _is_self(config: Config) -> IsSelf:
    """Whether we listen on an address and port: mail that leads there would come round."""
    ours = {host for name in config.listen.addresses for _, host in resolve(name)}
    everywhere = bool(ours & {"0.0.0.0", "::"})

    def is_self(address: str, port: int) -> bool:
        if port not in (config.listen.smtp, config.listen.proxy, config.listen.lmtp):
            return False
        return address in ours or (everywhere and _is_local(address, int(time.monotonic() // 60)))

    return is_self


@lru_cache(maxsize=10_000)  # asked for each mail host of each message
def _is_local(address: str, minute: int) -> bool:
    """Whether *address* is one of this machine's, found out anew each *minute*: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
