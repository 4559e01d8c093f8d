"""Two servers on two addresses find each other through DNS: real packets, real connections, real reports."""

from __future__ import annotations

import email
import email.message
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..peers.postillon import OFFSETS, Account, Postillon, port_base
from ..peers.processes import wait_until
from ..peers.zones import Zones

pytestmark = pytest.mark.real

NORTH, SOUTH, DOWN = "127.0.0.1", "127.0.0.2", "127.0.0.9"
ZONES = {
    "north.test": f"@ MX 10 mx\nmx A {NORTH}",
    "south.test": f"@ MX 10 mx\nmx A {SOUTH}",
    "twice.test": f"@ MX 10 down\n@ MX 20 mx\ndown A {DOWN}\nmx A {SOUTH}",
    "equal.test": f"@ MX 10 down\n@ MX 10 mx\ndown A {DOWN}\nmx A {SOUTH}",
    "bare.test": f"@ A {SOUTH}",
    "alias.test": f"@ MX 10 mx\nmx CNAME real\nreal A {SOUTH}",
    "addresses.test": f"@ MX 10 mx\nmx A {DOWN}\nmx A {SOUTH}",
    "null.test": "@ MX 0 .",
    "self.test": f"@ MX 10 mx\nmx A {NORTH}",
    "nothing.test": "@ TXT nothing",
    "broken.test": "@ MX 10 mx",
    "down.test": f"@ MX 10 mx\nmx A {DOWN}",
    "failing.test": "@ MX 10 mx",
}
HERE = ("south.test", "twice.test", "equal.test", "bare.test", "alias.test", "addresses.test")
"""Domains of the southern server."""


@dataclass(frozen=True)
class Offices:
    north: Postillon
    south: Postillon
    zones: Zones
    alice: Account
    bob: Account


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offices]:
    place = Path(tmp_path_factory.mktemp("offices"))
    base = port_base(NORTH, SOUTH, DOWN)
    with Zones(ZONES) as zones:
        zones.server.fail("failing.test", "servfail")
        common = ("--dns", zones.option, "--mx-port", str(base.base + OFFSETS["smtp"]), "--workers", "1")
        southern = [word for domain in HERE for word in ("--account", f"bob@{domain}:bob-secret")]
        north = Postillon(place / "north", "--account", "alice@north.test:alice-secret", *common, host=NORTH, base=base)
        south = Postillon(place / "south", *southern, *common, host=SOUTH, base=base)
        with north, south:
            alice, bob = north.account("alice@north.test"), south.account("bob@south.test")
            yield Offices(north, south, zones, alice, bob)
    base.release()


def bounced(offices: Offices, recipient: str, subject: str) -> email.message.EmailMessage:
    """What alice is told about a message to *recipient*."""
    offices.alice.submit([recipient], subject)
    report = offices.alice.wait_for(recipient.encode())
    message = email.message_from_bytes(report, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    assert report.startswith(b"Return-Path: <>\r\n")
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    return message


def words(report: email.message.EmailMessage) -> str:
    """The part for people."""
    part = next(report.iter_parts())
    assert part.get_content_type() == "text/plain"
    return str(part.get_content())


def status(report: email.message.EmailMessage) -> email.message.Message:
    """The fields about the recipient (RFC 3464 §2.3)."""
    part = list(report.iter_parts())[1]
    assert part.get_content_type() == "message/delivery-status"
    return part.get_payload()[1]  # type: ignore[return-value,union-attr]


def test_there_and_back_over_tls(offices: Offices):
    offices.alice.submit(["bob@south.test"], "there", "Grüße\n")
    there = offices.bob.wait_for(b"Subject: there")
    assert there.startswith(b"Return-Path: <alice@north.test>\r\nAuthentication-Results: south.test;")
    assert b"\r\nReceived: from north.test (" in there
    assert there.count(b"\r\nReceived: ") == 2
    assert re.search(rb"from north\.test \([^)]*127\.0\.0\.\d[^)]*\)[^;]* with ESMTPS", there)
    offices.bob.submit(["alice@north.test"], "and back")
    offices.alice.wait_for(b"Subject: and back")


def test_local_and_remote_recipients_of_one_message(offices: Offices):
    offices.alice.submit(["alice@north.test", "bob@south.test", "bob@bare.test"], "to all three")
    for account in (offices.alice, offices.bob, offices.south.account("bob@bare.test")):
        account.wait_for(b"Subject: to all three")


@pytest.mark.parametrize("domain", ["twice.test", "equal.test", "bare.test", "alias.test", "addresses.test"])
def test_the_way_is_found(offices: Offices, domain: str):
    """Over the second MX when the first is down, whichever of two equal ones is up, without MX, over a CNAME, over the second
    address of a host.
    """
    for number in range(3):
        offices.alice.submit([f"bob@{domain}"], f"{domain} {number}")
    for number in range(3):
        offices.south.account(f"bob@{domain}").wait_for(f"Subject: {domain} {number}".encode())


def test_a_domain_that_takes_no_mail(offices: Offices):
    report = bounced(offices, "nobody@null.test", "into the void")
    assert status(report)["Status"] == "5.1.10"
    assert "null.test takes no mail" in words(report)


def test_a_domain_that_does_not_exist(offices: Offices):
    report = bounced(offices, "x@sub.north-no.south.test", "no such domain")
    assert status(report)["Status"] == "5.1.2"
    assert "does not exist" in words(report)
    assert status(report)["Final-Recipient"] == "rfc822; x@sub.north-no.south.test"


def test_an_unknown_recipient_there(offices: Offices):
    report = bounced(offices, "nobody@south.test", "who are you")
    fields = status(report)
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert "550 5.1.1" in fields["Diagnostic-Code"]
    assert "mx.south.test" in fields["Remote-MTA"]
    text = words(report)
    assert "Your message to nobody@south.test was not delivered: there is no such address." in text
    assert "No such mailbox here" in text
    # The original's header is returned, so that the sender knows which message it was.
    returned = list(report.iter_parts())[2]
    assert returned.get_content_type() in ("text/rfc822-headers", "message/rfc822")
    assert b"Subject: who are you" in returned.as_bytes()


def test_one_of_two_recipients_there_is_unknown(offices: Offices):
    offices.alice.submit(["bob@south.test", "missing@south.test"], "one of two")
    offices.bob.wait_for(b"Subject: one of two")
    report = offices.alice.wait_for(b"missing@south.test")
    assert b"Final-Recipient: rfc822; missing@south.test" in report
    assert b"Final-Recipient: rfc822; bob@south.test" not in report


def test_an_mx_that_is_ourselves_is_refused(offices: Offices):
    report = bounced(offices, "x@self.test", "round and round")
    assert status(report)["Status"] == "5.4.6"


@pytest.mark.parametrize(("domain", "code"), [("nothing.test", "5.4.4"), ("broken.test", "5.4.4")])
def test_a_domain_without_a_mail_server(offices: Offices, domain: str, code: str):
    report = bounced(offices, f"x@{domain}", f"to {domain}")
    assert status(report)["Status"] == code
    assert "no mail server" in words(report)


@pytest.mark.parametrize("domain", ["down.test", "failing.test"])
def test_what_may_help_later_waits_in_the_queue(offices: Offices, domain: str):
    offices.alice.submit([f"x@{domain}"], f"waits for {domain}")

    def row() -> dict[str, object] | None:
        rows = offices.north.ask("queue.list")
        return next((found for found in rows if found["destination"] == domain and found["attempts"]), None)

    wait_until(row, 20, "the first attempt")
    found = row()
    assert found is not None
    assert found["state"] == "waiting"
    assert str(found["last_answer"]).startswith("4.")
    offices.north.ask("queue.drop", ids=[found["id"]])


def test_a_domain_that_comes_up_gets_what_waited(offices: Offices):
    server = offices.zones.server
    server.set_zone(
        "later.test", f"$TTL 0\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A {NORTH}\n@ MX 1 mx\nmx A {DOWN}"
    )
    offices.alice.submit(["bob@later.test"], "patience")
    wait_until(lambda: any(row["destination"] == "later.test" and row["attempts"] for row in offices.north.ask("queue.list")))
    offices.south.ask("domain.add", name="later.test", alias_of="south.test")
    server.set_zone(
        "later.test", f"$TTL 0\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A {NORTH}\n@ MX 1 mx\nmx A {SOUTH}"
    )
    offices.north.ask("queue.retry", ids=[], everything=True)
    offices.bob.wait_for(b"Subject: patience")


def test_a_sender_domain_that_takes_no_mail_is_not_listened_to(offices: Offices):
    with offices.south.smtp() as smtp:
        smtp.ehlo()
        code, text = smtp.mail("noreply@null.test")
        assert (code, text[:6]) == (550, b"5.7.27")


def test_aliases_lead_to_the_other_server(offices: Offices):
    offices.north.ask("alias.add", address="both@north.test", targets=["alice@north.test", "bob@south.test"])
    with offices.south.smtp() as smtp:  # any stranger to the northern MX
        assert smtp.noop()[0] == 250
    offices.north.deliver("both@north.test", b"From: s@elsewhere.test\r\nSubject: by alias\r\n\r\nHi\r\n")
    offices.alice.wait_for(b"Subject: by alias")
    assert offices.bob.wait_for(b"Subject: by alias").startswith(b"Return-Path: <SRS0=")


def test_forty_messages_arrive_once_and_over_few_connections(offices: Offices):
    for number in range(40):
        offices.alice.submit(["bob@south.test"], f"bulk {number}")
    for number in range(40):
        offices.bob.wait_for(f"Subject: bulk {number}\r\n".encode())
    subjects = [found[1] for octets in offices.bob.messages() if (found := re.search(rb"Subject: (bulk \d+)\r\n", octets))]
    assert len(subjects) == len(set(subjects)) == 40
