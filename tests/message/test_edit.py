from __future__ import annotations

import pytest
from hypothesis import given

from postillon.message.build import BuildError
from postillon.message.edit import missing_fields, without_fields
from postillon.message.header import fields, header_end
from postillon.message.octets import Octets
from postillon.message.structure import scan, section

from .corpus import MIXED, shuffled

MESSAGE = b"From: a@x\r\nBcc: secret@y,\r\n other@y\r\nSubject: s\r\nRESENT-BCC : z@z\r\n\r\nBcc: this is text\r\n"


def octets(rope: Octets, blob: bytes) -> bytes:
    return b"".join(one if isinstance(one, bytes) else blob[one[0] : one[1]] for one in rope.segments)


def header(message: bytes) -> bytes:
    return message[: header_end(message, 0, len(message))]


def test_blind_copies_are_left_out():
    rope = without_fields(header(MESSAGE), len(MESSAGE))
    assert octets(rope, MESSAGE) == b"From: a@x\r\nSubject: s\r\n\r\nBcc: this is text\r\n"
    assert rope.size == len(octets(rope, MESSAGE))


def test_without_such_fields_it_is_the_whole_blob():
    assert without_fields(header(MIXED), len(MIXED)) == Octets.whole(len(MIXED))


def test_no_field_hides_behind_a_long_header():
    message = b"X: y\r\n" * 400_000 + b"Bcc: secret@y\r\n\r\n"
    assert b"secret" not in octets(without_fields(header(message), len(message)), message)


def test_sections_of_the_copy_are_found_by_the_difference():
    message = b"Bcc: secret@y\r\n" + MIXED
    rope = without_fields(header(message), len(message)).with_prefix(b"Received: x\r\n")
    copy, tree = octets(rope, message), scan(message)
    found = section(tree, (1, 1), None, rope.size - len(message))
    assert found is not None
    assert copy[found[0] : found[1]] == b"caf=C3=A9"


@given(shuffled("Bcc: bcc: A: x CRLF LF CR SP : 8BIT"))
def test_nothing_else_is_lost(message: bytes):
    rest = octets(without_fields(header(message), len(message)), message)
    kept = [field for field in fields(header(message)) if field.name.lower() != b"bcc"]
    assert [(field.name, field.value) for field in fields(header(message)) if field in kept] == [
        (field.name, field.value) for field in kept
    ]
    assert len(rest) == len(message) - sum(
        field.stop - field.start for field in fields(header(message)) if field.name.lower() == b"bcc"
    )


@pytest.mark.parametrize(
    ("head", "added"),
    [
        (b"Date: x\r\nMESSAGE-ID: <a@b>\r\n\r\n", b""),
        (b"Date: x\r\n\r\n", b"Message-ID: <1@example.org>\r\n"),
        (b"Message-ID: <a@b>\r\n\r\n", b"Date: Mon, 15 Jan 2024 08:00:00 +0100\r\n"),
        (b"", b"Date: Mon, 15 Jan 2024 08:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n"),
    ],
)
def test_missing_fields_are_made(head: bytes, added: bytes):
    assert missing_fields(head, at=1705302000, zone=60, message_id="1@example.org") == added


def test_a_bad_message_id_is_refused():
    with pytest.raises(BuildError):
        missing_fields(b"", at=0, message_id="a\r\nb@c")
