"""A server that takes minutes to answer the final dot: the lease lives as long as the attempt, and it stays the only one.

Real sockets, a clock that goes on, and leases of two seconds instead of five minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from postillon.bus.local import LocalBus
from postillon.flow.bounce import Reporter
from postillon.flow.outbound import Outbound
from postillon.model.queue import NextHop
from postillon.net.tls import client_context
from postillon.relay.hop import RelaySettings
from postillon.relay.smarthost import Routes
from postillon.relay.tls_policy import ClientContexts
from postillon.relay.transport import RelayTransport
from postillon.storage.ids import IdSource
from postillon.storage.store import Store, owner_of
from postillon.workers.queue import QueueSettings, QueueWorker

from ..kinds import TableDirectory, TableResolver
from ..relay.sink import Conversation, Sink
from ..storage.conftest import Office
from .test_queue import Filing, Watched, empty, enqueue, until

LEASE_S, RENEW_S = 2, 0.3


class RealClock:
    def now(self) -> int:
        return int(time.time())


class SlowSink(Sink):
    """Answers the final dot only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.dots = 0
        self.answer = asyncio.Event()

    async def _end(self, conversation: Conversation, octets: bytes, writer: asyncio.StreamWriter) -> bool:
        self.dots += 1
        await self.answer.wait()
        return await super()._end(conversation, octets, writer)


@asynccontextmanager
async def serving(office: Office, store: Watched, port: int) -> AsyncIterator[QueueWorker]:
    routes = Routes({"slow.test": NextHop("127.0.0.1", port)})
    transport = RelayTransport(
        settings=RelaySettings("mail.example.test", loopback_allowed=True),
        resolver=TableResolver(),
        contexts=ClientContexts(client_context(verify=False), client_context(verify=True)),
        is_self=lambda address, port: False,
        routes=lambda: routes,
    )
    clock, inner = RealClock(), store._store
    reporter = Reporter(
        store=inner,
        directory=TableDirectory(),  # type: ignore[arg-type]
        clock=clock,
        ids=IdSource(9),
        hostname="mail.example.test",
    )
    outbound = Outbound(store=inner, transport=transport, deliver_local=Filing(inner), reporter=reporter, clock=clock)
    worker = QueueWorker(
        store=store,  # type: ignore[arg-type]
        outbound=outbound,
        routing=transport,
        bus=LocalBus(),
        clock=clock,
        settings=replace(QueueSettings(), lease_s=LEASE_S, renew_s=RENEW_S, idle_s=0.1),
    )
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(10):
            await task
        await transport.close()


@pytest.mark.parametrize("leases", [3])
async def test_a_slow_answer_to_the_final_dot_leads_to_one_delivery(office: Office, leases: int):
    stores = [
        Watched(
            Store(
                office.database,
                office.store._blobs,
                RealClock(),
                IdSource(100 + slot),
                office.store._spool_dir,
                owner=owner_of(slot, 1),
            )
        )
        for slot in range(2)
    ]
    office.clock.at = int(time.time())
    await enqueue(office, "bob@slow.test")
    async with SlowSink() as sink, serving(office, stores[0], sink.port), serving(office, stores[1], sink.port):
        await until(lambda: sink.dots)
        began = time.monotonic()
        # Both workers serve all lanes here, so the other one would try as soon as the lease ran out.
        await until(lambda: time.monotonic() - began > leases * LEASE_S, 30)
        assert sum(store.asked["renew"] for store in stores) >= leases * LEASE_S / RENEW_S / 2
        assert sink.dots == 1
        sink.answer.set()
        await until(lambda: empty(office))
    assert len(sink.received) == 1
