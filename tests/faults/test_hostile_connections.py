"""Connections that only cost: a thousand idle ones, more than there are files for, more than an address may have."""

from __future__ import annotations

import resource
import smtplib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.peers.postillon import OFFSETS
from tests.peers.processes import wait_until

from .canary import MEBIBYTE, Canary, bounded
from .conftest import ACCOUNTS, ALICE, BOB
from .server import Server
from .wire import Closed, Imap, Pop3, Smtp, Wire

pytestmark = [pytest.mark.real]


@pytest.mark.usefixtures("unhurt")
def test_a_thousand_idle_connections_cost_little_and_hinder_nobody(server: Server):
    services = tuple(OFFSETS)
    with bounded(server, memory=64 * MEBIBYTE, seconds=60):
        idle = [server.connect(services[number % len(services)]) for number in range(1000)]
        time.sleep(0.5)
        for each in idle:
            each.close()


@pytest.mark.usefixtures("unhurt")
def test_connections_that_come_and_go_leave_nothing(server: Server):
    def descriptors() -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.workers)

    before = descriptors()
    with Canary(server):
        for number in range(600):
            service = tuple(OFFSETS)[number % len(OFFSETS)]
            with socket.create_connection((server.host, server.port(service)), timeout=20) as sock:
                if number % 3 == 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
                elif number % 3 == 1:
                    sock.sendall(b"\x16\x03")
    wait_until(lambda: descriptors() <= before, 15, "the descriptors to be given back")


@pytest.mark.usefixtures("unhurt")
def test_a_stranger_may_hold_so_many_connections_and_others_come_in(server: Server):
    held: list[Wire] = []
    refused = 0
    try:
        with Canary(server):
            for _ in range(200):
                wire = Wire(server, "smtp", source="127.0.1.7")
                held.append(wire)
                refused += wire.line().startswith(b"421 ")
            with Smtp(server, source="127.0.2.8") as smtp:
                assert smtp.deliver("a@far.test", ALICE, b"Subject: x\r\n\r\nx\r\n")[0] == 250
    finally:
        for wire in held:
            wire.close()
    assert 50 <= refused < 200  # each worker counts for itself, and the kernel chooses the worker


@pytest.mark.usefixtures("unhurt")
def test_many_large_messages_at_once_pass_through_without_being_held(server: Server):
    count, size = 20, 25
    octets = f"From: {ALICE}\r\nSubject: large\r\n\r\n".encode() + (b"z" * 70 + b"\r\n") * (size * MEBIBYTE // 72)
    highest, before, owned, owned_before = 0, server.rss(), 0, server.anonymous()
    with Canary(server, longest_s=6), ThreadPoolExecutor(count) as together:

        def send(number: int) -> bool:
            if number % 2:
                with Imap(server, login=ALICE, timeout_s=60) as imap:
                    return imap.append("Trash", octets).startswith(b"OK")
            if number % 4:
                with smtplib.SMTP(server.host, server.port("submission"), timeout=60) as submission:
                    submission.login(ALICE, ACCOUNTS[ALICE])
                    return not submission.sendmail(ALICE, BOB, octets)
            with Smtp(server, timeout_s=60) as smtp:
                return smtp.deliver("a@far.test", BOB, octets)[0] == 250

        sent = [together.submit(send, number) for number in range(count)]
        while not all(each.done() for each in sent):
            highest, owned = max(highest, server.rss() - before), max(owned, server.anonymous() - owned_before)
            time.sleep(0.05)
        assert all(each.result() for each in sent)
    # Scanning maps the finished file of some of them; none is read into memory.
    assert highest < count * size * MEBIBYTE // 2, f"{highest / MEBIBYTE:.0f} MiB"
    # 200 at once need no more: what has not come yet waits in the network.
    assert owned < 128 * MEBIBYTE, f"{owned / MEBIBYTE:.0f} MiB"


@pytest.fixture(params=[True, False], ids=["known at the start", "a surprise"])
def short_of_files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """256 descriptors for each worker; those that know it turn clients away in time."""
    with Server(tmp_path / "data", accounts=ACCOUNTS, file_limit=256 if request.param else None) as running:
        for pid in running.workers:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (256, 256))
        yield running


def test_when_files_run_out_who_is_inside_goes_on_and_others_come_in_later(short_of_files: Server):
    server = short_of_files
    workers = server.workers
    with Imap(server, login=ALICE) as inside, Smtp(server) as smtp:
        assert inside.ask("SELECT INBOX")[0].startswith(b"OK")
        held: list[socket.socket] = []
        try:
            for _ in range(800):
                sock = socket.socket()
                sock.settimeout(5)
                sock.connect((server.host, server.port("imap")))
                held.append(sock)
            time.sleep(1)
            # Who is inside needs files, too: a large body is one.
            began = time.monotonic()
            assert inside.ask("NOOP")[0].startswith(b"OK")
            assert inside.append("INBOX", b"Subject: small\r\n\r\nsmall\r\n").startswith(b"OK")
            done = inside.append("INBOX", b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 60_000)
            assert done.startswith((b"OK", b"NO [UNAVAILABLE]")), done
            code, text = smtp.deliver("a@far.test", ALICE, b"Subject: large\r\n\r\n" + b"yyyy\r\n" * 30_000)
            assert code in (250, 451, 452), (code, text)
            code, text = smtp.deliver("a@far.test", ALICE, b"Subject: small\r\n\r\nyyyy\r\n")
            assert code == 250, (code, text)
            assert time.monotonic() - began < 10
        finally:
            for sock in held:
                sock.close()
        for kind in (Smtp, Imap, Pop3):  # they all come in again, soon
            deadline = time.monotonic() + 15
            while True:
                try:
                    with kind(server):
                        break
                except (Closed, OSError):
                    assert time.monotonic() < deadline
        assert inside.ask("NOOP")[0].startswith(b"OK")
    assert server.workers == workers, "a worker died"
    assert not server.bugs(), server.bugs()[0]
