"""Failure reports of other servers: whom they are about, and what is none."""

from __future__ import annotations

import pytest

from postillon.message import bounced
from postillon.message.dsn import Original, Reported, report
from postillon.model.address import Address
from postillon.model.envelope import Recipient
from postillon.model.queue import Outcome, OutcomeKind

POSTFIX = b"""\
From: MAILER-DAEMON@there.test (Mail Delivery System)\r
Subject: Undelivered Mail Returned to Sender\r
To: alice@example.test\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary="ABC.1"\r
\r
This is a MIME-encapsulated message.\r
\r
--ABC.1\r
Content-Description: Notification\r
Content-Type: text/plain; charset=us-ascii\r
\r
I'm sorry to have to inform you that your message could not be delivered.\r
\r
--ABC.1\r
Content-Description: Delivery report\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; there.test\r
X-Postfix-Queue-ID: 4F1\r
\r
Final-Recipient: rfc822; gone@inside.there.test\r
Original-Recipient: rfc822;gone@there.test\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: x-postfix; unknown user:\r
    "gone"\r
\r
Final-Recipient: rfc822; late@there.test\r
Action: delayed\r
Status: 4.4.1\r
\r
Final-Recipient: rfc822; full@there.test\r
Action: failed\r
Status: 5.2.2\r
\r
--ABC.1\r
Content-Description: Undelivered Message Headers\r
Content-Type: text/rfc822-headers\r
\r
From: alice@example.test\r
Message-ID: <8787KJKJ3K4J3K4J3K4J3.mail@example.test>\r
\r
--ABC.1--\r
"""


def test_the_failed_recipients_are_told_as_their_sender_wrote_them():
    assert bounced.may_be_bounce(POSTFIX.partition(b"\r\n\r\n")[0])
    assert bounced.read(POSTFIX) == bounced.Bounced(
        "8787KJKJ3K4J3K4J3K4J3.mail@example.test",
        (
            bounced.Failed(Address.parse("gone@there.test"), "5.1.1", 'unknown user: "gone"'),
            bounced.Failed(Address.parse("full@there.test"), "5.2.2", ""),
        ),
    )


def test_our_own_reports_are_read_back():
    original = Original(Address.parse("alice@example.test"), b"Message-ID: <1@example.test>\r\n\r\n", 0)
    outcome = Outcome(OutcomeKind.FAILED, "5.1.1", "nobody", "mx [192.0.2.1]", 550)
    recipient = Recipient(Address.parse("bob@there.test"))
    made = report(original, [Reported(recipient, outcome)], host="h.test", at=0, message_id="r@h.test", boundary="=b")
    found = bounced.read(made)
    assert found == bounced.Bounced("1@example.test", (bounced.Failed(recipient.address, "5.1.1", "550 5.1.1 nobody"),))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"report-type=delivery-status", b"report-type=feedback-report"),
        (b"multipart/report", b"multipart/mixed"),
        (b"Action: failed", b"Action: relayed"),
        (b"message/delivery-status", b"text/plain"),
    ],
)
def test_what_reports_no_failure(before: bytes, after: bytes):
    assert bounced.read(POSTFIX.replace(before, after)) is None


def test_a_cut_report_is_no_trouble():
    for at in range(0, len(POSTFIX), 7):
        bounced.read(POSTFIX[:at])
