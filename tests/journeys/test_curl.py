"""curl over all six protocols and both kinds of TLS, always with our authority and never with a certificate unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon, mail
from .conftest import NewAccount

pytestmark = pytest.mark.real

# curl's exit codes.
SEND_FAILED, LOGIN_DENIED, BAD_CERTIFICATE, REFUSED = 55, 67, 60, 56


def curl(office: Postillon, service: str, path: str, *options: str, status: int = 0) -> bytes:
    """*service* without the final s means STARTTLS, which must succeed."""
    scheme = {"smtp": "smtp", "submission": "smtp", "submissions": "smtps"}.get(service, service)
    url = f"{scheme}://localhost:{office.port(service)}/{path}"
    tls = [] if scheme.endswith("s") else ["--ssl-reqd"]
    return client("curl", "-sS", "-4", "--cacert", office.ca, *tls, *options, url, status=status).stdout


def login(account: Account, mechanism: str = "") -> list[str]:
    return ["-u", f"{account.address}:{account.password}", *(["--login-options", f"AUTH={mechanism}"] if mechanism else [])]


def letter(tmp_path: Path, text: bytes) -> list[str]:
    path = tmp_path / "letter.eml"
    path.write_bytes(text)
    return ["-T", str(path)]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_smtp_with_a_login(office: Postillon, alice: Account, bob: Account, tmp_path: Path, service: str, mechanism: str):
    text = mail(alice.address, [bob.address], "by curl", ".\n..\nlast\n")
    envelope = ["--mail-from", alice.address, "--mail-rcpt", bob.address]
    curl(office, service, "client.test", *login(alice, mechanism), *envelope, *letter(tmp_path, text))
    assert bob.messages()[0].endswith(b"\r\n\r\n.\r\n..\r\nlast\r\n")


def test_smtp_to_the_mx_with_starttls(office: Postillon, new_account: NewAccount, tmp_path: Path):
    accounts = [new_account() for _ in range(3)]
    recipients = [word for account in accounts for word in ("--mail-rcpt", account.address)]
    text = mail("s@elsewhere.test", [accounts[0].address], "to three")
    curl(office, "smtp", "client.test", "--mail-from", "s@elsewhere.test", *recipients, *letter(tmp_path, text))
    assert all(b"Subject: to three" in account.messages()[0] for account in accounts)


def test_an_international_recipient(office: Postillon, tmp_path: Path):
    office.ask("domain.add", name="bücher.test")
    greta = office.add_account("größe@bücher.test")
    text = "From: <s@elsewhere.test>\r\nTo: größe@bücher.test\r\nSubject: Füße\r\n\r\nGrüße\r\n".encode()
    curl(office, "smtp", "client.test", "--mail-from", "s@elsewhere.test", "--mail-rcpt", greta.address, *letter(tmp_path, text))
    with office.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("s@elsewhere.test", ["SMTPUTF8"])
        # The same address in capitals, in the other normal form, and with the domain's other spelling.
        assert smtp.rcpt("GRO\u0308ßE@xn--bcher-kva.test") == (250, b"2.1.5 Recipient ok")
        smtp.rset()
        smtp.mail("s@elsewhere.test")
        smtp.command_encoding = "utf-8"
        assert smtp.rcpt("größe@bücher.test")[0] == 553  # SMTPUTF8 was not announced
    found = curl(office, "imaps", "INBOX;UID=1", "-u", f"{greta.address}:{greta.password}")
    assert found.endswith(text.partition(b"\r\n\r\n")[2])
    assert "Subject: Füße\r\n".encode() in found


def test_a_message_too_large_is_refused_before_it_is_sent(office: Postillon, bob: Account, tmp_path: Path):
    huge = tmp_path / "huge"
    huge.touch()
    with huge.open("r+b") as file:
        file.truncate(51 << 20)
    envelope = ["--mail-from", "s@elsewhere.test", "--mail-rcpt", bob.address, "-T", str(huge), "-v"]
    ended = client(
        "curl", "-sS", "-4", *envelope, f"smtp://localhost:{office.port('smtp')}/client.test", status=SEND_FAILED
    ).stderr
    assert b"< 552 5.3.4" in ended
    assert b"DATA" not in ended


def test_nothing_is_told_about_who_exists(office: Postillon, bob: Account):
    for name in (bob.address, "nobody@example.test"):
        said = curl(office, "smtp", "client.test", "--mail-rcpt", name)
        assert said.startswith(b"252 2.0.0")


@pytest.mark.parametrize("service", ["imap", "imaps"])
@pytest.mark.parametrize("mechanism", ["", "PLAIN", "LOGIN"])
def test_imap_lists_appends_searches_and_fetches(office: Postillon, bob: Account, tmp_path: Path, service: str, mechanism: str):
    as_bob = login(bob, mechanism)
    listed = curl(office, service, "", *as_bob)
    names = {b"INBOX", b"Drafts", b"Sent", b"Archive", b"Junk", b"Trash"}
    assert {line.split()[-1].strip(b'"') for line in listed.splitlines()} == names
    text = mail("s@elsewhere.test", [bob.address], "appended by curl", "some text\n")
    curl(office, service, "Archive", *as_bob, *letter(tmp_path, text))
    assert curl(office, service, "Archive;UID=1", *as_bob) == text
    assert curl(office, service, "Archive;UID=1;SECTION=TEXT", *as_bob) == b"some text\r\n"
    assert curl(office, service, "Archive?SUBJECT%20curl", *as_bob) == b"* SEARCH 1\r\n"
    assert curl(office, service, "Archive?SUBJECT%20other", *as_bob).strip() == b"* SEARCH"
    assert b"EXISTS" in curl(office, service, "", *as_bob, "-X", "EXAMINE Archive")
    assert b"\\Deleted" in curl(office, service, "Archive", *as_bob, "-X", "STORE 1 +FLAGS (\\Deleted)")
    assert curl(office, service, "Archive", *as_bob, "-X", "EXPUNGE").startswith(b"* 1 EXPUNGE")


@pytest.mark.parametrize("service", ["pop3", "pop3s"])
def test_pop3_lists_retrieves_and_deletes(office: Postillon, bob: Account, service: str):
    texts = [mail("s@elsewhere.test", [bob.address], f"number {n}", f"text {n}\n.\n") for n in (1, 2)]
    bob.append(*texts)
    assert curl(office, service, "", *login(bob)).split() == [b"1", b"%d" % len(texts[0]), b"2", b"%d" % len(texts[1])]
    assert curl(office, service, "2", *login(bob)) == texts[1]
    curl(office, service, "1", *login(bob), "-X", "DELE", "-l")
    assert bob.messages() == [texts[1]]


@pytest.mark.parametrize("service", ["submissions", "submission", "imaps", "imap", "pop3s", "pop3"])
def test_a_wrong_password_is_a_login_denied(office: Postillon, bob: Account, service: str):
    envelope = ["--mail-rcpt", "x@example.test"] if service.startswith("sub") else []
    curl(office, service, "", "-u", f"{bob.address}:wrong", *envelope, status=LOGIN_DENIED)


@pytest.mark.parametrize("service", ["submissions", "imaps", "pop3s"])
def test_who_does_not_know_our_authority_does_not_talk_to_us(office: Postillon, bob: Account, service: str):
    scheme = "smtps" if service == "submissions" else service
    url = f"{scheme}://localhost:{office.port(service)}/"
    client("curl", "-sS", "-4", "-u", f"{bob.address}:{bob.password}", url, status=BAD_CERTIFICATE)
