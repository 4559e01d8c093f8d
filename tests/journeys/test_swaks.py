"""swaks, the tester of SMTP servers, to the MX and to the submission ports."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon
from .conftest import NewAccount

pytestmark = pytest.mark.real

# swaks' exit codes: which step was refused.
NO_MAIL, NO_RCPT, NO_DATA, NO_AUTH, NO_TLS = 23, 24, 26, 28, 29
STRANGER = "stranger@elsewhere.test"


def swaks(office: Postillon, service: str, recipient: str, *options: str, status: int = 0) -> str:
    """What it printed: lines of ours begin with `<-`, or `<~` under TLS, refusals with `<**` or `<~*`."""
    words = ["swaks", "--server", f"{office.host}:{office.port(service)}", "--helo", "client.test", "--to", recipient, *options]
    if "--from" not in options:
        words += ["--from", STRANGER]
    return client(*words, status=status).stdout.decode("utf-8", "replace")


def as_account(account: Account, mechanism: str = "PLAIN") -> list[str]:
    login = ["--auth", mechanism, "--auth-user", account.address, "--auth-password", account.password]
    return ["--from", account.address, *login]


def verified(office: Postillon) -> list[str]:
    return ["--tls-verify", "--tls-ca-path", office.ca]


def test_a_message_reaches_its_recipient_with_its_trace(office: Postillon, bob: Account):
    said = swaks(office, "smtp", bob.address, "--header", "Subject: plain delivery", "--body", "first line\\n.\\nlast line")
    assert "<-  250 2.0.0" in said
    (message,) = bob.messages()
    header, _, body = message.partition(b"\r\n\r\n")
    assert header.startswith(f"Return-Path: <{STRANGER}>\r\nReceived: from client.test ".encode())
    assert f"for <{bob.address}>".encode() in header
    assert b"\r\nSubject: plain delivery\r\n" in header
    assert body.startswith(b"first line\r\n.\r\nlast line\r\n")


def test_the_mx_offers_what_it_serves(office: Postillon):
    said = swaks(office, "smtp", "postmaster@example.test", "--quit-after", "EHLO")
    offered = {line.split("250")[1][1:].split()[0] for line in said.splitlines() if line.startswith("<-  250")}
    assert {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "STARTTLS"} <= offered
    assert "AUTH" not in offered


def test_pipelined_commands_are_answered_together(office: Postillon, bob: Account):
    swaks(office, "smtp", f"{bob.address},{bob.local}+tag@example.test", "--pipeline", "--body", "in one go")
    (message,) = bob.messages()  # both addresses are one account: one copy
    assert b"in one go" in message


def test_mail_comes_over_starttls(office: Postillon, bob: Account):
    said = swaks(office, "smtp", bob.address, "--tls", *verified(office))
    assert "=== TLS started with cipher TLSv1.3" in said
    assert b"with ESMTPS" in bob.messages()[0]


@pytest.mark.parametrize("version", ["tlsv1", "tlsv1_1"])
def test_old_tls_is_refused_and_the_server_lives(office: Postillon, version: str):
    swaks(office, "smtp", "postmaster@example.test", "--tls", "--tls-protocol", version, status=NO_TLS)
    swaks(office, "smtp", "postmaster@example.test", "--quit-after", "RCPT")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("service", "option"), [("submission", "--tls"), ("submissions", "--tlsc")])
def test_submission_with_tls_and_a_password(
    office: Postillon, alice: Account, bob: Account, service: str, option: str, mechanism: str
):
    said = swaks(office, service, bob.address, option, *verified(office), *as_account(alice, mechanism), "--body", service)
    assert "<~  235 2.7.0" in said
    (message,) = bob.messages()
    assert b"with ESMTPSA" in message
    assert service.encode() in message


def test_a_wrong_password_is_not_let_in(office: Postillon, alice: Account, bob: Account):
    wrong = ["--auth", "PLAIN", "--auth-user", alice.address, "--auth-password", "wrong"]
    said = swaks(office, "submissions", bob.address, "--tlsc", "--from", alice.address, *wrong, status=NO_AUTH)
    assert "<~* 535 5.7.8" in said
    nobody = ["--auth", "LOGIN", "--auth-user", "nobody@example.test", "--auth-password", "wrong"]
    assert "<~* 535 5.7.8" in swaks(office, "submissions", bob.address, "--tlsc", *nobody, status=NO_AUTH)
    assert bob.messages() == []


def test_there_is_no_auth_at_the_mx(office: Postillon, alice: Account, bob: Account):
    for option in ([], ["--tls"]):
        said = swaks(office, "smtp", bob.address, *option, *as_account(alice), status=NO_AUTH)
        assert "AUTH" not in said  # neither offered nor tried


def test_submission_without_a_login_is_refused(office: Postillon, alice: Account, bob: Account):
    said = swaks(office, "submission", bob.address, "--tls", "--from", alice.address, status=NO_MAIL)
    assert "<~* 530 5.7.0" in said


def test_nobody_sends_as_somebody_else(office: Postillon, alice: Account, bob: Account):
    forged = swaks(office, "submissions", bob.address, "--tlsc", *as_account(alice), "--from", bob.address, status=NO_MAIL)
    assert "<~* 550 5.7.1" in forged
    header = ["--header", f"From: {bob.address}"]
    assert "<~* 550 5.7.1" in swaks(office, "submissions", bob.address, "--tlsc", *as_account(alice), *header, status=NO_DATA)
    assert bob.messages() == []


def test_bcc_is_for_the_envelope_only(office: Postillon, new_account: NewAccount):
    alice, bob, carol = (new_account() for _ in range(3))
    copies = ["--header", f"To: {bob.address}", "--header", f"Bcc: {carol.address}"]
    swaks(office, "submissions", f"{bob.address},{carol.address}", "--tlsc", *as_account(alice), *copies)
    for account in (bob, carol):
        (message,) = account.messages()
        assert b"Bcc" not in message
        assert carol.address.encode() not in message


def test_date_and_message_id_are_added_to_a_submission(office: Postillon, alice: Account, bob: Account, tmp_path: Path):
    bare = tmp_path / "bare.eml"
    bare.write_text(f"From: {alice.address}\nTo: {bob.address}\nSubject: bare\n\nHello\n")
    swaks(office, "submissions", bob.address, "--tlsc", *as_account(alice), "--data", f"@{bare}")
    header = bob.messages()[0].partition(b"\r\n\r\n")[0]
    assert header.count(b"\r\nDate: ") == 1
    assert header.count(b"\r\nMessage-ID: <") == 1


def test_eight_bit_text_arrives_as_it_was(office: Postillon, bob: Account, tmp_path: Path):
    letter = tmp_path / "letter.eml"
    text = "Subject: 8bit\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße aus Köln, 日本\n"
    letter.write_text(text)
    swaks(office, "smtp", bob.address, "--data", f"@{letter}")  # without BODY=8BITMIME: swaks does not know it
    assert "Grüße aus Köln, 日本\r\n".encode() in bob.messages()[0]


def test_an_unknown_recipient_is_refused_and_the_known_ones_get_it(office: Postillon, bob: Account):
    said = swaks(office, "smtp", "nobody@example.test", status=NO_RCPT)
    assert "<** 550 5.1.1" in said
    said = swaks(office, "smtp", f"nobody@example.test,{bob.address}")
    assert "<** 550 5.1.1" in said
    assert len(bob.messages()) == 1


def test_relaying_is_denied(office: Postillon, alice: Account):
    for victim in ("victim@elsewhere.test", "victim%elsewhere.test@example.test", '"victim@elsewhere.test"@example.test'):
        said = swaks(office, "smtp", victim, status=NO_RCPT)
        assert "<** 550 5." in said
    # The sender's address is no key: anybody can write it.
    assert "<** 550 5.7.1" in swaks(office, "smtp", "victim@elsewhere.test", "--from", alice.address, status=NO_RCPT)


def test_many_recipients_in_one_message(office: Postillon, new_account: NewAccount):
    accounts = [new_account() for _ in range(12)]
    every = ",".join(account.address for account in accounts)
    swaks(office, "smtp", every, "--pipeline", "--header", "Subject: to all of you")
    for account in accounts:
        (message,) = account.messages()
        assert b"Subject: to all of you" in message
        assert b"for <" not in message  # who else got it is nobody's business


def test_null_sender_and_postmaster(office: Postillon, bob: Account):
    swaks(office, "smtp", bob.address, "--from", "<>", "--body", "a report")
    assert bob.messages()[0].startswith(b"Return-Path: <>\r\n")
    swaks(office, "smtp", "postmaster", "--body", "to the bare postmaster")
    first = office.account("alice@example.test")
    first.wait_for(b"to the bare postmaster", seconds=5)
    swaks(office, "smtp", "ABUSE@Example.TEST", "--body", "to abuse")
    first.wait_for(b"to abuse", seconds=5)


def test_an_attachment_of_some_megabytes(office: Postillon, bob: Account, tmp_path: Path):
    attachment = tmp_path / "noise.bin"
    attachment.write_bytes(bytes(range(256)) * 12_000)
    swaks(office, "smtp", bob.address, "--attach", f"@{attachment}", "--tls")
    (message,) = bob.messages()
    assert 4_000_000 < len(message) < 4_500_000
