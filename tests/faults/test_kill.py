"""SIGKILL at any moment, of one worker or of all: what was acknowledged is there, once; who was elsewhere never notices."""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.processes import wait_until

from .canary import worker_of
from .ledger import Actor, Appender, Box, Fed, Fetcher, History, Mover, Sender, Submitter, octets, read
from .server import Server
from .sink import Sink
from .wire import Closed, Imap, Pop3, Smtp

pytestmark = [pytest.mark.real]

CYCLES = 50
PEOPLE = ("mx", "submit", "append", "move", "fetch")
ACCOUNTS = {f"{name}@example.test": f"{name}-password" for name in PEOPLE}
BOXES = ("INBOX", "Archive")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, sink: Sink) -> Iterator[Server]:
    with socket.socket() as nobody:  # bound, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        there = f"elsewhere.test=127.0.0.1:{nobody.getsockname()[1]}", f"relay.test=127.0.0.1:{sink.port}"
        with Server(tmp_path / "data", "--route", there[0], "--route", there[1], accounts=ACCOUNTS) as running:
            yield running


class Office:
    """The actors, and the whole of their mailboxes."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.history = History()
        fed = Fed(server, "fetch@example.test", seed, self.history)
        mover = Mover(server, "move@example.test", seed, self.history)
        self.actors: list[Actor] = [
            Sender(server, "mx@example.test", seed, self.history),
            Submitter(server, "submit@example.test", seed, self.history),
            Appender(server, "append@example.test", seed, self.history),
            mover,
            fed,
            Fetcher(server, fed, seed, self.history),
        ]
        mover.prepare()
        for actor in self.actors:
            actor.start()

    def go_on(self) -> None:
        for actor in self.actors:
            actor.go_on()

    def check(self) -> None:
        """Compare all books with all mailboxes."""
        for actor in self.actors:
            actor.pause()
        queued = [row["recipient"] for row in self.server.ask("queue.list")]
        boxes = {address: self._boxes(address) for address in ACCOUNTS}
        for actor in self.actors:
            actor.check(boxes[actor.address], queued)

    def _boxes(self, address: str) -> dict[str, Box]:
        with Imap(self.server, login=address) as imap:
            found = {name: read(imap, name) for name in BOXES}
        for name, box in found.items():
            self.history.check(address, name, box)
        return found

    def end(self) -> None:
        for actor in self.actors:
            actor.end()


@pytest.mark.timeout(300)  # a minute on two free processors
def test_fifty_kills_at_random_moments_lose_nothing_and_double_nothing(server: Server, sink: Sink):
    seed = int(os.environ.get("POSTILLON_SEED") or random.randrange(10**6))
    print(f"POSTILLON_SEED={seed}")
    chance = random.Random(seed)
    office = Office(server, seed)
    ready: list[float] = []
    try:
        single = 0
        for _ in range(CYCLES):
            office.go_on()
            time.sleep(chance.uniform(0.02, 0.4))
            single = 0 if single == 4 or chance.random() < 0.15 else single + 1
            if not single:
                server.kill(supervisor_only=chance.random() < 0.3)
                server.start()
                ready.append(server.ready_alone_s)
                office.check()
            else:
                wait_until(lambda: server.workers, 10, "a worker")
                server.kill_worker(chance.choice(server.workers))
        office.go_on()
        time.sleep(1)  # all that was left open is sent again
        office.check()
        assert all(actor.done > CYCLES for actor in office.actors), [(actor.name, actor.done) for actor in office.actors]
        assert any(actor.broken for actor in office.actors)
        check_octets(server, office)
    finally:
        office.end()
    wait_until(lambda: not [row for row in server.ask("queue.list") if row["recipient"].endswith("@relay.test")], 60, "the queue")
    submitter = next(actor for actor in office.actors if isinstance(actor, Submitter))
    # Only what the other side had taken when we died may come there again.
    assert submitter.check_relayed(sink.streams) <= CYCLES
    assert server.ask("check") == [], "the database is damaged"
    assert not server.bugs(), server.bugs()[0]
    # Without the time for which other tests had the processors.
    assert sorted(ready)[len(ready) // 2] < 2, f"ready after {ready} s of its own"


def check_octets(server: Server, office: Office) -> None:
    """What was acknowledged is there octet by octet."""
    for actor in office.actors:
        if not isinstance(actor, Sender | Appender) or isinstance(actor, Fed):
            continue
        sender = actor.sender if isinstance(actor, Sender) else actor.address
        with Imap(server, login=actor.address) as imap:
            imap.ask("EXAMINE INBOX")
            _, told = imap.ask("UID FETCH 1:* (BODY.PEEK[])")
        for response in told:
            found = re.search(rb"X-Ledger: (\S+)", response)
            assert found, response[:200]
            sent = octets(found[1].decode(), actor.sizes[found[1].decode()], sender)
            body = sent.partition(b"\r\n\r\n")[2] if isinstance(actor, Submitter) else sent
            assert response.endswith(body + b")\r\n"), found[1]


def test_sessions_of_other_workers_never_notice_that_one_died(server: Server):
    sessions = [Imap(server, login="mx@example.test") for _ in range(4)]
    while len({worker_of(server, each.sock) for each in sessions}) < 2:
        sessions.append(Imap(server, login="mx@example.test"))
    for each in sessions:
        assert each.ask("SELECT INBOX")[0].startswith(b"OK")
    serving = {id(each): worker_of(server, each.sock) for each in sessions}
    idle = next(each for each in sessions if serving[id(each)] != serving[id(sessions[0])])
    idle.send(b"i IDLE\r\n")
    assert idle.line().startswith(b"+")
    victim = serving[id(sessions[0])]
    server.kill_worker(victim)

    for each in sessions:
        if serving[id(each)] == victim:
            with pytest.raises(Closed):
                each.ask("NOOP")
        elif each is not idle:
            began = time.monotonic()
            assert each.ask("NOOP")[0].startswith(b"OK")
            assert time.monotonic() - began < 5
    # Listening goes on: connections that the kernel gave to the dead one's socket wait for its successor.
    for number in range(12):
        with Smtp(server) as smtp:
            assert smtp.deliver("a@far.test", "mx@example.test", octets(f"after-{number}", 300, "a@far.test"))[0] == 250
        with Pop3(server) as pop3:
            assert pop3.greeting.startswith(b"+OK")
    wait_until(lambda: len(server.workers) == 2 and victim not in server.workers, 10, "a successor")
    told = idle.line()
    assert re.fullmatch(rb"\* \d+ EXISTS\r\n", told), told
    idle.send(b"DONE\r\n")
    assert idle.answer(b"i")[0].startswith(b"OK")
    for each in sessions:
        each.close()
