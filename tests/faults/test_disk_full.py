"""A disk that fills up: refusals in time, nothing acknowledged is lost, and deleting always works."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .disks import fill, free, small_disk
from .server import Server
from .wire import Imap, Pop3, Smtp

pytestmark = [pytest.mark.real]

ALICE = "alice@example.test"
STRANGER = "127.0.1.5"
"""An address that limits apply to, so that logging in writes to the disk."""


@pytest.fixture(params=["ext4", "tmpfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with small_disk(request.param, tmp_path, 256) as directory:
        fill(directory / "others", leave=40 << 20)
        yield directory


@pytest.fixture
def server(disk: Path) -> Iterator[Server]:
    with Server(disk / "data", accounts={ALICE: "a-password"}, log=disk.parent / "log") as running:
        yield running
        assert not running.bugs(), running.bugs()[0]


def message(number: int, size: int) -> bytes:
    body = hashlib.shake_128(b"%d" % number).hexdigest(size // 2)
    lines = "\r\n".join(body[at : at + 76] for at in range(0, len(body), 76))
    return f"From: a@b.test\r\nTo: {ALICE}\r\nSubject: number {number}\r\n\r\n{lines}\r\n".encode()


def fill_with_mail(server: Server, first: int) -> tuple[list[int], str]:
    """Send messages of both kinds (in the database, in files) until one is refused: the numbers acknowledged, the refusal."""
    taken: list[int] = []
    with Smtp(server) as smtp:
        for number in range(first, first + 2000):
            code, text = smtp.deliver("a@b.test", ALICE, message(number, 300_000 if number % 4 == 0 else 30_000))
            if code != 250:
                assert (code, text[:5]) == (452, "4.3.1"), (code, text)
                return taken, text
            taken.append(number)
    raise AssertionError("the disk takes everything")


def stored(server: Server) -> dict[int, bytes]:
    """All messages of the inbox, by number."""
    found = {}
    with Imap(server, login=ALICE) as imap:
        imap.ask("EXAMINE INBOX")
        _, told = imap.ask("UID SEARCH ALL")
        for uid in told[0].split()[2:]:
            _, fetched = imap.ask(b"UID FETCH %s (BODY.PEEK[])" % uid)
            octets = fetched[0].partition(b"}\r\n")[2]
            octets = octets[octets.index(b"From:") : octets.rindex(b"\r\n") + 2]
            number = int(octets.partition(b"Subject: number ")[2].split(b"\r\n")[0])
            assert number not in found, "there twice"
            found[number] = octets
    return found


def expunge_all(server: Server) -> None:
    with Imap(server, login=ALICE, source=STRANGER) as imap:
        assert imap.ask("SELECT INBOX")[0].startswith(b"OK")
        assert imap.ask(r"STORE 1:* +FLAGS.SILENT (\Deleted)")[0].startswith(b"OK")
        assert imap.ask("EXPUNGE")[0].startswith(b"OK")
        _, told = imap.ask("STATUS INBOX (MESSAGES)")
        assert b"MESSAGES 0" in told[0]


def test_mail_is_refused_in_time_and_taken_again_after_an_expunge(server: Server, disk: Path):
    reserve = disk / "data" / "reserve"
    assert reserve.stat().st_blocks > 0
    for turn in range(3):
        taken, _ = fill_with_mail(server, turn * 10_000)
        deadline = time.monotonic() + 20
        while len(taken) < 100:  # the janitor gives back step by step what the turn before removed
            assert time.monotonic() < deadline, f"room for {len(taken)} messages is all that came back"
            time.sleep(0.2)
            taken += fill_with_mail(server, taken[-1] + 1 if taken else turn * 10_000)[0]
        assert free(disk) > 1 << 20, "refused, but too late"
        assert reserve.stat().st_size > 0, "the reserve is not for new mail"
        found = stored(server)
        assert sorted(found) == taken
        assert all(message(number, 300_000 if number % 4 == 0 else 30_000) in found[number] for number in taken)
        expunge_all(server)


def wait_until_taken(server: Server, limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        with Smtp(server) as smtp:
            code, text = smtp.deliver("a@b.test", ALICE, message(int(time.monotonic() * 1000), 30_000))
        if code == 250:
            return
        assert code == 452, (code, text)
        assert time.monotonic() < deadline, "the janitor gives nothing back"
        time.sleep(0.2)


def test_on_a_disk_that_others_filled_mail_is_refused_and_can_be_read_and_deleted(server: Server, disk: Path):
    with Smtp(server) as smtp:
        for number in range(12):
            assert smtp.deliver("a@b.test", ALICE, message(number, 300_000 if number % 4 == 0 else 5_000))[0] == 250
    before = stored(server)
    fill(disk / "filler")
    time.sleep(1.1)  # the file system is asked once a second

    with Smtp(server) as smtp:
        assert smtp.ask("MAIL FROM:<a@b.test>")[0] == 452
    with Smtp(server, "submission") as submission:
        assert submission.login(ALICE)[0] == 235
        assert submission.ask(f"MAIL FROM:<{ALICE}> SIZE=1000")[0] == 452
    with Imap(server, login=ALICE, source=STRANGER) as imap:
        assert imap.append("INBOX", message(50, 3_000)).startswith(b"NO ")
        assert imap.ask("NOOP")[0].startswith(b"OK")
    assert stored(server) == before

    with Imap(server, login=ALICE, source=STRANGER) as imap:
        imap.ask("SELECT INBOX")
        assert imap.ask(r"STORE 1:3 +FLAGS (\Deleted)")[0].startswith(b"OK")
        assert imap.ask("EXPUNGE")[0].startswith(b"OK")
        assert imap.ask("MOVE 1 Trash")[0].startswith(b"OK")
    with Pop3(server, login=ALICE, source=STRANGER) as pop3:
        assert pop3.ask("DELE 1").startswith(b"+OK")
        assert pop3.ask("QUIT").startswith(b"+OK")
    assert len(stored(server)) == len(before) - 5

    # Nothing of that depends on what was open already.
    server.kill()
    server.start()
    found = stored(server)
    assert len(found) == len(before) - 5
    assert all(before[number] == octets for number, octets in found.items())
    expunge_all(server)

    (disk / "filler").unlink()
    wait_until_taken(server)
