"""Debian's Postfix as the other side, in both directions."""

from __future__ import annotations

import email
import email.message
import email.policy
import os
import re
import shutil
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from postillon.net.certificates import make_ca, make_certificate

from ..peers.postfix import Policy, Postfix
from ..peers.postillon import Account, Postillon, mail
from ..peers.processes import free_port, wait_until
from ..peers.zones import Zones

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix wants root"),
]


@dataclass(frozen=True)
class Sides:
    ours: Postillon
    postfix: Postfix
    policy: Policy
    alice: Account

    def theirs(self, address: str, count: int = 1) -> list[bytes]:
        """The *count* messages that lie in Postfix' mailbox, with CRLF, in any order."""
        wait_until(lambda: len(self.postfix.received(address)) >= count, 30, f"{count} messages for {address}")
        return [octets.replace(b"\n", b"\r\n") for octets in self.postfix.received(address)]

    def wait_for(self, address: str, words: bytes) -> bytes:
        """The message in Postfix' mailbox in which *words* stand."""

        def found() -> bytes:
            return next((octets for octets in self.postfix.received(address) if words in octets), b"")

        wait_until(found, 30, f"{words!r} for {address}")
        return found().replace(b"\n", b"\r\n")

    def through_postfix(self, recipients: list[str], message: bytes, sender: str = "carl@there.test") -> None:
        with smtplib.SMTP(self.postfix.host, self.postfix.port, timeout=20) as smtp:
            smtp.sendmail(sender, recipients, message, ["BODY=8BITMIME"])

    def postfix_said(self, pattern: str, seconds: float = 30) -> str:
        """The first line of its log in which *pattern* is found."""
        wait_until(lambda: re.search(pattern, self.postfix.log.read_text()), seconds, f"{pattern} in the log of Postfix")
        found = re.search(rf".*{pattern}.*", self.postfix.log.read_text())
        assert found
        return found[0]

    def queued(self, recipient: str) -> dict[str, object] | None:
        return next((row for row in self.ours.ask("queue.list") if row["recipient"] == recipient), None)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    place = Path(tmp_path_factory.mktemp("postfix"))
    port = free_port()
    with Zones({"there.test": "@ MX 10 mx\nmx A 127.0.0.1"}) as zones:
        options = ("--dns", zones.option, "--mx-port", str(port), "--route", f"routed.test=127.0.0.1:{port}", "--workers", "2")
        with Postillon(place / "data", "--account", "alice@here.test:alice-secret", *options) as ours:
            policy = Policy()
            postfix = Postfix(place / "postfix", port, hostname="mx.there.test", settings=settings(ours, policy, place))
            postfix.directory.mkdir()
            boxes = ("bob@there.test", "carl@there.test", "later@there.test", "bob@routed.test")
            postfix.virtual_mailboxes(*boxes)
            postfix.start()
            try:
                yield Sides(ours, postfix, policy, ours.account("alice@here.test"))
            finally:
                postfix.stop()
                policy.stop()


def settings(ours: Postillon, policy: Policy, place: Path) -> dict[str, str]:
    """It offers TLS with a certificate that nobody knows, and talks to us only over TLS that it can verify."""
    keys = place / "keys"
    make_ca(keys)
    chain, key = make_certificate(keys, ["mx.there.test"])
    authority = place / "our-ca.pem"
    shutil.copy(ours.ca, authority)
    (place / "checks").write_text("/^Subject: forbidden/ REJECT we do not like your words\n")
    hop = f"[127.0.0.1]:{ours.port('smtp')}"
    return {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": str(chain),
        "smtpd_tls_key_file": str(key),
        "smtpd_tls_received_header": "yes",
        "smtp_tls_security_level": "may",
        "smtp_tls_loglevel": "1",
        "smtp_tls_CAfile": str(authority),
        "smtp_tls_policy_maps": f"inline:{{ {{ {hop} = secure match=localhost }} }}",
        "transport_maps": f"inline:{{ {{ here.test = smtp:{hop} }}, {{ gone.test = error:5.1.6 the mailbox has moved }} }}",
        "virtual_alias_maps": "inline:{ { moved@there.test = moved@gone.test } }",
        "relay_domains": "here.test, gone.test",
        "smtpd_recipient_restrictions": f"{policy.restriction}, permit_mynetworks, reject",
        "header_checks": f"regexp:{place}/checks",
        "message_size_limit": "200000",
        "smtputf8_enable": "yes",
    }


BODIES = {
    "plain": b"Hello\r\n",
    "dots": b".\r\n..\r\n...x\r\n",
    "eight-bit": "Größe, 日本, ñandú\r\n".encode(),
    "no end of line": b"the last line has no end",
    "long": b"".join(b"line %d %s\r\n" % (n, b"x" * 60) for n in range(2000)),
    "long line": b"y" * 900 + b"\r\n",
    "spaces": b"trailing   \r\n\t\r\n \r\n\r\n\r\n",
}


def text_of(octets: bytes) -> bytes:
    return octets.partition(b"\r\n\r\n")[2]


def letter(name: str) -> bytes:
    return b"From: <s@there.test>\r\nSubject: %s\r\n\r\n" % name.encode() + BODIES[name]


# --- Postfix to us ------------------------------------------------------------------------------------------------------


def test_postfix_delivers_over_tls_that_it_verified(sides: Sides):
    sides.through_postfix(["alice@here.test"], mail("carl@there.test", ["alice@here.test"], "from Postfix"))
    message = sides.alice.wait_for(b"Subject: from Postfix")
    assert message.startswith(b"Return-Path: <carl@there.test>\r\n")
    assert b"\r\nReceived: from mx.there.test (" in message
    assert b"with ESMTPS" in message[:400]
    sides.postfix_said(r"Verified TLS connection established to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: TLSv1\.3")


def test_all_kinds_of_text_come_from_postfix_as_they_were(sides: Sides):
    bodies = sides.ours.add_account("bodies@here.test")
    for name in BODIES:
        sides.through_postfix([bodies.address], letter(name))
    wait_until(lambda: len(bodies.messages()) == len(BODIES), 30, "all messages")
    found = {re.search(rb"Subject: (.*?)\r\n", octets)[1].decode(): text_of(octets) for octets in bodies.messages()}  # type: ignore[index]
    wanted = {name: text if text.endswith(b"\r\n") else text + b"\r\n" for name, text in BODIES.items()}
    assert found == wanted


def test_postfix_hears_why_we_refuse(sides: Sides):
    sides.through_postfix(["nobody@here.test"], mail("carl@there.test", ["nobody@here.test"], "to nobody"))
    line = sides.postfix_said(r"to=<nobody@here\.test>.*status=bounced")
    assert "said: 550 5.1.1 No such mailbox here" in line
    sides.wait_for("carl@there.test", b"550 5.1.1 No such mailbox here")


def test_postfix_keeps_what_does_not_fit_and_delivers_it_later(sides: Sides):
    full = sides.ours.add_account("full@here.test", quota=2000)
    sides.through_postfix([full.address], mail("carl@there.test", [full.address], "too much", "x" * 70 + "\n" + "y\n" * 2000))
    line = sides.postfix_said(r"to=<full@here\.test>.*status=deferred")
    assert "452 4.2.2" in line
    sides.ours.ask("account.quota", address=full.address, quota=1 << 20)
    sides.postfix.flush()
    full.wait_for(b"Subject: too much")


def test_a_hundred_messages_of_postfix_arrive_once(sides: Sides):
    accounts = [sides.ours.add_account(f"crowd{n}@here.test") for n in range(5)]
    with smtplib.SMTP(sides.postfix.host, sides.postfix.port, timeout=20) as smtp:
        for number in range(100):
            recipients = [account.address for account in accounts]
            smtp.sendmail("carl@there.test", recipients, mail("carl@there.test", recipients, f"crowd {number}"))
    for account in accounts:
        wait_until(lambda account=account: len(account.messages()) >= 100, 60, "100 messages")  # type: ignore[misc]
        subjects = [re.search(rb"Subject: (crowd \d+)\r", octets)[1] for octets in account.messages()]  # type: ignore[index]
        assert len(subjects) == len(set(subjects)) == 100


# --- us to Postfix ------------------------------------------------------------------------------------------------------


def test_we_deliver_to_postfix_by_mx_over_tls(sides: Sides):
    sides.alice.submit(["carl@there.test"], "to Postfix")
    message = sides.wait_for("carl@there.test", b"Subject: to Postfix")
    assert message.startswith(b"Return-Path: <alice@here.test>\r\n")
    assert b"using TLSv1.3" in message
    assert b"with ESMTPS" in message


def test_a_route_is_taken_without_dns(sides: Sides):
    sides.alice.submit(["bob@routed.test"], "by a fixed way")
    (message,) = sides.theirs("bob@routed.test")
    assert b"Subject: by a fixed way" in message


def test_all_kinds_of_text_reach_postfix_as_they_were(sides: Sides):
    with sides.ours.smtp("submissions") as smtp:
        smtp.login(sides.alice.address, sides.alice.password)
        for name in BODIES:
            octets = letter(name).replace(b"s@there.test", b"alice@here.test")
            smtp.sendmail("alice@here.test", ["bob@there.test"], octets, ["BODY=8BITMIME"])
    messages = sides.theirs("bob@there.test", len(BODIES))
    found = {re.search(rb"Subject: (.*?)\r\n", octets)[1].decode(): text_of(octets) for octets in messages}  # type: ignore[index]
    assert found == {name: text if text.endswith(b"\r\n") else text + b"\r\n" for name, text in BODIES.items()}


def test_what_postfix_defers_is_tried_again(sides: Sides):
    sides.policy.answers["later@there.test"] = "450 4.7.1 come back in a while"
    sides.alice.submit(["later@there.test"], "with patience")
    wait_until(lambda: (row := sides.queued("later@there.test")) and row["attempts"], 30, "the first attempt")
    row = sides.queued("later@there.test")
    assert row is not None
    assert "come back in a while" in str(row["last_answer"])
    assert str(row["last_answer"]).startswith("4.7.1")
    sides.policy.answers.clear()
    sides.ours.ask("queue.retry", ids=[row["id"]])
    assert len(sides.theirs("later@there.test")) == 1
    wait_until(lambda: sides.queued("later@there.test") is None, 10, "the queue to forget it")
    assert not any(b"later@there.test" in octets for octets in sides.alice.messages())  # and no report about it


def report_about(sides: Sides, recipient: str) -> tuple[str, email.message.Message]:
    """The words for people and the recipient's fields of what alice was told about *recipient*."""
    octets = sides.alice.wait_for(f"rfc822; {recipient}".encode())
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    parts = list(message.iter_parts())
    return parts[0].get_content(), parts[1].get_payload()[1]  # type: ignore[return-value,union-attr]


def test_what_postfix_refuses_is_told_in_words(sides: Sides):
    sides.alice.submit(["unknown@there.test"], "no such person")
    text, fields = report_about(sides, "unknown@there.test")
    assert fields["Status"] == "5.1.1"
    assert "Your message to unknown@there.test was not delivered: there is no such address." in text
    assert "mx.there.test" in text
    assert re.search(r"550 <unknown@there\.test>: Recipient address rejected: User unknown", text)


def test_a_refusal_of_the_content_is_told_in_words(sides: Sides):
    sides.alice.submit(["carl@there.test"], "forbidden words")
    text, fields = report_about(sides, "carl@there.test")
    assert fields["Status"] == "5.7.1"
    assert "we do not like your words" in text


def test_a_message_too_large_for_them_is_told_before_it_is_sent(sides: Sides):
    sides.alice.submit(["bob@there.test"], "far too large", ("y" * 70 + "\n") * 4000)
    text, fields = report_about(sides, "bob@there.test")
    assert fields["Status"] == "5.3.4"
    assert "too large" in text


def test_a_report_that_postfix_makes_later_reaches_the_sender(sides: Sides):
    sides.alice.submit(["moved@there.test"], "has she moved?")
    report = sides.alice.wait_for(b"the mailbox has moved")
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"MAILER-DAEMON@mx.there.test" in report


def test_what_the_sender_wants_to_know_travels_along(sides: Sides):
    """RFC 3461: NOTIFY=SUCCESS and ENVID come back in the report that Postfix makes."""
    with sides.ours.smtp("submissions") as smtp:
        smtp.login(sides.alice.address, sides.alice.password)
        smtp.mail("alice@here.test", ["ENVID=my-own-id", "RET=HDRS"])
        smtp.rcpt("carl@there.test", ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;charles@there.test"])
        smtp.data(mail("alice@here.test", ["carl@there.test"], "tell me"))
    report = sides.alice.wait_for(b"Original-Envelope-Id: my-own-id")
    assert b"Action: delivered" in report
    assert b"Original-Recipient: rfc822;charles@there.test" in report


def test_a_kept_connection_that_postfix_closes_delays_nothing(sides: Sides):
    for number in range(3):
        sides.alice.submit(["carl@there.test"], f"before and after {number}")
        sides.wait_for("carl@there.test", f"Subject: before and after {number}".encode())
        sides.postfix.reload()


def test_postfix_away_and_back(sides: Sides):
    sides.postfix.stop()
    sides.alice.submit(["carl@there.test"], "nobody at home")
    wait_until(lambda: (row := sides.queued("carl@there.test")) and row["attempts"], 30, "the first attempt")
    sides.postfix.start()
    sides.ours.ask("queue.retry", ids=[], everything=True)
    sides.wait_for("carl@there.test", b"Subject: nobody at home")
