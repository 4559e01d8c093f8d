"""fetchmail and getmail6 over POP3S and IMAPS."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon, mail

pytestmark = pytest.mark.real

NO_MAIL = 1
"""fetchmail's exit code."""
WRONG_PASSWORD = 3


def letters(account: Account, count: int) -> list[bytes]:
    return [mail("s@elsewhere.test", [account.address], f"number {n}", f"Text {n}\n.\n..two\n" * n) for n in range(1, count + 1)]


def body(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


# --- fetchmail ----------------------------------------------------------------------------------------------------------


class Fetchmail:
    """What it fetches goes to the file `box`, each message between two lines that no message has."""

    def __init__(self, office: Postillon, account: Account, place: Path, protocol: str, *options: str, folder: str = "") -> None:
        self.place = place
        self.box = place / "box"
        self.config = place / "fetchmailrc"
        port = office.port("imaps" if protocol == "IMAP" else "pop3s")
        where = f'folder "{folder}"' if folder else ""
        self.config.write_text(
            f'poll localhost protocol {protocol} port {port} user "{account.address}" password "{account.password}"\n'
            f'  {where} ssl sslcertck sslcertfile "{office.ca}" {" ".join(options)}\n'
            f'  mda "cat >> {self.box}; echo ==END== >> {self.box}"\n'
        )
        self.config.chmod(0o600)

    def run(self, status: int = 0) -> str:
        files = ("-f", str(self.config), "-i", str(self.place / "ids"), "--pidfile", str(self.place / "pid"))
        words = ("fetchmail", *files, "--nodetach", "--nosyslog", "-v", "-t", "30")
        return client(*words, home=self.place, status=status).stdout.decode()

    def fetched(self) -> list[bytes]:
        return self.box.read_bytes().split(b"==END==\n")[:-1] if self.box.exists() else []


@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_fetchmail_takes_everything_and_leaves_nothing(office: Postillon, bob: Account, tmp_path: Path, protocol: str):
    wanted = letters(bob, 25)
    bob.append(*wanted)
    fetchmail = Fetchmail(office, bob, tmp_path, protocol, "no keep")
    fetchmail.run()
    assert [body(octets) for octets in fetchmail.fetched()] == [body(octets) for octets in wanted]
    assert bob.messages() == []
    fetchmail.run(NO_MAIL)


@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_fetchmail_keeps_and_fetches_only_what_is_new(office: Postillon, bob: Account, tmp_path: Path, protocol: str):
    first = letters(bob, 4)
    bob.append(*first[:3])
    fetchmail = Fetchmail(office, bob, tmp_path, protocol, "keep")
    if protocol == "POP3":
        fetchmail.config.write_text(fetchmail.config.read_text().replace("protocol POP3", "protocol POP3 uidl"))
    fetchmail.run()
    fetchmail.run(NO_MAIL)
    bob.append(first[3])
    fetchmail.run()
    assert [body(octets) for octets in fetchmail.fetched()] == [body(octets) for octets in first]
    assert bob.messages() == first
    with bob.imap("INBOX") as imap:
        seen = imap.search(None, "SEEN")[1][0].split()
    # Whoever fetches by IMAP has read it; POP3 knows no such thing.
    assert len(seen) == (4 if protocol == "IMAP" else 0)


def test_fetchmail_takes_another_folder(office: Postillon, bob: Account, tmp_path: Path):
    bob.append(*letters(bob, 2), folder="Archive")
    fetchmail = Fetchmail(office, bob, tmp_path, "IMAP", "no keep", folder="Archive")
    fetchmail.run()
    assert len(fetchmail.fetched()) == 2
    assert bob.messages("Archive") == []


@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_fetchmail_with_a_wrong_password_says_so(office: Postillon, bob: Account, tmp_path: Path, protocol: str):
    fetchmail = Fetchmail(office, Account(office, bob.address, "wrong"), tmp_path, protocol)
    said = fetchmail.run(WRONG_PASSWORD)
    assert ("-ERR [AUTH]" if protocol == "POP3" else "NO [AUTHENTICATIONFAILED]") in said


# --- getmail ------------------------------------------------------------------------------------------------------------


class Getmail:
    def __init__(self, office: Postillon, account: Account, place: Path, protocol: str, *options: str) -> None:
        self.place = place
        (place / "fetched").mkdir()
        port = office.port("imaps" if protocol == "IMAP" else "pop3s")
        (place / "getmailrc").write_text(
            f"[retriever]\ntype = Simple{protocol}SSLRetriever\nserver = localhost\nport = {port}\n"
            f"username = {account.address}\npassword = {account.password}\nca_certs = {office.ca}\n"
            # As root, getmail delivers by a command only.
            "[destination]\ntype = MDA_external\npath = /bin/sh\n"
            f'arguments = ("-c", "cat > $(mktemp {place}/fetched/XXXXXX)")\nallow_root_commands = true\n'
            "[options]\nverbose = 2\n" + "\n".join(options) + "\n"
        )

    def run(self) -> str:
        return client("getmail", "--getmaildir", str(self.place), home=self.place).stdout.decode()

    def fetched(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.place / "fetched").iterdir()]


@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_getmail_fetches_each_message_once(office: Postillon, bob: Account, tmp_path: Path, protocol: str):
    wanted = letters(bob, 12)
    bob.append(*wanted[:11])
    getmail = Getmail(office, bob, tmp_path, protocol, "read_all = false", "delete = false")
    assert "11 messages" in getmail.run()
    bob.append(wanted[11])
    getmail.run()
    getmail.run()
    assert sorted(body(octets) for octets in getmail.fetched()) == sorted(body(octets) for octets in wanted)
    assert bob.messages() == wanted


@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_getmail_deletes_what_it_has(office: Postillon, bob: Account, tmp_path: Path, protocol: str):
    bob.append(*letters(bob, 5))
    getmail = Getmail(office, bob, tmp_path, protocol, "read_all = true", "delete = true")
    getmail.run()
    assert len(getmail.fetched()) == 5
    assert bob.messages() == []
