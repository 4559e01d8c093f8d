"""mbsync keeps a Maildir and our mailboxes the same, in both directions. It takes names of mailboxes as they are, in UTF-7."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon, mail

pytestmark = pytest.mark.real

TUID = rb"X-TUID: .*\n"
FLAGS = {"S": b"\\Seen", "R": b"\\Answered", "F": b"\\Flagged", "D": b"\\Draft"}
SETS = ["", "S", "RS", "FS", "F", "DS", "FRS", "DF"]
"""Flags of the messages, one after the other, as a Maildir writes them."""


@dataclass
class Maildir:
    """The near side."""

    root: Path
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, folder: str, *messages: tuple[bytes, str]) -> None:
        box = self.root / folder
        for part in ("cur", "new", "tmp"):
            (box / part).mkdir(parents=True, exist_ok=True)
        for octets, flags in messages:
            number = next(self._numbers)
            (box / "cur" / f"{1_600_000_000 + number}.{number}.near:2,{flags}").write_bytes(octets.replace(b"\r\n", b"\n"))

    def files(self) -> dict[str, int]:
        """All message files with their times."""
        found = [path for path in self.root.rglob("*") if path.parent.name in ("cur", "new")]
        return {str(path.relative_to(self.root)): path.stat().st_mtime_ns for path in found}

    def folders(self) -> set[str]:
        return {str(path.parent.relative_to(self.root)) for path in self.root.rglob("cur")}

    def content(self, folder: str) -> dict[str, tuple[str, bytes]]:
        """Subject -> (flags, octets) of the messages there."""
        found = {}
        for part in ("cur", "new"):
            for path in (self.root / folder / part).iterdir():
                octets = path.read_bytes()
                found[subject(octets)] = (path.name.partition(":2,")[2], octets)
        return found

    def path(self, folder: str, wanted: str) -> Path:
        parts = [*(self.root / folder / "cur").iterdir(), *(self.root / folder / "new").iterdir()]
        return next(path for path in parts if subject(path.read_bytes()) == wanted)

    def set_flags(self, folder: str, wanted: str, flags: str) -> None:
        path = self.path(folder, wanted)
        path.rename(self.root / folder / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")


def subject(octets: bytes) -> str:
    found = re.search(rb"(?m)^Subject: (.*?)\r?$", octets)
    assert found
    return found[1].decode()


def far_content(account: Account, folder: str) -> dict[str, tuple[str, bytes]]:
    """Subject -> (flags as a Maildir writes them, octets with LF)."""
    found = {}
    with account.imap() as imap:
        imap.select(folder, readonly=True)
        _, parts = imap.fetch("1:*", "(FLAGS BODY.PEEK[])")
    for part in parts:
        if isinstance(part, tuple):
            letters = "".join(sorted(letter for letter, flag in FLAGS.items() if flag in part[0]))
            octets = part[1].replace(b"\r\n", b"\n")
            found[subject(octets)] = (letters, octets)
    return found


def far_state(account: Account) -> list[bytes]:
    """Everything that would move if anything were changed."""
    with account.imap() as imap:
        names = [line.split(b' "/" ')[1] for line in imap.list()[1]]
        states = [imap.status(name.decode(), "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")[1][0] for name in names]
    return sorted(states)


def configure(office: Postillon, account: Account, place: Path, tls: str) -> Path:
    service = "imaps" if tls == "IMAPS" else "imap"
    config = place / "mbsyncrc"
    config.write_text(
        f"""\
IMAPStore far
Host localhost
Port {office.port(service)}
User {account.address}
Pass "{account.password}"
SSLType {tls}
SystemCertificates no
CertificateFile {office.ca}

MaildirStore near
Path {place}/mail/
Inbox {place}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState {place}/state/
CopyArrivalDate yes
"""
    )
    (place / "mail").mkdir()
    (place / "state").mkdir()
    return config


@pytest.mark.parametrize("tls", ["IMAPS", "STARTTLS"])
def test_three_hundred_messages_both_ways(office: Postillon, bob: Account, tmp_path: Path, tls: str):
    config = configure(office, bob, tmp_path, tls)
    near = Maildir(tmp_path / "mail")

    def sync() -> str:
        return client("mbsync", "-c", str(config), "-a", home=tmp_path, seconds=100).stderr.decode()

    def same(folder: str, imap_name: str = "") -> dict[str, tuple[str, bytes]]:
        """The messages, which are the same on both sides; those that mbsync carries over get an X-TUID field from it."""
        far = far_content(bob, imap_name or folder)
        here = near.content(folder)
        assert {name: flags for name, (flags, _) in far.items()} == {name: flags for name, (flags, _) in here.items()}
        for name, (_, octets) in far.items():
            assert re.sub(TUID, b"", octets) == re.sub(TUID, b"", here[name][1])
        return far

    # 300 there, 300 here, and a folder on each side that the other does not know.
    with bob.imap() as imap:
        for number in range(300):
            flags = " ".join(FLAGS[letter].decode() for letter in SETS[number % len(SETS)])
            imap.append("INBOX", f"({flags})", "", mail("s@else.test", [bob.address], f"far {number}", f"Text {number}\n" * 20))
        for name in ("Gr&APYA3w-e", "Projekte/2024", "&ZeVnLA-"):
            imap.create(name)
            imap.append(name, "", "", mail("s@else.test", [bob.address], f"in {name}", "ünïcode\n"))
    near.add("Archive", *((mail("me@here.test", ["x@y.test"], f"near {n}", f"Line {n}\n" * 9), SETS[n % 8]) for n in range(300)))
    near.add("Entw&APw-rfe &- Ideen/sp&AOQ-ter", (mail("me@here.test", ["x@y.test"], "an idea"), "S"))
    sync()
    assert len(same("INBOX")) == 300
    assert len(same("Archive")) == 300
    assert near.folders() >= {"Gr&APYA3w-e", "Projekte/2024", "&ZeVnLA-", "Sent", "Drafts", "Junk", "Trash"}
    assert list(same("Entw&APw-rfe &- Ideen/sp&AOQ-ter", '"Entw&APw-rfe &- Ideen/sp&AOQ-ter"')) == ["an idea"]
    assert list(same("&ZeVnLA-")) == ["in &ZeVnLA-"]

    # A second run has nothing to do.
    files, state = near.files(), far_state(bob)
    sync()
    assert (near.files(), far_state(bob)) == (files, state)

    # Flags, deletions, new messages and folders on both sides.
    with bob.imap("INBOX") as imap:
        imap.store("1:10", "+FLAGS", "(\\Flagged \\Answered)")
        imap.store("11:20", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.select("Archive")
        imap.store("1:300", "-FLAGS", "(\\Seen)")
        imap.append("INBOX", "", "", mail("s@else.test", [bob.address], "far and new"))
        imap.create("Neu/Ordner")
    for number in range(100, 110):
        near.set_flags("INBOX", f"far {number}", "FS")
    for number in range(200, 210):
        near.path("INBOX", f"far {number}").unlink()
    near.add("INBOX", (mail("me@here.test", ["x@y.test"], "near and new"), "S"))
    sync()
    inbox = same("INBOX")
    assert len(inbox) == 300 - 20 + 2
    assert {inbox[f"far {n}"][0] for n in range(10)} <= {"FR", "FRS", "DFR", "DFRS"}
    assert {inbox[f"far {n}"][0] for n in range(100, 110)} == {"FS"}
    assert not {f"far {n}" for n in (*range(10, 20), *range(200, 210))} & set(inbox)
    assert {flags for flags, _ in same("Archive").values()} == {"", "R", "F", "D", "FR", "DF"}
    assert "Neu/Ordner" in near.folders()

    files, state = near.files(), far_state(bob)
    sync()
    assert (near.files(), far_state(bob)) == (files, state)
