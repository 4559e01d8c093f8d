"""`postillon dev` is an interface that other programs' harnesses drive: its line, its ports, its promises."""

from __future__ import annotations

import asyncio
import imaplib
import os
import signal
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..net.dns_server import ZoneServer
from .running import OFFSETS, Dev, command, dev, free_base

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    data = tmp_path_factory.mktemp("dev")
    with dev(data, "--workers", "2", "--account", "carol@example.test:se:cr@et", "--domain", "example.test") as running:
        yield running


def test_the_line_has_exactly_the_promised_keys(server: Dev):
    assert set(server.told) == {*OFFSETS, "host", "data", "ca", "accounts", "pid"}
    assert {name: server.told[name] for name in OFFSETS} == {name: server.base + offset for name, offset in OFFSETS.items()}
    assert server.told["host"] == "127.0.0.1"
    assert server.told["data"] == str(server.data)
    assert server.told["accounts"] == [{"address": "carol@example.test", "password": "se:cr@et"}]
    assert server.told["pid"] == server.process.pid


def test_every_port_accepts_at_once(server: Dev):
    greetings = {"smtp": b"220 ", "submission": b"220 ", "imap": b"* OK", "pop3": b"+OK "}
    for service in OFFSETS:
        for _ in range(8):  # on every worker
            with socket.create_connection(("127.0.0.1", server.told[service]), timeout=10) as sock:
                if service in greetings:
                    assert sock.recv(4) == greetings[service]


def test_ports_that_are_taken_are_told_with_the_way_to_others(server: Dev, tmp_path: Path):
    ended = command("dev", "--data", str(tmp_path), "--port-base", str(server.base))
    assert ended.returncode == 1 and not ended.stdout
    assert f"imap: 127.0.0.1:{server.base + 143} is in use by another program" in ended.stderr
    assert "choose other ports with --port-base" in ended.stderr


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "example.test"])
def test_the_certificate_names_what_it_must(server: Dev, name: str):
    sock = socket.create_connection(("127.0.0.1", server.told["imaps"]), timeout=10)
    with server.tls().wrap_socket(sock, server_hostname=name) as secured:
        assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_login_without_tls_is_allowed_on_loopback(server: Dev):
    with imaplib.IMAP4("127.0.0.1", server.told["imap"], timeout=10) as imap:
        assert imap.login("carol@example.test", "se:cr@et")[0] == "OK"


def test_mail_goes_through_submission_and_mx(server: Dev):
    server.send("carol@example.test", "carol@example.test", "by submission")
    server.send("stranger@elsewhere.test", "carol@example.test", "by mx", mx=True)
    assert {"by submission", "by mx"} <= set(server.subjects("carol@example.test"))


def test_foreign_recipients_are_refused_in_the_dialogue(server: Dev):
    with smtplib.SMTP("127.0.0.1", server.told["submission"], timeout=10) as smtp:
        smtp.login("carol@example.test", "se:cr@et")
        smtp.mail("carol@example.test")
        assert smtp.rcpt("someone@elsewhere.test")[0] == 550


def test_a_killed_worker_is_replaced_and_nobody_is_turned_away(server: Dev):
    before = server.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    for _ in range(20):
        with smtplib.SMTP("127.0.0.1", server.told["smtp"], timeout=20) as smtp:
            assert smtp.noop()[0] == 250
    after = server.workers()
    assert before[0] not in after
    assert before[1] in after
    assert len(after) == 2


def test_a_restart_goes_on_where_it_was(tmp_path: Path):
    with dev(tmp_path) as first:
        accounts = first.accounts
        assert list(accounts) == ["alice@example.test", "bob@example.test"]
        first.send("alice@example.test", "bob@example.test", "kept")
        status, took = first.stop()
    assert status == 0
    assert took < 5
    authority = (tmp_path / "ca.pem").read_bytes()
    began = time.monotonic()
    with dev(tmp_path) as second:
        assert time.monotonic() - began < 15
        assert second.accounts == accounts
        assert second.subjects("bob@example.test") == ["kept"]
        assert (tmp_path / "ca.pem").read_bytes() == authority
        assert second.stop()[0] == 0


def test_sigterm_ends_it_within_five_seconds_with_sessions_open(tmp_path: Path):
    with dev(tmp_path) as server:
        imap = imaplib.IMAP4_SSL("127.0.0.1", server.told["imaps"], ssl_context=server.tls())
        imap.login("alice@example.test", server.accounts["alice@example.test"])
        imap.select()
        imap.send(b"x IDLE\r\n")
        assert imap.readline().startswith(b"+")
        smtp = smtplib.SMTP("127.0.0.1", server.told["smtp"])
        smtp.ehlo()
        smtp.mail("a@b.test")
        status, took = server.stop()
        assert (status, took < 5) == (0, True)
        assert imap.readline().startswith(b"* BYE")
        assert smtp.getreply()[0] == 421
        imap.shutdown()
        smtp.close()


def test_a_different_password_replaces_the_one_before(tmp_path: Path):
    address = "dave@other.test"
    with dev(tmp_path, "--account", f"{address}:first-one") as server:
        server.send(address, address, "hello")
        server.stop()
    listed = tmp_path / "accounts"
    listed.write_text(f"{address}:second-one\n")
    with dev(tmp_path, "--accounts-file", str(listed)) as server:
        assert server.accounts == {address: "second-one"}
        assert server.subjects(address) == ["hello"]
        with pytest.raises(imaplib.IMAP4.error):
            server.subjects(address, "first-one")
        # Changed while it runs: the next start with the old option sets it back.
        assert server.command("account", "password", address, "--password-stdin", stdin="third-one\n").returncode == 0
        assert server.subjects(address, "third-one") == ["hello"]
        server.stop()
    with dev(tmp_path, "--account", f"{address}:second-one") as server:
        assert server.subjects(address, "second-one") == ["hello"]


def test_after_kill_9_it_is_ready_again_with_all_mail(tmp_path: Path):
    with dev(tmp_path) as first:
        first.send("alice@example.test", "bob@example.test", "before the end")
        base = first.base
        first.kill()
    began = time.monotonic()
    with dev(tmp_path, base=base) as second:
        assert time.monotonic() - began < 15  # a second on an idle machine
        assert second.subjects("bob@example.test") == ["before the end"]


def test_limits_apply_to_other_loopback_addresses(tmp_path: Path):
    with dev(tmp_path, "--workers", "1") as server:
        held = []
        try:
            for _ in range(200):
                sock = socket.create_connection(("127.0.0.1", server.told["smtp"]), timeout=10, source_address=("127.0.0.66", 0))
                held.append(sock)
                if not sock.recv(3).startswith(b"220"):
                    break
            assert 1 < len(held) < 200
            with smtplib.SMTP("127.0.0.1", server.told["smtp"], timeout=10) as smtp:
                assert smtp.noop()[0] == 250
        finally:
            for sock in held:
                sock.close()


def test_two_servers_find_each_other_by_a_route(tmp_path: Path):
    base = free_base()
    with dev(tmp_path / "a", "--domain", "a.test", base=base) as a:
        there = ("--domain", "b.test", "--route", f"a.test=127.0.0.1:{a.told['smtp']}")
        with dev(tmp_path / "b", *there) as b:
            b.send("alice@b.test", "alice@a.test", "over the river")
            deadline = time.monotonic() + 20
            while a.subjects("alice@a.test") != ["over the river"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)


async def test_two_servers_find_each_other_by_mx(tmp_path: Path):
    base = free_base()
    zones = {
        "a.test": "@ MX 10 mx\nmx A 127.0.1.1",
        "b.test": "@ MX 10 gone\n@ MX 20 mx\ngone A 127.0.1.9\nmx A 127.0.1.2",
        "null.test": "@ MX 0 .",
    }
    async with ZoneServer(zones) as dns:
        common = ("--dns", f"{dns.address[0]}:{dns.address[1]}", "--mx-port", str(base + OFFSETS["smtp"]), "--workers", "1")

        def journey() -> None:
            with (
                dev(tmp_path / "a", "--host", "127.0.1.1", "--domain", "a.test", *common, base=base) as a,
                dev(tmp_path / "b", "--host", "127.0.1.2", "--domain", "b.test", *common, base=base) as b,
            ):
                a.send("alice@a.test", "bob@b.test", "there")
                wait_for_subject(b, "bob@b.test", "there")
                b.send("alice@b.test", "bob@a.test", "and back")
                wait_for_subject(a, "bob@a.test", "and back")
                a.send("alice@a.test", "x@null.test", "to nobody")
                wait_for_subject(a, "alice@a.test", "not delivered")
                assert b.log().count("error") == 0

        await asyncio.to_thread(journey)


def wait_for_subject(server: Dev, address: str, words: str) -> None:
    deadline = time.monotonic() + 30
    while not any(words.casefold() in subject.casefold() for subject in server.subjects(address)):
        assert time.monotonic() < deadline, (server.subjects(address), server.log())
        time.sleep(0.1)


def test_the_data_may_lie_deep(tmp_path: Path):
    deep = tmp_path / ("a" * 60) / ("b" * 60)  # more than a Unix socket's address holds
    with dev(deep, "--workers", "2") as server:
        server.send("alice@example.test", "bob@example.test", "deep")
        assert server.subjects("bob@example.test") == ["deep"]
        assert server.command("status").returncode == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_both_loops_serve(tmp_path: Path, loop: str):
    with dev(tmp_path, env={"POSTILLON_LOOP": loop}) as server:
        server.send("alice@example.test", "bob@example.test", loop)
        assert server.subjects("bob@example.test") == [loop]
        assert server.stop()[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--account", "nobody"),
        ("--account", "a@b.test:"),
        ("--route", "x=y"),
        ("--domain", "not a domain"),
        ("--port-base", "65000"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: tuple[str, str]):
    ended = command("dev", "--data", str(tmp_path), *options)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr


def test_an_untrusted_certificate_is_what_others_see(server: Dev):
    with socket.create_connection(("127.0.0.1", server.told["imaps"]), timeout=10) as sock, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
