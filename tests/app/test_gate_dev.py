"""Strangers at a running server: they wait, come back or are refused where a configuration asks for it, and only there."""

from __future__ import annotations

import smtplib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.postillon import Postillon, mail
from tests.peers.zones import Zones

pytestmark = pytest.mark.real

SETTINGS = """
[protection]
greylist = true
greylist_wait = 1
greet_delay = 1

[filters]
off = ["attachments", "lists", "reputation", "classifier", "fraud", "oddities", "repeats"]

[[blocklists]]
zone = "bl.test"
[blocklists.codes]
"127.0.0.2" = 9
"127.0.0.3" = 1.5

[[blocklists]]
zone = "dom.test"
score = 4
checks = ["sender", "links"]
"""
ZONES = {
    "bl.test": "2.0.0.127 A 127.0.0.2\n66.0.0.127 A 127.0.0.2\n67.0.0.127 A 127.0.0.3\n",
    "dom.test": "test A 127.0.0.2\nspam.example A 127.0.0.2\nshop.example A 127.0.0.2\n",
    "0.0.127.in-addr.arpa": "\n".join(f"{n} PTR mail{n}.sender.example." for n in (66, 67, 68, 70)),
    "sender.example": '@ TXT "v=spf1 ip4:127.0.0.0/8 -all"\n' + "\n".join(f"mail{n} A 127.0.0.{n}" for n in (66, 67, 68, 70)),
    "spam.example": '@ TXT "v=spf1 ip4:127.0.0.0/8 -all"\n',
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postillon]:
    root = tmp_path_factory.mktemp("gate")
    (root / "settings.toml").write_text(SETTINGS)
    options = ("--account", "bob@example.test:secret-of-bob", "--settings", str(root / "settings.toml"), "--workers", "2")
    with Zones(ZONES) as dns, Postillon(root / "data", *options, "--dns", dns.option) as running:
        yield running


def send(server: Postillon, source: str, sender: str = "alice@sender.example", recipient: str = "bob@example.test") -> None:
    name = f"mail{source.rpartition('.')[2]}.sender.example"
    where = (source, 0)
    with smtplib.SMTP(server.host, server.port("smtp"), local_hostname=name, timeout=20, source_address=where) as smtp:
        smtp.sendmail(sender, [recipient], mail(sender, [recipient], f"from {source}"))


def refused(server: Postillon, source: str, **words: str) -> tuple[int, str]:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(server, source, **words)
    ((code, text),) = caught.value.recipients.values()
    return code, text.decode()


def test_an_honest_stranger_waits_for_the_greeting_once(server: Postillon) -> None:
    began = time.monotonic()
    send(server, "127.0.0.68")
    first = time.monotonic() - began
    began = time.monotonic()
    send(server, "127.0.0.68")
    assert first >= 1 > time.monotonic() - began
    server.account("bob@example.test").wait_for(b"from 127.0.0.68")


def test_127_0_0_1_neither_waits_nor_comes_back(server: Postillon) -> None:
    began = time.monotonic()
    server.deliver("bob@example.test", mail("x@nowhere.example", ["bob@example.test"], "from home"), sender="x@nowhere.example")
    assert time.monotonic() - began < 1


def test_who_talks_before_the_greeting_is_sent_away(server: Postillon) -> None:
    with socket.create_connection((server.host, server.port("smtp")), timeout=10, source_address=("127.0.0.70", 0)) as sock:
        sock.sendall(b"EHLO hurry.example\r\n")
        assert sock.recv(200).startswith(b"5")
        assert sock.recv(200) == b""


def test_who_is_listed_is_refused_at_rcpt_but_may_write_to_postmaster(server: Postillon) -> None:
    code, text = refused(server, "127.0.0.66")
    assert code == 550 and "bl.test" in text and text.startswith("5.7.1")
    send(server, "127.0.0.66", recipient="postmaster@example.test")


def test_a_soft_listing_makes_come_back_and_leaves_a_finding(server: Postillon) -> None:
    code, text = refused(server, "127.0.0.67")
    assert code == 450 and text.startswith("4.7.1") and "try again in 1 seconds" in text
    time.sleep(1.1)
    send(server, "127.0.0.67")
    filed = server.account("bob@example.test").wait_for(b"from 127.0.0.67")
    assert b"dnsbl.listed=+1.5" in filed


def test_a_listed_domain_of_the_sender_leaves_a_finding(server: Postillon) -> None:
    send(server, "127.0.0.67", sender="x@spam.example")
    assert b"rhsbl.listed=+4.0" in server.account("bob@example.test").wait_for(b"spam.example")


def test_a_listed_domain_of_a_link_leaves_a_finding(server: Postillon) -> None:
    with smtplib.SMTP(server.host, server.port("smtp"), local_hostname="home.example", timeout=20) as smtp:
        message = mail(
            "x@nowhere.example", ["bob@example.test"], "buy", "Look: https://www.shop.example/now and http://192.0.2.1/\n"
        )
        smtp.sendmail("x@nowhere.example", ["bob@example.test"], message)
    filed = server.account("bob@example.test").wait_for(b"www.shop.example")
    assert b"rhsbl.listed=+4.0" in filed and b"The domain www.shop.example is on the blocklist dom.test" in filed.replace(
        b"\r\n", b""
    )


def test_without_such_settings_nobody_on_loopback_waits_or_comes_back(tmp_path: Path) -> None:
    with Postillon(tmp_path / "data", "--account", "bob@example.test:secret-of-bob") as plain:
        for source in ("127.0.0.1", "127.0.0.66", "127.0.0.99"):
            began = time.monotonic()
            send(plain, source)
            assert time.monotonic() - began < 2


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text('[[blocklists]]\nzone = "bl.test"\ncheks = ["address"]\n')
    with pytest.raises(AssertionError, match="did you mean `checks`"):
        Postillon(tmp_path / "data", "--settings", str(tmp_path / "wrong.toml")).start()
