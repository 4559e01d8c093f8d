"""`postillon setup`, `check` and `serve`: the real thing, on other ports and in a temporary place."""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .running import OFFSETS, command, free_base

pytestmark = pytest.mark.real
PASSWORD = "a long password"


@dataclass
class Installed:
    config: Path
    data: Path
    out: str
    base: int


def install(place: Path, *options: str) -> Installed:
    """Run setup, then give the server ports that are free here."""
    config, data = place / "etc" / "postillon.toml", place / "data"
    paths = ("--config", str(config), "--data", str(data), "--unit", str(place / "postillon.service"))
    ended = command("setup", "you@example.org", *paths, "--password-stdin", *options, stdin=PASSWORD + "\n")
    assert ended.returncode == 0, ended.stderr
    base = free_base()
    ports = "".join(f"{service} = {base + offset}\n" for service, offset in OFFSETS.items())
    text = config.read_text().replace('"/run/postillon/sendmail.sock"', f'"{data}/run/sendmail.sock"')
    config.write_text(text + f'\n[listen]\naddresses = ["127.0.0.1"]\n{ports}')
    return Installed(config, data, ended.stdout, base)


@contextlib.contextmanager
def serving(installed: Installed) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "postillon", "serve", "--config", str(installed.config)]
    log = installed.data.parent / "serve.log"
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{name}/notify")
        systemd.settimeout(60)
        with log.open("w") as errors:
            process = subprocess.Popen(words, text=True, stderr=errors, env={**os.environ, "NOTIFY_SOCKET": f"{name}/notify"})
        try:
            assert systemd.recv(100) == b"READY=1", log.read_text()
        except TimeoutError:
            pytest.fail(log.read_text())
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def own_tls(installed: Installed) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(installed.data / "ca.pem"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("setup"), "--user", "")


def test_setup_prints_the_records_to_set(installed: Installed):
    out = installed.out
    assert re.search(r"example\.org\. +MX +10 mail\.example\.org\.", out)
    assert re.search(r'example\.org\. +TXT +"v=spf1 mx -all"', out)
    assert re.search(r'_dmarc\.example\.org\. +TXT +"v=DMARC1; ', out)
    assert re.search(r'r\d{6}\._domainkey\.example\.org\. +TXT +"v=DKIM1; k=rsa; p=[^"]{100,255}" "', out)
    assert re.search(r'e\d{6}\._domainkey\.example\.org\. +TXT +"v=DKIM1; k=ed25519; p=[^"]{44}"', out)
    assert re.search(r"_submissions\._tcp\.example\.org\. +SRV +0 1 465 mail\.example\.org\.", out)
    assert PASSWORD not in out


def test_what_setup_makes_is_for_the_owner_alone(installed: Installed):
    assert installed.data.stat().st_mode & 0o777 == 0o700
    keys = [*installed.data.glob("dkim/*/*.pem"), installed.data / "key.pem", installed.data / "mail.db"]
    assert len(keys) == 4
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert PASSWORD not in installed.config.read_text()


def test_setup_does_not_overwrite(installed: Installed):
    again = command("setup", "you@example.org", "--config", str(installed.config), "--generate")
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_check_finds_nothing_in_a_fresh_installation(installed: Installed):
    ended = command("check", "--no-dns", "--config", str(installed.config))
    expected = "`user` is not set" if os.geteuid() == 0 else "fine"
    assert expected in ended.stdout
    assert len(ended.stdout.splitlines()) == 1


def test_check_tells_what_is_wrong(installed: Installed, tmp_path: Path):
    config = tmp_path / "wrong.toml"
    config.write_text(installed.config.read_text().replace("[listen]", "[lisen]"))
    ended = command("check", "--no-dns", "--config", str(config))
    line = config.read_text().splitlines().index("[lisen]") + 1
    assert ended.returncode == 1
    assert f"{config}: line {line}: unknown setting `lisen`; did you mean `listen`?" in ended.stdout
    bare = tmp_path / "bare.toml"
    data = tmp_path / "open"
    data.mkdir(mode=0o755)
    bare.write_text(f'hostname = "mail.example.org"\ndata = "{data}"\n[tls]\ncertificate = "/none.pem"\nkey = "/none.key"\n')
    told = command("check", "--no-dns", "--config", str(bare), "--no-database").stdout
    assert "can be read by others (mode 755)" in told
    assert "/none.pem: No such file" in told


def test_serve_takes_mail_and_gives_it_back(installed: Installed):
    with serving(installed) as process:
        context = own_tls(installed)
        context.check_hostname = False  # it names mail.example.org, which is not us
        with smtplib.SMTP("127.0.0.1", installed.base + OFFSETS["submission"], timeout=20) as smtp:
            assert "auth" not in smtp.ehlo()[1].decode().lower()
            smtp.starttls(context=context)
            smtp.login("you@example.org", PASSWORD)
            smtp.sendmail("you@example.org", ["you@example.org"], "Subject: hello\r\n\r\nhello\r\n")
        with imaplib.IMAP4_SSL("127.0.0.1", installed.base + OFFSETS["imaps"], ssl_context=context, timeout=20) as imap:
            imap.login("you@example.org", PASSWORD)
            assert imap.select()[1] == [b"1"]
        with imaplib.IMAP4("127.0.0.1", installed.base + OFFSETS["imap"], timeout=20) as imap, pytest.raises(imaplib.IMAP4.error):
            imap.login("you@example.org", PASSWORD)
        assert "server is running" in command("check", "--no-dns", "--config", str(installed.config)).stdout or os.geteuid() == 0
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5


def test_a_renewed_certificate_is_shown_after_sighup(installed: Installed, tmp_path: Path):
    from postillon.net.certificates import make_ca, make_certificate

    one, two = tmp_path / "one", tmp_path / "two"
    for place in (one, two):
        make_ca(place)
        make_certificate(place, ["mail.example.org"])
    text = installed.config.read_text()
    installed.config.write_text(f'{text}\n[tls]\ncertificate = "{one}/cert.pem"\nkey = "{one}/key.pem"\n')
    try:
        with serving(installed) as process:
            address = ("127.0.0.1", installed.base + OFFSETS["imaps"])
            assert ssl.get_server_certificate(address) in (one / "cert.pem").read_text()
            for name in ("key.pem", "cert.pem"):
                os.replace(two / name, one / name)
            process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while ssl.get_server_certificate(address) not in (one / "cert.pem").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        installed.config.write_text(text)


@pytest.fixture
def outside() -> Iterator[Path]:
    """A place that every user can reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_root_the_workers_run_as_another_user(outside: Path):
    place = outside
    installed = install(place, "--user", "nobody")
    assert installed.data.owner() == "nobody"
    assert "fine" in command("check", "--no-dns", "--config", str(installed.config)).stdout
    with serving(installed) as process:
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
        for pid in found.stdout.split():
            status = Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
            assert re.search(r"^Groups:\s*$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        added = command("domain", "add", "more.example.org", "--config", str(installed.config))
        assert added.returncode == 0, added.stderr
        sent = command("sendmail", "--config", str(installed.config), "root", stdin="Subject: cron\n\nout of cheese\n")
        assert sent.returncode == 0, sent.stderr
        context = own_tls(installed)
        context.check_hostname = False
        with imaplib.IMAP4_SSL("127.0.0.1", installed.base + OFFSETS["imaps"], ssl_context=context, timeout=20) as imap:
            imap.login("you@example.org", PASSWORD)
            assert imap.select()[1] == [b"1"]  # the postmaster gets what is for local users
    # Nothing was left behind that the server's own user could not write.
    assert {path.owner() for path in installed.data.rglob("*.db*")} == {"nobody"}
    assert command("domain", "add", "again.example.org", "--config", str(installed.config)).returncode == 0
    assert {path.owner() for path in installed.data.rglob("*.db*")} == {"nobody"}
