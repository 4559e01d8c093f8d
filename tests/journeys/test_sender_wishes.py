"""Later, in time or not at all, as binary: what a mail program may wish for, on a running server."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.postillon import Account, Postillon
from tests.peers.processes import free_port, wait_until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postillon]:
    """Nobody is at elsewhere.test."""
    data: Path = tmp_path_factory.mktemp("wishes") / "data"
    with Postillon(data, "--workers", "1", "--retry", "1", "--route", f"elsewhere.test=127.0.0.1:{free_port()}") as running:
        yield running


def send(alice: Account, recipient: str, wishes: list[str], message: bytes) -> None:
    with alice.server.smtp("submissions") as smtp:
        smtp.login(alice.address, alice.password)
        assert smtp.mail(alice.address, wishes)[0] == 250
        assert smtp.rcpt(recipient)[0] == 250
        smtp.putcmd(f"BDAT {len(message)} LAST")
        smtp.send(message)
        code, text = smtp.getreply()
        assert code == 250, text


def test_a_message_waits_for_its_moment(server: Postillon):
    alice, bob = server.account("alice@example.test"), server.account("bob@example.test")
    began = time.time()
    send(alice, bob.address, ["HOLDFOR=3"], b"Subject: later\r\n\r\nx\r\n")
    assert not any(b"Subject: later" in message for message in bob.messages())
    assert len(server.ask("queue.list")) == 1
    bob.wait_for(b"Subject: later")
    assert time.time() - began >= 2


def test_what_is_not_in_time_comes_back(server: Postillon):
    alice = server.account("alice@example.test")
    send(alice, "far@elsewhere.test", ["BY=3;R"], b"Subject: in time\r\n\r\nx\r\n")
    report = alice.wait_for(b"Subject: in time", seconds=40)
    assert b"Status: 5.4.7" in report or b"Status: 4.4.7" in report
    wait_until(lambda: server.ask("queue.list") == [], 10, "an empty queue")


def test_binary_mail_is_readable_text_in_the_mailbox(server: Postillon):
    alice, bob = server.account("alice@example.test"), server.account("bob@example.test")
    head = b"Subject: picture\r\nMIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    send(alice, bob.address, ["BODY=BINARYMIME"], head + b"\x89PNG\r\n\x1a\n\0\0")
    message = bob.wait_for(b"Subject: picture")
    assert b"Content-Transfer-Encoding: base64\r\n" in message and b"\0" not in message and b"iVBORw0KGgoAAA==" in message


def test_strangers_are_offered_none_of_it(server: Postillon):
    with server.smtp() as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("futurerelease") and not smtp.has_extn("binarymime")
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp.sendmail("a@elsewhere.test", ["bob@example.test"], b"Subject: x\r\n\r\nx\r\n", ["HOLDFOR=9"])
