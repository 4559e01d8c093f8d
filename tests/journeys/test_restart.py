"""The same directory again: everything is as it was. And workers: how many, and what one of them dying means to the others."""

from __future__ import annotations

import contextlib
import imaplib
import os
import poplib
import re
import signal
import time
from pathlib import Path

import pytest

from ..peers.postillon import Account, Postillon, mail
from ..peers.processes import wait_until

pytestmark = pytest.mark.real

ALICE, BOB = "alice@example.test", "bob@example.test"


def picture(account: Account) -> dict[str, object]:
    """All that a client remembers of an account."""
    found: dict[str, object] = {}
    with account.imap() as imap:
        names = [line.rpartition(b' "/" ')[2].decode() for line in imap.list()[1] if isinstance(line, bytes)]
        for name in names:
            found[name] = imap.status(name, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE)")[1]
            imap.select(name, readonly=True)
            if imap.untagged_responses.get("EXISTS") != [b"0"]:
                found[f"{name}: messages"] = imap.fetch("1:*", "(UID FLAGS INTERNALDATE MODSEQ BODY.PEEK[])")[1]
        found["subscribed"] = sorted(map(str, imap.lsub()[1]))
    return found


def uidls(account: Account) -> list[bytes]:
    client = poplib.POP3("127.0.0.1", account.server.port("pop3"), timeout=20)
    client.user(account.address)
    client.pass_(account.password)
    found = client.uidl()[1]
    client.quit()
    return found


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_goes_on_where_it_was(tmp_path: Path, end: str):
    away = Postillon(tmp_path / "away", "--account", "zoe@away.test:zoe-secret", "--workers", "1")
    options = ("--route", f"away.test=127.0.0.1:{away.port('smtp')}", "--workers", "2")
    with Postillon(tmp_path / "data", *options) as server:
        alice, bob = server.account(ALICE), server.account(BOB)
        server.ask("account.add", address="carl@example.test", password="carl-secret")
        server.ask("account.password", address="carl@example.test", password="carl-other")
        for number in range(5):
            alice.submit([BOB], f"number {number}")
        alice.submit(["zoe@away.test"], "waiting", "x" * 200_000)
        with bob.imap("INBOX") as imap:
            imap.store("2", "+FLAGS", r"(\Flagged \Seen word)")
            imap.store("3", "+FLAGS", r"(\Deleted)")
            imap.expunge()
            imap.create("&APw-ber/unter")
            imap.subscribe("&APw-ber/unter")
            imap.copy("1:2", "&APw-ber/unter")
            imap.append("Archive", "", '"01-Jan-2020 10:00:00 +0100"', mail(ALICE, [BOB], "large", "y" * 70 + "\n" * 100_000))
        wait_until(lambda: server.ask("queue.list")[0]["attempts"] == 1)
        before, waiting, numbers = picture(bob), server.ask("queue.list"), uidls(bob)
        accounts = server.accounts
        time.sleep(1)  # which answers were heard is written down within half a second
        getattr(server, end)()

        server.start()
        assert server.accounts == accounts
        assert picture(bob) == before
        assert uidls(bob) == numbers
        assert server.ask("queue.list") == waiting
        with server.account("carl@example.test", "carl-other").imap():
            pass
        with pytest.raises(imaplib.IMAP4.error), server.account("carl@example.test", "carl-secret").imap():
            pass

        with away:
            server.ask("queue.retry", ids=[], everything=True)
            zoe = away.account("zoe@away.test")
            zoe.wait_for(b"Subject: waiting")
            assert len(zoe.messages()) == 1
            wait_until(lambda: server.ask("queue.list") == [])
        alice.submit([BOB], "number 4")  # the same octets as before are another message
        assert len([octets for octets in bob.messages() if b"Subject: number 4" in octets]) == 2


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_so_many_workers_share_the_work(tmp_path: Path, workers: int):
    with Postillon(tmp_path / "data", "--workers", str(workers)) as server:
        assert len(server.workers) == workers
        alice, bob = server.account(ALICE), server.account(BOB)
        wait_until(lambda: len({server.ask("status")["worker_pid"] for _ in range(20)}) == workers, 20, "every worker to answer")
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(bob.imap("INBOX")) for _ in range(3 * workers)]
            for client in idle:
                client.send(b"i IDLE\r\n")
                assert client.readline().startswith(b"+")
            wait_until(lambda: f"imaps {3 * workers}" in server.ask("status")["connections"], 10, "all connections to be counted")
            assert server.ask("status")["workers"] == workers
            for number in range(10):
                alice.submit([BOB], f"number {number}")
            for client in idle:
                client.sock.settimeout(10)
                while not re.match(rb"\* 10 EXISTS", client.readline()):
                    pass
        assert len(bob.messages()) == 10
        assert server.stop() < 5


def test_a_worker_that_dies_is_replaced_and_the_others_never_notice(tmp_path: Path):
    with Postillon(tmp_path / "data", "--workers", "2") as server, contextlib.ExitStack() as stack:
        bob = server.account(BOB)
        idle = [stack.enter_context(bob.imap("INBOX")) for _ in range(8)]
        for client in idle:
            client.send(b"i IDLE\r\n")
            assert client.readline().startswith(b"+")
        before = server.workers
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(server.workers) == 2 and before[0] not in server.workers, 10, "another worker")
        assert before[1] in server.workers
        for _ in range(4):
            server.deliver(BOB, b"Subject: after it died\r\n\r\n")
        alive = 0
        for client in idle:
            client.sock.settimeout(5)
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                alive += b"EXISTS" in client.readline()
        assert 1 <= alive < 8  # those of the other worker, who hear what the new one files
        assert len(bob.messages()) == 4


def test_the_lock_of_a_maildrop_dies_with_its_worker(tmp_path: Path):
    with Postillon(tmp_path / "data", "--workers", "2") as server:
        bob = server.account(BOB)

        def log_in() -> poplib.POP3:
            client = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=20)
            client.user(BOB)
            client.pass_(bob.password)
            return client

        holder = log_in()
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            log_in()
        for pid in server.workers:
            os.kill(pid, signal.SIGKILL)

        def is_free() -> bool:
            try:
                log_in().quit()
            except (OSError, EOFError, poplib.error_proto):
                return False
            return True

        wait_until(is_free, 15, "the maildrop")
        holder.close()
