"""offlineimap3 keeps a Maildir and our mailboxes the same, in both directions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon, mail
from .test_mbsync import far_content

pytestmark = pytest.mark.real


def configure(office: Postillon, account: Account, place: Path) -> Path:
    config = place / "offlineimaprc"
    config.write_text(
        f"""\
[general]
accounts = all
metadata = {place}/state
ui = basic

[Account all]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {place}/mail
utf8foldernames = yes

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {office.port("imaps")}
remoteuser = {account.address}
remotepass = {account.password}
ssl = yes
sslcacertfile = {office.ca}
auth_mechanisms = PLAIN
"""
    )
    (place / "mail").mkdir()
    return config


def near(place: Path, folder: str) -> dict[str, str]:
    """Subject -> flags."""
    found = {}
    for part in ("cur", "new"):
        for path in (place / "mail" / folder / part).iterdir():
            line = next(line for line in path.read_bytes().splitlines() if line.lower().startswith(b"subject:"))
            found[line.partition(b":")[2].strip().decode()] = path.name.partition(":2,")[2]
    return found


def far(account: Account, folder: str) -> dict[str, str]:
    return {name: flags for name, (flags, _) in far_content(account, folder).items()}


def put(place: Path, folder: str, octets: bytes, name: str) -> None:
    (place / "mail" / folder / "cur" / name).write_bytes(octets.replace(b"\r\n", b"\n"))


def test_both_sides_become_the_same_and_stay_so(office: Postillon, bob: Account, tmp_path: Path):
    config = configure(office, bob, tmp_path)

    def sync() -> str:
        return client("offlineimap", "-c", str(config), "-o", home=tmp_path, seconds=100).stderr.decode()

    with bob.imap() as imap:
        for number in range(60):
            flags = "\\Seen" if number % 2 else ""
            imap.append("INBOX", f"({flags})", "", mail("s@else.test", [bob.address], f"far {number}", f"Text {number}\n" * 20))
        imap.create("Projekte/2024")
        imap.append("Projekte/2024", "", "", mail("s@else.test", [bob.address], "a plan"))
    sync()
    here = near(tmp_path, "INBOX")
    assert len(here) == 60 and here == far(bob, "INBOX")
    assert list(near(tmp_path, "Projekte.2024")) == ["a plan"]

    # Here: two new ones, one deleted, one flagged. There: one new, one deleted, one read.
    for number in range(2):
        put(tmp_path, "INBOX", mail("me@here.test", [bob.address], f"near {number}"), f"170000000{number}.{number}.here:2,S")
    for path in [*(tmp_path / "mail/INBOX/cur").iterdir(), *(tmp_path / "mail/INBOX/new").iterdir()]:
        text = path.read_bytes()
        if b"Subject: far 7\n" in text:
            path.unlink()
        elif b"Subject: far 8\n" in text:
            os.rename(path, tmp_path / "mail/INBOX/cur" / f"{path.name.partition(':')[0]}:2,FS")
    with bob.imap("INBOX") as imap:
        imap.store("1", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.store("2", "+FLAGS", "(\\Seen \\Answered)")
        imap.append("INBOX", "", "", mail("s@else.test", [bob.address], "far and new"))
    sync()
    here, there = near(tmp_path, "INBOX"), far(bob, "INBOX")
    assert here == there
    assert len(here) == 60 + 2 + 1 - 2
    assert here["far 8"] == "FS" and here["near 0"] == "S" and set(here["far 2"]) >= {"R", "S"}
    assert not {"far 0", "far 7"} & set(here)

    before = far_content(bob, "INBOX")
    sync()
    assert far_content(bob, "INBOX") == before and near(tmp_path, "INBOX") == here
