from __future__ import annotations

import email
from dataclasses import replace
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.build import BuildError
from postillon.message.dsn import Original, Reported, report, typed_address
from postillon.message.header import first
from postillon.message.structure import scan, survey
from postillon.message.text import part_text
from postillon.model.address import Address
from postillon.model.envelope import Recipient
from postillon.model.queue import Outcome, OutcomeKind

from .corpus import PLAIN

ALICE, BOB = Address("alice", "example.org"), Address("bob", "example.net")
HEADER = PLAIN[: PLAIN.index(b"\r\n\r\n") + 4]
ORIGINAL = Original(ALICE, HEADER, 1705302000, envid="QQ314159")
FAILED = Outcome(OutcomeKind.FAILED, "5.1.1", "No such user", "mx.example.net [192.0.2.1]", 550)
DELAYED = Outcome(OutcomeKind.DEFERRED, "4.4.1", "connection timed out")
RELAYED = Outcome(OutcomeKind.DELIVERED, "2.0.0", "ok", "mx.example.net [192.0.2.1]", 250)
DELIVERED = Outcome(OutcomeKind.DELIVERED, "2.0.0", "filed")


def made(*reported: Reported, original: Original = ORIGINAL, **more: object) -> bytes:
    keywords: dict[str, object] = {
        "host": "mx.example.org",
        "at": 1705302600,
        "message_id": "r1@mx.example.org",
        "boundary": "=_b",
    }
    return report(original, reported, **(keywords | more))  # type: ignore[arg-type]


def status(octets: bytes) -> list[Message]:
    """The blocks of fields of the second part, as others read them."""
    return email.message_from_bytes(octets).get_payload(1).get_payload()  # type: ignore[union-attr,return-value]


def test_a_failure_is_told_to_people_and_programs():
    octets = made(Reported(Recipient(BOB, original="rfc822;Bob@example.net"), FAILED, 1705302500))
    found = survey(octets)
    assert found.ambiguities == ()
    assert dict(found.part.params)[b"report-type"] == b"delivery-status"
    assert [part.content_type for part in found.part.children] == [
        b"text/plain",
        b"message/delivery-status",
        b"text/rfc822-headers",
    ]
    assert first(octets, b"from") == b"Mail Delivery System <MAILER-DAEMON@mx.example.org>"
    assert first(octets, b"to") == b"alice@example.org"
    assert first(octets, b"subject") == b"Not delivered: Lunch"
    assert first(octets, b"auto-submitted") == b"auto-replied"
    assert first(octets, b"in-reply-to") == b"<1@example.org>"
    words = found.part.children[0]
    text = part_text(words, octets[words.body_start : words.body_end])
    assert "    bob@example.net\n        mx.example.net [192.0.2.1] said: 550 No such user\n" in text
    about_message, about_bob = status(octets)
    assert about_message.items() == [
        ("Original-Envelope-Id", "QQ314159"),
        ("Reporting-MTA", "dns; mx.example.org"),
        ("Arrival-Date", "Mon, 15 Jan 2024 07:00:00 +0000"),
    ]
    assert about_bob.items() == [
        ("Original-Recipient", "rfc822;Bob@example.net"),
        ("Final-Recipient", "rfc822; bob@example.net"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.example.net"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 No such user"),
        ("Last-Attempt-Date", "Mon, 15 Jan 2024 07:08:20 +0000"),
    ]


def test_the_header_is_returned_unless_the_message_is():
    octets = made(Reported(Recipient(BOB), FAILED))
    returned = scan(octets).children[2]
    assert octets[returned.body_start : returned.body_end] == HEADER[:-2]
    octets = made(Reported(Recipient(BOB), FAILED), original=Original(ALICE, HEADER, 1705302000, content=PLAIN))
    returned = scan(octets).children[2]
    assert returned.content_type == b"message/rfc822"
    assert octets[returned.body_start : returned.body_end] == PLAIN


def test_eight_bit_content_is_labelled():
    content = PLAIN + "café\r\n".encode()
    octets = made(Reported(Recipient(BOB), FAILED), original=Original(ALICE, HEADER, 1705302000, content=content))
    tree = scan(octets)
    assert (tree.encoding, tree.children[2].encoding) == (b"8bit", b"8bit")
    assert tree.children[2].message is not None


@pytest.mark.parametrize(
    ("outcome", "action", "subject"),
    [
        (FAILED, "failed", b"Not delivered: Lunch"),
        (DELAYED, "delayed", b"Delayed: Lunch"),
        (RELAYED, "relayed", b"Delivered: Lunch"),
        (DELIVERED, "delivered", b"Delivered: Lunch"),
    ],
)
def test_the_action_follows_the_outcome(outcome: Outcome, action: str, subject: bytes):
    octets = made(Reported(Recipient(BOB), outcome), retry_until=1705700000)
    block = status(octets)[1]
    assert block["Action"] == action
    assert ("Will-Retry-Until" in block) is (action == "delayed")
    assert first(octets, b"subject") == subject


def test_of_several_recipients_the_worst_names_the_report():
    octets = made(Reported(Recipient(ALICE), DELIVERED), Reported(Recipient(BOB), FAILED))
    assert first(octets, b"subject") == b"Not delivered: Lunch"
    assert [block["Action"] for block in status(octets)[1:]] == ["delivered", "failed"]


def test_an_author_may_be_named():
    octets = made(Reported(Recipient(BOB), FAILED), author=Address("postmaster", "example.org"))
    assert first(octets, b"from") == b"Mail Delivery System <postmaster@example.org>"


def test_a_report_is_about_somebody():
    with pytest.raises(BuildError):
        made()


WORDS = st.text(max_size=80)


@given(WORDS, WORDS, WORDS, WORDS, st.binary(max_size=80))
def test_strange_words_make_no_fields(said: str, remote: str, code: str, envid: str, subject: bytes):
    outcome = Outcome(OutcomeKind.FAILED, code, said, remote, 550)
    header = b"Message-ID: <" + subject + b"@x>\r\nSubject: " + subject + b"\r\n\r\n"
    octets = made(
        Reported(Recipient(BOB, original=f"rfc822;{said}"), outcome),
        original=Original(ALICE, header, 0, envid=envid),
        boundary="=_unlikely",
    )
    tree = scan(octets)
    assert [part.content_type for part in tree.children] == [b"text/plain", b"message/delivery-status", b"text/rfc822-headers"]
    assert {name.lower() for name in email.message_from_bytes(octets)} <= {
        "from", "to", "subject", "date", "message-id", "in-reply-to", "references", "auto-submitted", "mime-version",
        "content-transfer-encoding", "content-type",
    }  # fmt: skip
    status_part = tree.children[1]
    blocks = octets[status_part.body_start : status_part.body_end]
    assert blocks.isascii()
    assert blocks.count(b"\r\n\r\n") == 1
    assert b"\r\nStatus: " in blocks


def test_international_addresses_have_a_type_of_their_own():
    assert typed_address(Address("jörg+x", "example.org")) == "utf-8; j\\x{F6}rg\\x{2B}x@example.org"
    octets = made(Reported(Recipient(Address("jörg", "example.org")), FAILED))
    assert status(octets)[1]["Final-Recipient"] == "utf-8; j\\x{F6}rg@example.org"


def test_a_report_about_international_mail_says_its_addresses_and_header_as_they_are():
    header = "From: jörg@example.org\r\nSubject: Grüße\r\n\r\n".encode()
    original = replace(ORIGINAL, header=header, smtputf8=True)
    octets = made(Reported(Recipient(Address("jörg+x", "example.org")), FAILED), original=original)
    part, returned = survey(octets).part.children[1:]
    assert part.content_type == b"message/global-delivery-status" and part.encoding == b"8bit"
    assert "\r\nFinal-Recipient: utf-8; jörg\\x{2B}x@example.org\r\n".encode() in octets[part.body_start : part.body_end]
    assert returned.content_type == b"message/global-headers" and returned.encoding == b"8bit"
    assert "Subject: Grüße".encode() in octets[returned.body_start : returned.body_end]
    whole = made(Reported(Recipient(BOB), FAILED), original=replace(original, content=header + b"x\r\n"))
    assert [child.content_type for child in survey(whole).part.children[1:]] == [b"message/delivery-status", b"message/global"]
