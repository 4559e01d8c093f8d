from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message import build
from postillon.message.addresses import parse_addresses
from postillon.message.build import BuildError
from postillon.message.encoded_words import decode, decode_parameters
from postillon.message.header import fields, unfold
from postillon.message.structure import scan, survey
from postillon.message.text import part_text
from postillon.model.address import Address

ANN = Address("ann", "example.org")
LINE = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200)


def value(octets: bytes) -> bytes:
    [field] = fields(octets)
    return unfold(field.value)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (build.text("Subject", "Hello"), b"Subject: Hello\r\n"),
        (build.text("Subject", "café"), b"Subject: =?utf-8?q?caf=C3=A9?=\r\n"),
        (build.date("Date", 1705302000, 60), b"Date: Mon, 15 Jan 2024 08:00:00 +0100\r\n"),
        (build.message_id("References", ["a@x", "b@y"]), b"References: <a@x> <b@y>\r\n"),
        (build.addresses("To", [("", ANN)]), b"To: ann@example.org\r\n"),
        (build.addresses("To", [("Ann Lee", ANN), ("", ANN)]), b"To: Ann Lee <ann@example.org>, ann@example.org\r\n"),
        (build.addresses("To", [('Lee, "Ann"', ANN)]), b'To: "Lee, \\"Ann\\"" <ann@example.org>\r\n'),
        (build.addresses("To", [("Änn", ANN)]), b"To: =?utf-8?q?=C3=84nn?= <ann@example.org>\r\n"),
        (build.addresses("To", [("", Address("a b", "x.org"))]), b'To: <"a b"@x.org>\r\n'),
        (build.content_type("text/plain", charset="utf-8"), b"Content-Type: text/plain; charset=utf-8\r\n"),
        (build.disposition("attachment", filename="a b"), b'Content-Disposition: attachment; filename="a b"\r\n'),
        (build.raw("X", b""), b"X: \r\n"),
    ],
)
def test_fields(octets: bytes, expected: bytes):
    assert octets == expected


@pytest.mark.parametrize("bad", ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "\r\n"])
def test_no_value_becomes_another_field(bad: str):
    for write in (
        lambda: build.text("Subject", bad),
        lambda: build.raw("Subject", bad.encode()),
        lambda: build.addresses("To", [(bad, ANN)]),
        lambda: build.addresses("To", [("x", Address(bad, "x.org"))]),
        lambda: build.addresses("To", [("x", Address("x", bad))]),
        lambda: build.message_id("Message-ID", [f"a{bad}@x"]),
        lambda: build.content_type("text/plain", name=bad),
        lambda: build.content_type(f"text/{bad}"),
        lambda: build.disposition(bad),
        lambda: build.text(f"X{bad}", "x"),
        lambda: build.multipart("mixed", bad, []),
    ):
        with pytest.raises(BuildError):
            write()


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "x" * 80])
def test_a_name_is_a_name(name: str):
    with pytest.raises(BuildError):
        build.text(name, "x")


@pytest.mark.parametrize("one", ["", "a", "a@", "@b", "a b@c", "<a@b>"])
def test_an_id_is_an_id(one: str):
    with pytest.raises(BuildError):
        build.message_id("Message-ID", [one])


def test_a_list_has_somebody():
    with pytest.raises(BuildError):
        build.addresses("To", [])
    with pytest.raises(BuildError):
        build.message_id("References", [])


@given(LINE)
def test_text_comes_back(line: str):
    octets = build.text("Subject", line)
    assert decode(value(octets)).strip(" ") == line.strip(" ")
    assert octets.count(b"\r\n ") == octets.count(b"\r\n") - 1
    # Nothing is folded right after the name, and a word is never cut.
    longest = max(map(len, line.encode().split(b" "))) if line.isascii() else 75
    assert all(len(one) <= max(build.LINE, longest + len("Subject: ")) for one in octets.split(b"\r\n"))


@given(st.lists(LINE, min_size=1, max_size=8))
def test_names_come_back(names: list[str]):
    octets = build.addresses("To", [(name, ANN) for name in names])
    found = parse_addresses(value(octets))
    assert found.defects == ()
    assert [one.address() for one in found.addresses] == [ANN] * len(names)
    assert [" ".join(decode(one.name).split()) for one in found.addresses] == [" ".join(name.split()) for name in names]


@given(LINE)
def test_file_names_come_back(name: str):
    part = scan(build.attachment(b"x", filename=name))
    assert decode_parameters(part.disposition_params).get("filename", "").strip(" ") == name.strip(" ")


def test_folding_needs_a_space():
    assert build.raw("X", b"a" * 100 + b" b") == b"X: " + b"a" * 100 + b"\r\n b\r\n"
    assert build.raw("X", b"x " * 60).count(b"\r\n ") == 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\x0b\x0c"), max_size=300))
def test_text_parts_come_back(text: str):
    octets = build.text_part(text)
    part = scan(octets)
    expected = text if text.endswith("\n") or not text else text + "\n"
    assert part_text(part, octets[part.body_start :]) == expected
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    assert octets.isascii()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", b"7bit"),
        ("x" * 2000, b"quoted-printable"),
        ("café au lait et croissant", b"quoted-printable"),
        ("日本" * 50, b"base64"),
    ],
)
def test_the_encoding_fits_the_text(text: str, encoding: bytes):
    assert scan(build.text_part(text)).encoding == encoding


def test_a_multipart_is_read_back():
    parts = [build.text_part("hello"), build.attachment(b"\0\1\2" * 50, "image/png", "é.png")]
    octets = build.multipart("mixed", "=_b", parts)
    found = survey(octets)
    assert found.ambiguities == ()
    assert [part.content_type for part in found.part.children] == [b"text/plain", b"image/png"]
    others = email.message_from_bytes(octets, policy=email.policy.default)  # type: ignore[arg-type]
    assert [part.get_content() for part in others.iter_parts()] == ["hello\r\n", b"\0\1\2" * 50]  # type: ignore[attr-defined]
    assert [part.get_filename() for part in others.iter_parts()] == [None, "é.png"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", [b"\r\n--b\r\n", b"--b", b"x\r\n\r\n--bc"])
def test_a_boundary_occurs_in_no_part(part: bytes):
    with pytest.raises(BuildError):
        build.multipart("mixed", "b", [part])
