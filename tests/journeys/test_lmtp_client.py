"""Mail that goes on to Dovecot by LMTP."""

from __future__ import annotations

import imaplib
from pathlib import Path

import pytest

from tests.peers.dovecot import Dovecot
from tests.peers.postillon import Postillon
from tests.peers.processes import free_port, wait_for_port, wait_until

pytestmark = pytest.mark.real


def test_dovecot_files_what_we_hand_over(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    place = tmp_path_factory.mktemp("dc")  # its sockets have long names, and little room for them
    lmtp = free_port()
    listener = f"service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {lmtp}\n  }}\n}}\n"
    users = {"one@old.test": "secret", "two@old.test": "secret"}
    dovecot = Dovecot(place, free_port(), free_port(), users, more=listener)
    dovecot.start()
    wait_for_port("127.0.0.1", lmtp)
    try:
        with Postillon(tmp_path / "data", "--workers", "1", "--route", f"old.test=lmtp://127.0.0.1:{lmtp}") as server:
            alice = server.account("alice@example.test")
            alice.submit(["one@old.test", "two@old.test"], "by lmtp")
            for name in users:
                wait_until(lambda name=name: b"by lmtp" in _mail(dovecot, name), 20, f"mail of {name}")
            wait_until(lambda: "result=delivered" in server.log_text, 10, "the attempts in the log")
            assert server.log_text.count("result=delivered") == 2
    finally:
        dovecot.stop()


def _mail(dovecot: Dovecot, name: str) -> bytes:
    client = imaplib.IMAP4("127.0.0.1", dovecot.imap, timeout=10)
    try:
        try:
            client.login(name, "secret")
        except imaplib.IMAP4.error:
            return b""  # it may not see its files while another run closes /tmp to it; whoever waits asks again
        _, (count,) = client.select("INBOX", readonly=True)
        if count == b"0":
            return b""
        _, found = client.fetch("1:*", "(BODY.PEEK[])")
        return b"".join(part[1] for part in found if isinstance(part, tuple))
    finally:
        client.shutdown()
