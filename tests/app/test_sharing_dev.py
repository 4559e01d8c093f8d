"""`postillon acl` over a running server with two workers, and what mail programs see of it."""

from __future__ import annotations

import contextlib
import imaplib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from .running import Dev, dev

pytestmark = pytest.mark.real

ALICE, BOB = "alice@example.test", "bob@example.test"


def asked(server: Dev, *words: str) -> Any:
    done = server.command("acl", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_an_operator_shares_a_mailbox(tmp_path: Path):
    with dev(tmp_path, "--workers", "2") as server:
        rows = asked(server, "set", "--json", ALICE, "INBOX", BOB, "lrs")
        owner = {"mailbox": "INBOX", "identifier": ALICE, "rights": "lrswipkxteacd"}
        assert rows == [owner, {"mailbox": "INBOX", "identifier": BOB, "rights": "lrs"}]
        asked(server, "set", "--json", ALICE, "INBOX", "anyone", "+l")
        asked(server, "set", "--json", ALICE, "INBOX", BOB, "-s")
        asked(server, "set", "--json", ALICE, "Archive", f"-{BOB}", "l")
        assert asked(server, "list", "--json", ALICE) == [
            {"mailbox": "INBOX", "identifier": "anyone", "rights": "l"},
            {"mailbox": "INBOX", "identifier": BOB, "rights": "lr"},
            {"mailbox": "Archive", "identifier": f"-{BOB}", "rights": "l"},
        ]
        assert BOB in server.command("acl", "list", ALICE, "INBOX").stdout
        with server.imap(BOB) as bob:
            assert bob.myrights(f'"Other Users/{ALICE}/INBOX"')[1] == [f'"Other Users/{ALICE}/INBOX" lr'.encode()]
            assert bob.select(f'"Other Users/{ALICE}/INBOX"', readonly=True)[0] == "OK"
        asked(server, "remove", "--json", ALICE, "INBOX", BOB)
        with server.imap(BOB) as bob:
            assert bob.select(f'"Other Users/{ALICE}/INBOX"')[0] == "NO"
        for words in ((ALICE, "INBOX", BOB, "q"), (ALICE, "INBOX", "nobody@example.test", "l"), (ALICE, "Nowhere", BOB, "l")):
            assert server.command("acl", "set", *words).returncode == 1


async def test_who_loses_the_right_to_read_hears_so_on_every_worker(tmp_path: Path):
    with dev(tmp_path, "--workers", "2") as server, contextlib.ExitStack() as stack:
        asked(server, "set", "--json", ALICE, "INBOX", "anyone", "lr")
        waiting = []
        for _ in range(6):  # the kernel deals them to the workers
            stack.enter_context(contextlib.suppress(imaplib.IMAP4.abort))  # it says LOGOUT to a connection that has ended
            bob = stack.enter_context(server.imap(BOB))
            assert bob.select(f'"Other Users/{ALICE}/INBOX"', readonly=True)[0] == "OK"
            bob.send(b"i IDLE\r\n")
            assert bob.readline().startswith(b"+")
            waiting.append(bob)
        server.send(BOB, ALICE, "news")
        for bob in waiting:
            assert bob.readline() == b"* 1 EXISTS\r\n"
        asked(server, "remove", "--json", ALICE, "INBOX", "anyone")
        began = time.monotonic()
        for bob in waiting:
            assert bob.readline().startswith(b"* BYE")
        assert time.monotonic() - began < 10, "without waiting for the next look"
