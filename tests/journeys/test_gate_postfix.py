"""Debian's Postfix at our gate: greylisted it comes back by itself, listed it returns the mail to its sender."""

from __future__ import annotations

import os
import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..peers.postfix import Postfix
from ..peers.postillon import Postillon, mail
from ..peers.processes import free_port, wait_until
from ..peers.zones import Zones

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix wants root"),
]

SUSPECT, LISTED = "127.0.0.90", "127.0.0.91"
SETTINGS = """
[protection]
greylist = true
greylist_wait = 3
greet_delay = 1

[[blocklists]]
zone = "bl.test"
score = 9
"""
ZONES = {
    "bl.test": "2.0.0.127 A 127.0.0.2\n91.0.0.127 A 127.0.0.2\n",
    "0.0.127.in-addr.arpa": "1 PTR localhost.",
    "peer.test": "@ A 127.0.0.90\n@ MX 10 peer.test.\n",
}


@dataclass(frozen=True)
class Sides:
    ours: Postillon
    place: Path

    def postfix(self, source: str) -> Postfix:
        settings = {"relayhost": f"[{self.ours.host}]:{self.ours.port('smtp')}", "smtp_bind_address": source}
        return Postfix(self.place / source, free_port(), settings=settings).start()


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    place = Path(tmp_path_factory.mktemp("gate"))
    (place / "settings.toml").write_text(SETTINGS)
    options = ("--account", "bob@example.test:secret-of-bob", "--settings", str(place / "settings.toml"), "--workers", "1")
    with Zones(ZONES) as dns, Postillon(place / "ours", *options, "--dns", dns.option) as ours:
        yield Sides(ours, place)


def hand_in(postfix: Postfix, subject: str) -> None:
    with smtplib.SMTP(postfix.host, postfix.port, timeout=20) as smtp:
        smtp.sendmail("carl@peer.test", ["bob@example.test"], mail("carl@peer.test", ["bob@example.test"], subject))


def test_a_greylisted_postfix_comes_back_and_waits_no_second_time(sides: Sides) -> None:
    postfix = sides.postfix(SUSPECT)
    try:
        bob = sides.ours.account("bob@example.test")
        hand_in(postfix, "the first")
        bob.wait_for(b"Subject: the first", seconds=60)
        assert re.search(r"status=deferred .*450 4\.7\.1 We do not know your server yet", postfix.log.read_text())
        hand_in(postfix, "the second")
        bob.wait_for(b"Subject: the second")
        assert postfix.log.read_text().count("status=deferred") == 1
        told = sides.ours.command("trace", "carl@peer.test").stdout
        assert "put off at RCPT" in told and "no reverse name" in told and "accepted" in told
    finally:
        postfix.stop()


def test_a_listed_postfix_hears_where_it_is_listed_and_gives_up_at_once(sides: Sides) -> None:
    postfix = sides.postfix(LISTED)
    try:
        hand_in(postfix, "from a bad house")
        wait_until(lambda: "status=bounced" in postfix.log.read_text(), 60, "the bounce")
        assert re.search(
            r"status=bounced .*550 5\.7\.1 The sending host 127\.0\.0\.91 is on the blocklist bl\.test", postfix.log.read_text()
        )
    finally:
        postfix.stop()
