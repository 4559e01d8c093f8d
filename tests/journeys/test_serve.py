"""The real thing, `postillon serve`, behind a smarthost: a provider that wants a login and TLS."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postillon.admin.client import ask

from ..app.running import OFFSETS
from ..app.test_setup import PASSWORD, Installed, install, own_tls, serving
from ..peers.postillon import Postillon, mail
from ..peers.processes import wait_until

pytestmark = pytest.mark.real

YOU, BOB = "you@example.org", "bob@other.test"


@dataclass(frozen=True)
class Home:
    """A server at home, whose provider has the same address of ours."""

    installed: Installed
    provider: Postillon
    password_file: Path

    def smarthost(self, service: str, tls: str) -> None:
        text = self.installed.config.read_text().partition("\n[sending.smarthost]")[0]
        port = self.provider.port(service)
        keys = f'host = "localhost"\nport = {port}\ntls = "{tls}"\nlogin = "{YOU}"\npassword_file = "{self.password_file}"\n'
        self.installed.config.write_text(f"{text}\n[sending.smarthost]\n{keys}")

    def submit(self, subject: str, *, encrypted: bool = True) -> None:
        context = own_tls(self.installed)
        context.check_hostname = False  # it names mail.example.org
        with smtplib.SMTP("127.0.0.1", self.installed.base + OFFSETS["submission"], timeout=20) as smtp:
            if encrypted:
                smtp.starttls(context=context)
            smtp.login(YOU, PASSWORD)
            smtp.sendmail(YOU, [BOB], mail(YOU, [BOB], subject))

    def queue(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = ask(str(self.installed.data), "queue.list", {})
        return rows


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postillon]:
    accounts = ("--account", f"{YOU}:provider-secret", "--account", f"{BOB}:bob-secret")
    with Postillon(Path(tmp_path_factory.mktemp("provider")) / "data", *accounts, "--workers", "1") as running:
        yield running


@pytest.fixture
def home(provider: Postillon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SSL_CERT_FILE", provider.ca)  # the authorities that `serve` trusts
    password_file = tmp_path / "provider-password"
    password_file.write_text("provider-secret\n")
    return Home(install(tmp_path, "--user", ""), provider, password_file)


@pytest.mark.parametrize(("service", "tls"), [("submission", "required"), ("submissions", "implicit")])
def test_mail_leaves_through_the_smarthost_with_our_login_over_verified_tls(home: Home, service: str, tls: str):
    home.smarthost(service, tls)
    with serving(home.installed):
        home.submit(f"by {service}")
        message = home.provider.account(BOB).wait_for(f"Subject: by {service}".encode())
        assert b"with ESMTPSA" in message
        wait_until(lambda: home.queue() == [])


def test_a_smarthost_that_nobody_vouches_for_gets_neither_login_nor_mail(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(home.installed.data / "ca.pem"))
    home.smarthost("submissions", "implicit")
    with serving(home.installed):
        home.submit("not to anybody")
        wait_until(lambda: home.queue() and home.queue()[0]["attempts"])
        assert home.queue()[0]["last_answer"].startswith("4.")
    assert not any(b"not to anybody" in octets for octets in home.provider.account(BOB).messages())


def test_a_wrong_login_keeps_the_mail_until_it_is_put_right(home: Home):
    home.password_file.write_text("wrong\n")
    home.smarthost("submission", "required")
    with serving(home.installed):
        home.submit("patience")
        wait_until(lambda: home.queue() and home.queue()[0]["attempts"])
        assert home.queue()[0]["last_answer"].startswith("4.7.8")
    home.password_file.write_text("provider-secret\n")
    with serving(home.installed):
        ask(str(home.installed.data), "queue.retry", {"ids": [], "everything": True})
        home.provider.account(BOB).wait_for(b"Subject: patience")


def test_without_tls_nobody_logs_in_not_even_from_here(home: Home):
    with serving(home.installed), pytest.raises(smtplib.SMTPNotSupportedError):
        home.submit("in the clear", encrypted=False)
