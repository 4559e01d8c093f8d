"""msmtp with SCRAM and TLS, and mutt and neomutt, in batch and in a terminal, sending by SMTP and reading over IMAP."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon, mail
from ..peers.processes import wait_until

pytestmark = pytest.mark.real


def msmtp(office: Postillon, account: Account, place: Path, *settings: str, service: str = "submission") -> Path:
    """Its configuration file."""
    config = place / "msmtprc"
    lines = [
        "account default",
        "host localhost",
        f"port {office.port(service)}",
        "domain client.test",
        f"from {account.address}",
        f"user {account.address}",
        f"password {account.password}",
        f"logfile {place}/msmtp.log",
        *settings,
    ]
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o600)
    return config


def tls(office: Postillon, *, starttls: bool = True) -> list[str]:
    return ["tls on", f"tls_trust_file {office.ca}", f"tls_starttls {'on' if starttls else 'off'}"]


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "scram-sha-1", "plain", "login"])
@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_msmtp_logs_in_by_every_mechanism(
    office: Postillon, alice: Account, bob: Account, tmp_path: Path, service: str, mechanism: str
):
    settings = [*tls(office, starttls=service == "submission"), f"auth {mechanism}"]
    config = msmtp(office, alice, tmp_path, *settings, service=service)
    text = mail(alice.address, [bob.address], "by msmtp", "Grüße\n.\n").replace(b"\r\n", b"\n")
    client("msmtp", "-C", str(config), bob.address, home=tmp_path, stdin=text)
    (message,) = bob.messages()
    assert message.endswith(text.partition(b"\n\n")[2].replace(b"\n", b"\r\n"))
    said = f"account={alice.address} mechanism={mechanism.upper()}\n"
    wait_until(lambda: said in office.log_text, 5, "the log to tell of the login")  # its lines are gathered for a moment


def test_msmtp_takes_recipients_from_the_header_and_nobody_sees_the_bcc(
    office: Postillon, alice: Account, bob: Account, tmp_path: Path
):
    config = msmtp(office, alice, tmp_path, *tls(office), "auth scram-sha-256", "undisclosed_recipients off")
    text = f"To: {alice.address}\nBcc: {bob.address}\nSubject: with a hidden copy\n\nHello\n"
    client("msmtp", "-C", str(config), "-t", home=tmp_path, stdin=text)
    for account in (alice, bob):
        (message,) = account.messages()
        assert b"with a hidden copy" in message
        assert bob.address.encode() not in message


def test_msmtp_tells_our_refusals(office: Postillon, alice: Account, tmp_path: Path):
    config = msmtp(office, alice, tmp_path, *tls(office), "auth scram-sha-256")
    ended = client("msmtp", "-C", str(config), "nobody@example.test", home=tmp_path, stdin="Subject: x\n\n", status=65)
    assert b"550 5.1.1" in ended.stderr
    config.write_text(config.read_text().replace(alice.password, "another password"))
    ended = client("msmtp", "-C", str(config), alice.address, home=tmp_path, stdin="Subject: x\n\n", status=77)
    assert b"535 5.7.8" in ended.stderr


def test_msmtp_speaks_with_the_mx_of_a_stranger(office: Postillon, bob: Account, tmp_path: Path):
    config = msmtp(office, bob, tmp_path, *tls(office), "auth off", "from stranger@elsewhere.test", service="smtp")
    client("msmtp", "-C", str(config), bob.address, home=tmp_path, stdin="Subject: from afar\n\nHello\n")
    assert bob.messages()[0].startswith(b"Return-Path: <stranger@elsewhere.test>\r\n")


# --- mutt ---------------------------------------------------------------------------------------------------------------


def muttrc(office: Postillon, account: Account, place: Path, program: str = "mutt") -> Path:
    # smtp_authenticators: of Debian 12's mutt, GNU SASL chooses SCRAM-SHA-256-PLUS by itself wherever it is offered, but mutt
    # gives it no channel binding, and then fails without trying another. (Over IMAP it goes on to LOGIN.) Debian's neomutt
    # does not know the name of any SCRAM but SHA-1's.
    user = account.address.replace("@", "\\@")
    config = place / "muttrc"
    config.write_text(
        f"""\
set from="{account.address}" use_from=yes use_envelope_from=yes realname="Mutt of {account.local}"
set hostname="client.test"
set smtp_url="smtp://{user}@localhost:{office.port("submission")}/" smtp_pass="{account.password}"
set smtp_authenticators="{"scram-sha-256" if program == "mutt" else "plain"}"
set folder="imaps://{user}@localhost:{office.port("imaps")}/"
set imap_pass="{account.password}"
set spoolfile="+INBOX" record="+Sent" postponed="+Drafts"
set ssl_starttls=yes ssl_force_tls=yes ssl_verify_host=yes ssl_verify_dates=yes
set certificate_file="{office.ca}"
set move=no confirmappend=no confirmcreate=no delete=yes quit=yes wait_key=no sort=mailbox-order
set header_cache="" mail_check=1 timeout=1 charset=utf-8 send_charset="us-ascii:utf-8"
set imap_check_subscribed=no imap_condstore=yes imap_qresync=no sleep_time=0 beep=no mark_old=no
set index_format="%3C %Z %s"
set editor="true" edit_headers=no abort_nosubject=no abort_unmodified=no fast_reply=yes include=no mailcap_path="/dev/null"
"""
    )
    return config


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt_sends_a_letter_with_an_attachment_and_keeps_a_copy(
    office: Postillon, alice: Account, bob: Account, tmp_path: Path, program: str
):
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 50)
    words = ["-s", "Grüße von Mutt", "-a", str(tmp_path / "noise.bin"), "--", bob.address]
    client(program, "-F", str(muttrc(office, alice, tmp_path, program)), *words, home=tmp_path, stdin="Schöne Grüße\n")
    (message,) = bob.messages()
    assert b"Subject: =?utf-8?" in message
    assert b"noise.bin" in message
    if program == "neomutt":
        return  # without a terminal it keeps no copy
    (copy,) = alice.messages("Sent")
    body = message.partition(b"\r\n\r\n")[2]
    assert copy.partition(b"\r\n\r\n")[2] == body
    with alice.imap("Sent") as imap:
        assert b"\\Seen" in imap.fetch("1", "(FLAGS)")[1][0]


class Screen:
    """mutt in a terminal."""

    def __init__(self, socket: Path, command: list[str]) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", "100", "-y", "30", " ".join(command))

    def _run(self, *words: str) -> str:
        return client(*self._tmux, *words, home=Path("/")).stdout.decode()

    def show(self) -> str:
        return self._run("capture-pane", "-p")

    def wait_for(self, words: str, seconds: float = 20) -> str:
        deadline = time.monotonic() + seconds
        while words not in (shown := self.show()):
            assert time.monotonic() < deadline, f"{words!r} never came:\n{shown}"
            time.sleep(0.05)
        return shown

    def type(self, *keys: str) -> None:
        """Keys as tmux names them."""
        self._run("send-keys", *keys)

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)


@pytest.fixture(params=["mutt", "neomutt"])
def screen(office: Postillon, bob: Account, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Screen]:
    found = Screen(tmp_path / "tmux", [request.param, "-F", str(muttrc(office, bob, tmp_path, request.param)), "-f", "+INBOX"])
    yield found
    found.end()


def test_mutt_reads_answers_files_and_deletes(office: Postillon, alice: Account, bob: Account, screen: Screen):
    screen.wait_for("INBOX")
    alice.submit([bob.address], "a first question", "Will you come?\n")
    alice.submit([bob.address], "to be thrown away", "nothing\n")
    alice.submit([bob.address], "to be kept", "Füße\n")
    screen.wait_for("to be kept")  # it looks for new mail by itself
    screen.type("Home", "Enter")
    screen.wait_for("Will you come?")
    screen.type("r")  # reply: To and Subject are asked for unless fast_reply
    screen.wait_for("y:Send")
    screen.type("y")
    alice.wait_for(b"Subject: Re: a first question")
    screen.wait_for("Mail sent")
    screen.type("i", "2", "Enter", "d")
    screen.type("3", "Enter", "s")
    screen.wait_for("Save to mailbox")
    screen.type("C-u", "+Archive", "Enter")
    screen.type("$")
    deadline = time.monotonic() + 10
    while bob.messages("Archive") == [] or len(bob.messages()) != 1:
        assert time.monotonic() < deadline, screen.show()
        time.sleep(0.1)
    screen.type("q")
    assert b"Subject: to be kept" in bob.messages("Archive")[0]
    assert b"Subject: a first question" in bob.messages()[0]
    with bob.imap("INBOX") as imap:
        flags = imap.fetch("1", "(FLAGS)")[1][0]
    assert b"\\Seen" in flags
    assert b"\\Answered" in flags
    assert len(bob.messages("Sent")) == 1
