"""Debian's opendkim as a milter of a running server: it signs what we submit and verifies what comes in."""

from __future__ import annotations

import imaplib
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass

import dkim as dkimpy
import pytest

from ..app.running import OFFSETS
from ..app.test_setup import PASSWORD, Installed, install, own_tls, serving
from ..peers.opendkim import SELECTOR, OpenDkim
from ..peers.processes import wait_until

pytestmark = pytest.mark.real

YOU = "you@example.org"
TEXT = b"From:  Joe <joe@other.test>\r\nTo: you@example.org\r\nSubject: it  has\r\n\tfolds\r\n\r\nSome   text. \r\n\r\n\r\n"


@dataclass(frozen=True)
class Place:
    installed: Installed
    milter: OpenDkim

    def smtp(self, service: str) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.installed.base + OFFSETS[service], timeout=20)

    def submit(self, text: bytes) -> None:
        context = own_tls(self.installed)
        context.check_hostname = False  # it names mail.example.org
        with self.smtp("submission") as smtp:
            smtp.starttls(context=context)
            smtp.login(YOU, PASSWORD)
            smtp.sendmail(YOU, [YOU], text)

    def wait_for(self, words: bytes) -> bytes:
        """The message with *words* in it, as IMAP gives it."""
        context = own_tls(self.installed)
        context.check_hostname = False
        with imaplib.IMAP4_SSL("127.0.0.1", self.installed.base + OFFSETS["imaps"], ssl_context=context, timeout=20) as imap:
            imap.login(YOU, PASSWORD)
            found: list[bytes] = []

            def look() -> bool:
                imap.select("INBOX", readonly=True)
                numbers = imap.search(None, "ALL")[1][0].split()
                messages = [imap.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]  # type: ignore[index]
                found[:] = [one for one in messages if isinstance(one, bytes) and words in one]
                return bool(found)

            wait_until(look, 30, repr(words))
            return found[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("opendkim")
    with OpenDkim(folder, "example.org", "other.test") as milter:
        installed = install(folder, "--user", "")
        text = installed.config.read_text()
        text += f'\n[milters.opendkim]\naddress = "{milter.address}"\nwhen_down = "tempfail"\n'
        text += '\n[dns]\nservers = ["127.0.0.1:9"]\n' if "[dns]" not in text else ""
        installed.config.write_text(text)
        with serving(installed):
            yield Place(installed, milter)


def test_opendkim_signs_what_we_submit(place: Place):
    place.submit(b"From: you@example.org\r\nTo: you@example.org\r\nSubject: sign  this\r\n\r\nHello.  \r\n")
    message = place.wait_for(b"Subject: sign  this")
    signed = message[message.index(b"DKIM-Signature:") :]
    assert b"d=example.org; s=" + SELECTOR.encode() in signed.replace(b"\r\n\t", b" ")
    assert b"Message-ID:" in signed and b"Date:" in signed  # what we completed is signed, too
    assert dkimpy.verify(signed, dnsfunc=lambda name, timeout=5: place.milter.record.encode())


def test_opendkim_verifies_what_comes_in(place: Place):
    signature = dkimpy.sign(TEXT, SELECTOR.encode(), b"other.test", place.milter.key, canonicalize=(b"simple", b"simple"))
    with place.smtp("smtp") as smtp:
        smtp.sendmail("joe@other.test", [YOU], signature + TEXT)
        smtp.sendmail("joe@other.test", [YOU], signature + TEXT.replace(b"Some   text", b"Some other text"))
    genuine, changed = place.wait_for(b"Some   text"), place.wait_for(b"Some other text")
    results = [one[one.index(b"Authentication-Results: milter.test") :].partition(b"\r\nDKIM")[0] for one in (genuine, changed)]
    assert b"dkim=pass" in results[0] and b"dkim=fail" in results[1]
    assert genuine.endswith(TEXT)
