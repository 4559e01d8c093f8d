"""Complaints as providers send them (RFC 5965), and what is none."""

from __future__ import annotations

import pytest

from postillon.message import arf
from postillon.model.address import Address

REPORT = b"""\
From: fbl@provider.test\r
To: abuse@example.test\r
Subject: FW: Earn money\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=feedback-report;\r
 boundary="b1"\r
\r
--b1\r
Content-Type: text/plain; charset="US-ASCII"\r
\r
This is an email abuse report.\r
--b1\r
Content-Type: message/feedback-report\r
\r
Feedback-Type: abuse\r
User-Agent: SomeGenerator/1.0\r
Version: 1\r
Original-Mail-From: <alice@example.test>\r
Original-Rcpt-To: <user@provider.test>\r
\r
--b1\r
Content-Type: message/rfc822\r
Content-Disposition: inline\r
\r
From: <alice@example.test>\r
Subject: Earn money\r
Message-ID: <8787KJKJ3K4J3K4J3K4J3.mail@example.test>\r
\r
Spam Spam Spam\r
--b1--\r
"""


def test_a_complaint_tells_who_complains_about_what():
    assert arf.may_be_complaint(REPORT.partition(b"\r\n\r\n")[0])
    complaint = arf.read(REPORT)
    assert complaint == arf.Complaint(
        "abuse", "8787KJKJ3K4J3K4J3K4J3.mail@example.test", Address.parse("user@provider.test"), "SomeGenerator/1.0"
    )


def test_the_original_may_be_its_header_only_and_the_recipient_taken_out():
    message = REPORT.replace(b"message/rfc822", b"text/rfc822-headers").replace(b"<user@provider.test>", b"redacted")
    complaint = arf.read(message)
    assert complaint is not None and complaint.recipient is None
    assert complaint.message_id == "8787KJKJ3K4J3K4J3K4J3.mail@example.test"


def test_the_machine_part_may_be_encoded():
    import base64

    fields = b"Feedback-Type: opt-out\r\nUser-Agent: x\r\nVersion: 1\r\n"
    start = REPORT.index(b"Feedback-Type")
    stop = REPORT.index(b"\r\n--b1\r\nContent-Type: message/rfc822")
    message = REPORT[:start] + base64.b64encode(fields) + REPORT[stop:]
    message = message.replace(b"message/feedback-report\r\n", b"message/feedback-report\r\nContent-Transfer-Encoding: base64\r\n")
    complaint = arf.read(message)
    assert complaint is not None and complaint.kind == "opt-out"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"report-type=feedback-report", b"report-type=delivery-status"),
        (b"multipart/report", b"multipart/mixed"),
        (b"Feedback-Type: abuse", b"Feedback-Type: not-spam"),
        (b"Feedback-Type: abuse\r\n", b""),
        (b"message/feedback-report", b"text/plain"),
    ],
)
def test_what_is_no_complaint(before: bytes, after: bytes):
    assert arf.read(REPORT.replace(before, after, 1)) is None


def test_a_cut_report_is_no_trouble():
    for at in range(0, len(REPORT), 7):
        arf.read(REPORT[:at])
