"""TLS reports (RFC 8460): the record that asks for them, the document, the message, and what others write."""

from __future__ import annotations

import json

import pytest

from postillon.message.report_parts import report_parts
from postillon.message.tlsrpt import (
    NO_POLICY,
    BadTlsReport,
    Failure,
    PolicySessions,
    UsedPolicy,
    decode,
    encode,
    file_name,
    mail,
    mail_address,
    report_of,
    wanted_at,
)
from postillon.model.address import Address

STS = UsedPolicy("sts", ("version: STSv1", "mode: testing", "mx: *.there.test", "max_age: 86400"), ("*.there.test",))
EXPIRED = Failure("certificate-expired", "mx1.there.test", "192.0.2.9", "198.51.100.2", "certificate has expired")
REPORT = report_of(
    20_000,
    [PolicySessions("there.test", STS, 5326, ((EXPIRED, 100),)), PolicySessions("there.test", NO_POLICY, 3)],
    organization="example.test",
    contact="postmaster@example.test",
    report_id="20000.1@example.test",
)


@pytest.mark.parametrize(
    ("records", "uris"),
    [
        (("v=TLSRPTv1; rua=mailto:reports@there.test",), ("mailto:reports@there.test",)),
        (
            ("v=TLSRPTv1;rua=https://r.there.test/v1/tlsrpt , mailto:a@b.test",),
            ("https://r.there.test/v1/tlsrpt", "mailto:a@b.test"),
        ),
        (("v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.test; other=1"), ("mailto:a@b.test",)),
        (("v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:c@d.test"), ()),
        (("v=TLSRPTv1; rua=ftp://there.test/x",), ()),
        (("v=TLSRPTv10; rua=mailto:a@b.test",), ()),
        (("v=TLSRPTv1;",), ()),
        ((), ()),
    ],
)
def test_record_says_who_wants_reports(records: tuple[str, ...], uris: tuple[str, ...]) -> None:
    assert wanted_at(records) == uris


def test_mailto_uri_is_an_address() -> None:
    assert mail_address("mailto:tls%2Breports@there.test?subject=x") == "tls+reports@there.test"
    assert mail_address("https://there.test/a@b.test") == ""


def test_document_has_the_names_of_the_rfc() -> None:
    value = json.loads(encode(REPORT))
    assert value["date-range"] == {"start-datetime": "2024-10-04T00:00:00Z", "end-datetime": "2024-10-04T23:59:59Z"}
    assert value["policies"][0] == {
        "policy": {
            "policy-type": "sts",
            "policy-string": ["version: STSv1", "mode: testing", "mx: *.there.test", "max_age: 86400"],
            "policy-domain": "there.test",
            "mx-host": ["*.there.test"],
        },
        "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 100},
        "failure-details": [
            {
                "result-type": "certificate-expired",
                "failed-session-count": 100,
                "sending-mta-ip": "198.51.100.2",
                "receiving-mx-hostname": "mx1.there.test",
                "receiving-ip": "192.0.2.9",
                "failure-reason-code": "certificate has expired",
            }
        ],
    }
    assert "failure-details" not in value["policies"][1]


def test_what_is_written_is_read() -> None:
    assert decode(encode(REPORT)) == REPORT


def test_message_carries_the_report_as_the_rfc_wants_it() -> None:
    octets = mail(
        REPORT,
        domain="there.test",
        submitter="example.test",
        sender=Address.parse("postmaster@example.test"),
        to=Address.parse("reports@there.test"),
        at=REPORT.stop,
        name="1.tlsrpt",
    )
    header = octets.partition(b"\r\n\r\n")[0]
    for field in (
        b"TLS-Report-Domain: there.test",
        b"TLS-Report-Submitter: example.test",
        b"TLS-Required: No",
        b"From: postmaster@example.test",
        b"multipart/report; report-type=tlsrpt",
        b"Message-ID: <1.tlsrpt@example.test>",
    ):
        assert field in header, field
    (part,) = report_parts(octets)
    assert part.content_type == "application/tlsrpt+gzip"
    assert (
        part.name
        == file_name(REPORT, "there.test", "example.test")
        == "example.test!there.test!1728000000!1728086399!20000.1.json.gz"
    )
    assert decode(part.octets) == REPORT
    assert octets.isascii() and all(len(line) <= 998 for line in octets.split(b"\r\n"))


def test_strange_spellings_of_others_are_read() -> None:
    value = json.loads(encode(REPORT))
    value["policies"][0]["policy"] |= {"mx-host": "*.there.test", "policy-domain": "There.Test.", "policy-string": []}
    value["policies"][0]["summary"]["total-successful-session-count"] = "7"
    value["policies"][0]["failure-details"] = []
    value["unknown"] = {"a": [1]}
    value["date-range"]["start-datetime"] = "2024-10-04T02:00:00+02:00"
    found = decode(json.dumps(value).encode())
    assert found.start == REPORT.start
    assert found.policies[0].domain == "there.test"
    assert found.policies[0].successes == 7
    assert found.policies[0].failures == ((Failure("not told"), 100),)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"{" * 100_000,
        encode(REPORT).replace(b"2024-10-04T00", b"soon-10-04T00"),
        encode(REPORT)[:-5],
        json.dumps(json.loads(encode(REPORT)) | {"policies": json.loads(encode(REPORT))["policies"] * 600}).encode(),
    ],
)
def test_what_is_no_report_is_refused(octets: bytes) -> None:
    with pytest.raises(BadTlsReport):
        decode(octets)


def test_remote_text_is_cut_and_printable() -> None:
    value = json.loads(encode(REPORT)) | {"organization-name": "x\x1b[31m" + "y" * 10_000}
    assert decode(json.dumps(value).encode()).organization.startswith("x?[31myy")
    assert len(decode(json.dumps(value).encode()).organization) == 500
