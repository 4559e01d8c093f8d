"""A milter of our own beside a running server: it hears SMTP sessions from MAIL to the end, and what it wants is done."""

from __future__ import annotations

import imaplib
import smtplib
import ssl
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from ..app.running import OFFSETS
from ..app.test_setup import PASSWORD, Installed, install, own_tls, serving
from ..peers.milter import CONTINUE, Heard, Milter, Packet, index
from ..peers.processes import run, wait_until
from ..peers.scanners import EICAR, ClamAv

pytestmark = pytest.mark.real

YOU = "you@example.org"
TEXT = b"From: joe@other.test\r\nTo: you@example.org\r\nSubject: %b\r\n\r\nHello\r\n"


def script(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
    """What it does is told by the recipients and the subject."""
    if command == b"R" and data.startswith(b"<two@"):
        return [(b"y", b"550 5.7.1 Two is not at home\0")]
    if command == b"M" and data.startswith(b"<close@"):
        return [(b"4", b"")]
    if command != b"E":
        return CONTINUE
    subject = dict(heard.headers).get(b"Subject", b"")
    if subject == b"change":
        return [
            (b"m", index(1, b"Subject", b"changed")),
            (b"h", b"X-Milter\0was here\0"),
            (b"b", b"Another body.\r\n"),
            (b"e", b"<other@other.test>\0"),
            (b"-", b"<one@example.org>\0"),
            (b"+", b"<three@example.org>\0"),
            (b"c", b""),
        ]
    if subject == b"hold":
        return [(b"q", b"I do not like it\0"), (b"c", b"")]
    return [(b"y", b"554 5.7.0 No thanks\0")] if subject == b"refuse" else CONTINUE


@dataclass(frozen=True)
class Place:
    installed: Installed
    milter: Milter

    def smtp(self, service: str = "smtp") -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.installed.base + OFFSETS[service], timeout=20)

    def tls(self) -> ssl.SSLContext:
        context = own_tls(self.installed)
        context.check_hostname = False  # it names mail.example.org
        return context

    def command(self, *words: str) -> str:
        done = run([sys.executable, "-m", "postillon", *words, "--config", str(self.installed.config)])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mail(self, name: str) -> list[bytes]:
        with imaplib.IMAP4_SSL("127.0.0.1", self.installed.base + OFFSETS["imaps"], ssl_context=self.tls(), timeout=20) as imap:
            imap.login(name, PASSWORD)
            imap.select("INBOX", readonly=True)
            numbers = imap.search(None, "ALL")[1][0].split()
            found = [imap.fetch(number.decode(), "(BODY.PEEK[])")[1][0] for number in numbers]
            return [one[1] for one in found if isinstance(one, tuple)]

    @property
    def last(self) -> Heard:
        return self.milter.connections[-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("milter")
    with Milter(script, steps=0x800) as milter, ClamAv(folder) as clamav:
        installed = install(folder, "--user", "")
        text = installed.config.read_text() + f'\n[milters.test]\naddress = "{milter.address}"\nwhen_down = "refuse"\n'
        text += f'\n[clamav]\naddress = "{clamav.unix}"\n\n[dns]\nservers = ["127.0.0.1:9"]\n'
        installed.config.write_text(text)
        with serving(installed):
            found = Place(installed, milter)
            for name in ("one", "two", "three"):
                words = ["account", "add", f"{name}@example.org", "--password-stdin", "--config", str(installed.config)]
                done = run([sys.executable, "-m", "postillon", *words], input=PASSWORD + "\n")
                assert done.returncode == 0, done.stderr
            yield found


def test_one_of_three_recipients_is_refused_in_the_dialogue(place: Place):
    with place.smtp() as smtp:
        refused = smtp.sendmail("joe@other.test", [f"{name}@example.org" for name in ("one", "two", "three")], TEXT % b"to three")
    assert refused == {"two@example.org": (550, b"5.7.1 Two is not at home")}
    assert any(b"to three" in one for one in place.mail("one@example.org"))
    assert any(b"to three" in one for one in place.mail("three@example.org"))
    assert place.mail("two@example.org") == []


def test_everything_of_a_message_is_changed(place: Place):
    with place.smtp() as smtp:
        smtp.sendmail("joe@other.test", ["one@example.org"], TEXT % b"change")
    (message,) = [one for one in place.mail("three@example.org") if b"X-Milter" in one]
    assert message.startswith(b"Return-Path: <other@other.test>")
    assert b"Subject: changed\r\nX-Milter: was here\r\n\r\nAnother body.\r\n" in message
    assert not any(b"Another body" in one for one in place.mail("one@example.org"))


def test_several_messages_and_a_reset_are_one_session_for_the_milter(place: Place):
    with place.smtp() as smtp:
        smtp.ehlo("client.test")
        smtp.mail("joe@other.test")
        smtp.rcpt("nobody@example.org")
        smtp.rset()
        for _ in range(2):
            smtp.sendmail("joe@other.test", [YOU], TEXT % b"plain")
        count = len(place.milter.connections)
    heard = place.last
    assert heard.quit.wait(10) and len(place.milter.connections) == count
    dialogue = heard.commands.replace("D", "")
    message = "MRTLLLNBE"
    assert dialogue == "OCHMRA" + message + message + "Q"
    assert heard.macros[b"R"]["{rcpt_addr}"] == YOU


def test_a_refusal_of_the_message_and_an_end_of_the_session(place: Place):
    with place.smtp() as smtp:
        with pytest.raises(smtplib.SMTPDataError) as caught:
            smtp.sendmail("joe@other.test", [YOU], TEXT % b"refuse")
        assert (caught.value.smtp_code, caught.value.smtp_error) == (554, b"5.7.0 No thanks")
        assert smtp.mail("close@other.test")[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.noop()


def test_what_the_milter_wants_held_is_in_the_quarantine_with_its_reason(place: Place):
    with place.smtp() as smtp:
        smtp.sendmail("joe@other.test", [YOU], TEXT % b"hold")
    listed = place.command("quarantine", "list")
    assert "I do not like it" in listed and YOU in listed
    number = next(line.split()[0] for line in listed.splitlines() if YOU in line)
    place.command("quarantine", "release", number)
    wait_until(lambda: any(b"Subject: hold" in one for one in place.mail(YOU)), 20, "the released message")


def test_a_virus_is_refused_at_the_mx_and_at_submission(place: Place):
    with place.smtp() as smtp, pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("joe@other.test", [YOU], TEXT % b"virus" + EICAR + b"\r\n")
    assert b"contains a virus: Eicar-Test-Signature" in bytes(caught.value.smtp_error)
    with place.smtp("submission") as smtp:
        smtp.starttls(context=place.tls())
        smtp.login(YOU, PASSWORD)
        text = (TEXT % b"virus").replace(b"joe@other.test", YOU.encode())
        with pytest.raises(smtplib.SMTPDataError) as caught:
            smtp.sendmail(YOU, ["one@example.org"], text + EICAR + b"\r\n")
        assert b"contains a virus: Eicar-Test-Signature" in bytes(caught.value.smtp_error)
        smtp.sendmail(YOU, ["one@example.org"], text)
    assert place.last.macros[b"M"]["{auth_authen}"] == YOU and place.last.macros[b"M"]["{auth_type}"]


def test_mail_from_a_local_program_is_heard_as_a_whole(place: Place):
    before = len(place.milter.connections)
    words = [sys.executable, "-m", "postillon", "sendmail", "--config", str(place.installed.config), YOU]
    env = {"POSTILLON_SENDMAIL_SOCKET": f"{place.installed.data}/run/sendmail.sock", "PATH": "/usr/bin:/bin"}
    done = run(words, input="Subject: from cron\n\nHello\n", env=env)
    assert done.returncode == 0, done.stderr
    assert place.milter.connections[before].commands.endswith("EQ")
