"""Two servers, each behind its own published SPF, DKIM and DMARC: honest mail is signed and believed, forged mail is not."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dkim as dkimpy
import pytest

from ..peers.postillon import OFFSETS, Account, Postillon, mail, port_base
from ..peers.zones import Zones

pytestmark = pytest.mark.real

NORTH, SOUTH = "127.0.0.1", "127.0.0.2"


def zone(host: str, policy: str, keys: str = "") -> str:
    """Mail of the domain comes from *host* only."""
    return f'@ MX 10 mx\nmx A {host}\n@ TXT "v=spf1 mx -all"\n_dmarc TXT "v=DMARC1; p={policy}"\n{keys}'


@dataclass(frozen=True)
class Offices:
    north: Postillon
    south: Postillon
    zones: Zones
    alice: Account
    bob: Account

    def publish(self) -> None:
        """The records of the northern keys, as `postillon dkim records` prints them, into the zone."""
        printed = self.north.command("dkim", "records", "north.test").stdout
        records = [line.strip().replace(".north.test.", "") for line in printed.splitlines() if "_domainkey" in line]
        assert records
        self.zones.server.set_zone("north.test", zone(NORTH, "reject", "\n".join(records) + "\n"))

    def text_of(self, name: bytes, timeout: int = 5) -> bytes:
        """For dkimpy: what the zone has."""
        import dns.resolver

        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [self.zones.server.host], self.zones.server.port
        return b"".join(resolver.resolve(name.decode(), "TXT")[0].strings)


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offices]:
    place = Path(tmp_path_factory.mktemp("authentication"))
    base = port_base(NORTH, SOUTH)
    zones = {
        "north.test": zone(NORTH, "reject"),
        "south.test": zone(SOUTH, "none"),
        # Domains that nobody here may send for.
        "strict.test": zone("192.0.2.1", "reject"),
        "careful.test": zone("192.0.2.1", "quarantine"),
        "watching.test": zone("192.0.2.1", "none"),
        "failing.test": zone("192.0.2.1", "reject"),
    }
    with Zones(zones) as served:
        served.server.fail("_dmarc.failing.test", "servfail")
        common = ("--dns", served.option, "--mx-port", str(base.base + OFFSETS["smtp"]), "--workers", "1")
        north = Postillon(place / "north", "--account", "alice@north.test:alice-secret", *common, host=NORTH, base=base)
        south = Postillon(place / "south", "--account", "bob@south.test:bob-secret", *common, host=SOUTH, base=base)
        with north, south:
            made = north.command("dkim", "add", "north.test")
            assert made.returncode == 0 and made.stdout.count("_domainkey.north.test.") == 2, made
            found = Offices(north, south, served, north.account("alice@north.test"), south.account("bob@south.test"))
            found.publish()
            yield found
    base.release()


def letter(author: str, subject: str) -> bytes:
    return mail(author, ["bob@south.test"], subject)


def test_what_we_send_is_signed_and_believed(offices: Offices):
    offices.alice.submit(["bob@south.test"], "signed and sealed", "Grüße,  mit  Leerzeichen \n\n\n")
    message = offices.bob.wait_for(b"Subject: signed and sealed")
    results = message.partition(b"Received:")[0]
    assert b"Authentication-Results: south.test;" in results
    for words in (b"spf=pass", b"header.a=rsa-sha256", b"header.a=ed25519-sha256", b"dmarc=pass (p=reject dis=none)"):
        assert words in results
    assert results.count(b"dkim=pass header.d=north.test") == 2
    # As it was on the wire: from our signature on.
    sent = message[message.index(b"DKIM-Signature:") :]
    assert [dkimpy.DKIM(sent).verify(number, dnsfunc=offices.text_of) for number in (0, 1)] == [True, True]


def test_signing_goes_on_while_keys_are_replaced(offices: Offices):
    before = {row["selector"] for row in offices.north.ask("dkim.list")}
    assert offices.north.command("dkim", "rotate", "north.test").stdout.count("_domainkey") == 2
    offices.publish()
    offices.alice.submit(["bob@south.test"], "old keys still")
    assert all(f"s={selector};".encode() in offices.bob.wait_for(b"Subject: old keys still") for selector in before)
    assert offices.north.command("dkim", "rotate", "north.test").returncode == 0
    offices.alice.submit(["bob@south.test"], "new keys now")
    message = offices.bob.wait_for(b"Subject: new keys now")
    assert message.partition(b"Received:")[0].count(b"dkim=pass") == 2
    assert not any(f"s={selector};".encode() in message for selector in before)
    for selector in before:
        assert offices.north.command("dkim", "retire", selector, "--force").returncode == 0
    assert {row["state"] for row in offices.north.ask("dkim.list")} == {"signing"}


def test_forged_mail_is_refused_where_its_domain_asks_for_that(offices: Offices):
    with offices.south.smtp() as smtp, pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("x@elsewhere.test", ["bob@south.test"], letter("ceo@strict.test", "refuse me"))
    assert caught.value.smtp_code == 550
    assert caught.value.smtp_error.startswith(b"5.7.1 strict.test wants mail refused")
    assert not any(b"refuse me" in message for message in offices.bob.messages())


def test_forged_mail_is_junk_where_its_domain_asks_for_that(offices: Offices):
    offices.south.deliver("bob@south.test", letter("ceo@careful.test", "doubt me"), sender="x@elsewhere.test")
    assert b"dmarc=fail (p=quarantine dis=quarantine)" in offices.bob.wait_for(b"doubt me", "Junk")
    assert not any(b"doubt me" in message for message in offices.bob.messages())


def test_a_domain_that_watches_and_one_that_cannot_be_asked_lose_nothing(offices: Offices):
    for domain, result in (("watching.test", b"dmarc=fail (p=none"), ("failing.test", b"dmarc=temperror")):
        offices.south.deliver("bob@south.test", letter(f"a@{domain}", f"from {domain}"), sender="x@elsewhere.test")
        assert result in offices.bob.wait_for(f"from {domain}".encode())


def test_a_changed_message_is_no_longer_the_domains(offices: Offices):
    offices.alice.submit(["bob@south.test"], "to be changed", "Pay 10 euro\n")
    message = offices.bob.wait_for(b"Subject: to be changed")
    sent = message[message.index(b"DKIM-Signature:") :]
    # From another place the signature alone counts.
    with offices.south.smtp() as smtp:
        smtp.sendmail("list@elsewhere.test", ["bob@south.test"], sent)
        with pytest.raises(smtplib.SMTPDataError):
            smtp.sendmail("list@elsewhere.test", ["bob@south.test"], sent.replace(b"10 euro", b"99 euro"))


def test_results_in_our_name_do_not_come_from_outside(offices: Offices):
    lie = b"Authentication-Results: south.test; dmarc=pass header.from=bank.test\r\n"
    offices.south.deliver("bob@south.test", lie + letter("a@elsewhere.test", "believe me"), sender="x@elsewhere.test")
    message = offices.bob.wait_for(b"believe me")
    assert b"bank.test" not in message and message.count(b"Authentication-Results: south.test;") == 1
