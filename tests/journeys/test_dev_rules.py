"""The promises of `postillon dev` that harnesses of other projects build on."""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..peers.postillon import Account, PortBase, Postillon, port_base
from .conftest import NewAccount

pytestmark = pytest.mark.real


def test_any_directory_will_do_and_what_is_made_in_it_is_private(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (data / "notes").write_text("the harness' own\n")
    with Postillon(data) as server:
        server.account("alice@example.test").submit(["bob@example.test"], "hi")
        public = {"notes", "ca.pem", "certificate.pem"}
        for path in data.rglob("*"):
            assert path.name in public or path.is_socket() or path.stat().st_mode & 0o077 == 0, (path, oct(path.stat().st_mode))


def test_the_first_account_of_a_domain_is_its_postmaster(tmp_path: Path):
    """Accounts are made some at a time; which of them is the oldest must not be left to chance."""
    listed = tmp_path / "accounts"
    listed.write_text("".join(f"{name}@{domain}:secret-{name}\n" for domain in ("one.test", "two.test") for name in "zyxw"))
    with Postillon(tmp_path / "data", "--accounts-file", str(listed)) as server:
        for domain in ("one.test", "two.test"):
            server.deliver(f"postmaster@{domain}", f"Subject: to {domain}\r\n\r\n".encode())
            assert len(server.account(f"z@{domain}").messages()) == 1
        server.deliver("postmaster", b"Subject: to nobody's domain\r\n\r\n")
        assert len(server.account("z@one.test").messages()) == 2


# --- sending ------------------------------------------------------------------------------------------------------------


def answer_to(server: Postillon, recipient: str) -> tuple[int, bytes]:
    """What RCPT gets after a login."""
    alice = server.account("alice@example.test")
    with server.smtp("submission") as smtp:
        smtp.login(alice.address, alice.password)
        smtp.mail(alice.address)
        return smtp.rcpt(recipient)


def test_without_dns_and_route_nothing_leaves_the_house(office: Postillon):
    code, text = answer_to(office, "someone@gmail.com")
    assert (code, text[:6]) == (550, b"5.7.1 ")
    office.ask("alias.add", address="away@example.test", targets=["someone@gmail.com"])
    code, _ = answer_to(office, "away@example.test")
    assert code == 550
    with office.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("s@elsewhere.test")
        assert smtp.rcpt("away@example.test")[0] == 550


def test_a_route_is_for_its_domain_alone(tmp_path: Path):
    with Postillon(tmp_path / "data", "--route", "near.test=127.0.0.1:1", "--workers", "1") as server:
        assert answer_to(server, "x@near.test")[0] == 250
        assert answer_to(server, "x@far.test")[0] == 550
        assert answer_to(server, "x@sub.near.test")[0] == 550


# --- logins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.66"])
def test_a_login_without_tls_is_allowed_on_loopback_addresses(office: Postillon, bob: Account, source: str):
    with office.smtp("submission", source) as smtp:
        smtp.ehlo()
        assert "PLAIN" in smtp.esmtp_features["auth"]
        smtp.login(bob.address, bob.password)
    imap = IMAP(office, source)
    assert imap.command(f'LOGIN {bob.address} "{bob.password}"').startswith(b"OK")
    pop = POP3(office, source)
    assert pop.command(f"USER {bob.address}").startswith(b"+OK")
    assert pop.command(f"PASS {bob.password}").startswith(b"+OK")
    pop.command("QUIT")


class Line:
    """A client from any address that says one line and hears another."""

    service = ""

    def __init__(self, server: Postillon, source: str) -> None:
        where = (server.host, server.port(self.service))
        self.socket = socket.create_connection(where, timeout=60, source_address=(source, 0))
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline()

    def command(self, line: str) -> bytes:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.file.readline()


class IMAP(Line):
    service = "imap"

    def command(self, line: str) -> bytes:
        """The tagged answer, without the tag."""
        self.socket.sendall(b"a " + line.encode() + b"\r\n")
        while not (said := self.file.readline()).startswith(b"a "):
            assert said, "the connection ended"
        return said[2:]


class POP3(Line):
    service = "pop3"


class SMTP(Line):
    service = "submission"

    def command(self, line: str) -> bytes:
        """The last line of the reply."""
        self.socket.sendall(line.encode() + b"\r\n")
        while (said := self.file.readline())[3:4] == b"-":
            pass
        return said


def try_login(server: Postillon, source: str, protocol: type[Line], account: Account) -> bytes:
    line = protocol(server, source)
    if protocol is IMAP:
        return line.command(f'LOGIN {account.address} "{account.password}"')
    if protocol is POP3:
        line.command(f"USER {account.address}")
        return line.command(f"PASS {account.password}")
    line.command("EHLO client.test")
    return line.command("AUTH PLAIN " + base64.b64encode(f"\0{account.address}\0{account.password}".encode()).decode())


def test_failed_logins_are_counted_for_every_address_but_two(office: Postillon, new_account: NewAccount):
    """By address, over all protocols and workers together; the password may be right by then."""
    accounts = [new_account() for _ in range(15)]
    victim = new_account()

    def guess(source: str) -> None:
        protocols = itertools.cycle([IMAP, POP3, SMTP])
        with ThreadPoolExecutor(15) as pool:
            wrong = [Account(office, account.address, "wrong") for account in accounts]
            for future in [pool.submit(try_login, office, source, next(protocols), account) for account in wrong]:
                assert not future.result().startswith((b"OK", b"+OK", b"235"))

    guess("127.0.0.66")
    assert b"[UNAVAILABLE]" in try_login(office, "127.0.0.66", IMAP, victim)
    assert b"[SYS/TEMP]" in try_login(office, "127.0.0.66", POP3, victim)
    assert try_login(office, "127.0.0.66", SMTP, victim).startswith(b"454 4.7.0")
    assert try_login(office, "127.0.0.1", IMAP, victim).startswith(b"OK")
    assert try_login(office, "127.0.1.2", IMAP, victim).startswith(b"OK")
    guess("127.0.0.1")
    for protocol, yes in ((IMAP, b"OK"), (POP3, b"+OK"), (SMTP, b"235")):
        assert try_login(office, "127.0.0.1", protocol, victim).startswith(yes)


def test_connections_are_counted_for_every_address_but_two(office: Postillon):
    def admitted(source: str, count: int) -> int:
        with contextlib.ExitStack() as stack:
            greetings = []
            for _ in range(count):
                line = SMTP(office, source)
                stack.callback(line.socket.close)
                greetings.append(line.greeting)
            return sum(greeting.startswith(b"220") for greeting in greetings)

    assert admitted("127.0.0.1", 250) == 250
    assert admitted("127.0.0.77", 250) < 250


# --- the end ------------------------------------------------------------------------------------------------------------


def test_sigterm_ends_it_within_five_seconds_whatever_goes_on(tmp_path: Path):
    """Sessions that idle, that say nothing, that are in the middle of a message, and a peer that never answers us."""
    with socket.create_server(("127.0.0.1", 0)) as tarpit:
        route = f"slow.test=127.0.0.1:{tarpit.getsockname()[1]}"
        with Postillon(tmp_path / "data", "--workers", "2", "--route", route) as server:
            alice = server.account("alice@example.test")
            alice.submit(["x@slow.test"], "to the tarpit")
            tarpit.accept()
            silent = [protocol(server, "127.0.0.1") for protocol in (IMAP, POP3, SMTP) for _ in range(3)]
            with contextlib.ExitStack() as stack:
                for _ in range(4):
                    client = stack.enter_context(alice.imap("INBOX"))
                    client.send(b"i IDLE\r\n")
                    client.readline()
                smtp = stack.enter_context(server.smtp())
                smtp.ehlo()
                smtp.mail("s@elsewhere.test")
                smtp.rcpt("bob@example.test")
                smtp.docmd("DATA")
                smtp.send(b"Subject: half a mess")
                assert server.stop() < 5
            for line in silent:
                line.socket.close()
            server.start()
            assert [row["recipient"] for row in server.ask("queue.list")] == ["x@slow.test"]


# --- what is wrong is said ----------------------------------------------------------------------------------------------


def test_a_second_server_on_the_same_directory_is_refused(office: Postillon, tmp_path: Path):
    command = [sys.executable, "-m", "postillon", "dev", "--data", str(office.data), "--port-base", "40000"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert str(office.data) in ended.stderr
    assert office.ask("status")["accounts"] >= 2


def test_ports_that_are_taken_are_named(office: Postillon, tmp_path: Path):
    command = [sys.executable, "-m", "postillon", "dev", "--data", str(tmp_path / "data"), "--port-base", str(office.base)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert str(office.port("smtp")) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_serves_on_ipv6(tmp_path: Path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no ::1 here")
    with port_base_for("::1") as base, Postillon(tmp_path / "data", "--workers", "1", host="::1", base=base) as server:
        alice = server.account("alice@example.test")
        alice.submit(["bob@example.test"], "over six")
        message = server.account("bob@example.test").wait_for(b"Subject: over six")
        assert b"[IPv6:::1]" in message


@contextlib.contextmanager
def port_base_for(host: str) -> Iterator[PortBase]:
    base = port_base(host)
    yield base
    base.release()
