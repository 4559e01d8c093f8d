"""A message made fit for servers that take less: what is said stays, how it is written changes."""

from __future__ import annotations

import email
import email.policy
import random

import pytest

from postillon.message.downgrade import Unconvertible, converted, has_long_line, is_binary, without_signatures

TEXT = "Grüße aus Köln, \u201cwie immer\u201d.\r\nZweite Zeile =20\r\n"
LONG = b"x" * 1200 + b"\r\n"


def leaves(data: bytes) -> list[tuple[str, bytes]]:
    """Type and decoded content of every leaf, as Python's reader sees it."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    return [
        (part.get_content_type(), part.get_payload(decode=True) or b"")
        for part in message.walk()
        if not part.is_multipart() and part.get_content_maintype() != "message"
    ]


def check(data: bytes, seven_bit: bool = True) -> bytes:
    """It is fit now, and says the same."""
    made = converted(data, seven_bit=seven_bit)
    assert not has_long_line(made) and not is_binary(made)
    assert made.isascii() or not seven_bit
    assert [kind for kind, _ in leaves(made)] == [kind for kind, _ in leaves(data)]
    for (_, new), (_, old) in zip(leaves(made), leaves(data), strict=True):
        assert new.strip() == old.strip()
    assert converted(made, seven_bit=seven_bit) == made
    return made


def test_what_is_fit_stays_as_it_is():
    data = b"Subject: x\r\n\r\nhello\r\n"
    assert converted(data, seven_bit=True) == data
    data = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n".encode()
    assert converted(data, seven_bit=False) == data


def test_text_becomes_quoted_printable():
    head = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    made = check(head + TEXT.encode())
    assert made == (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Gr=C3=BC=C3=9Fe aus K=C3=B6ln, =E2=80=9Cwie immer=E2=80=9D.\r\nZweite Zeile =3D20\r\n"
    )


def test_text_of_other_scripts_becomes_base64():
    head = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    assert b"Content-Transfer-Encoding: base64\r\n" in check(head + "здравствуйте".encode() + b"\r\n")


def test_text_without_a_label_gets_one():
    made = check("Subject: x\r\n\r\nGrüße an alle im Haus und im Garten und überall\r\n".encode())
    assert b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" in made
    made = check(b"Subject: x\r\n\r\nGr\xfc\xdfe an alle im Haus und im Garten\r\n")
    assert b"charset=unknown-8bit\r\n" in made


@pytest.mark.parametrize("seven_bit", [True, False])
def test_lines_that_are_too_long_are_broken(seven_bit: bool):
    made = check(b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>" + LONG, seven_bit)
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in made


def test_a_header_with_a_long_line_is_folded():
    names = b", ".join(b"person%d@example.org" % n for n in range(100))
    made = check(b"From: a@example.org\r\nTo: " + names + b"\r\n\r\nx\r\n", False)
    assert made.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ") == b"From: a@example.org\r\nTo: " + names + b"\r\n\r\nx\r\n"


def multipart(*parts: bytes, kind: bytes = b"mixed", encoding: bytes = b"8bit") -> bytes:
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/" + kind + b'; boundary="b"\r\nContent-Transfer-Encoding: ' + encoding
    return head + b"\r\n\r\n" + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + TEXT.encode()
IMAGE = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\r\n\x1a\n\0\0\r\r\n\n"
FIT = b"Content-Type: text/plain\r\n\r\nfit"


def test_only_the_parts_that_need_it_are_changed():
    made = check(multipart(PLAIN, IMAGE, FIT, encoding=b"binary"))
    assert b"Content-Transfer-Encoding: 7bit\r\n" in made and FIT in made
    assert (made.count(b"quoted-printable"), made.count(b"base64")) == (1, 1)
    made = check(multipart(PLAIN, IMAGE, FIT, encoding=b"binary"), seven_bit=False)
    assert PLAIN in made and made.count(b"base64") == 1


def test_messages_inside_are_converted_inside():
    inner = b"Subject: inner\r\n" + multipart(PLAIN, FIT).replace(b'"b"', b'"c"').replace(b"--b", b"--c")
    made = check(multipart(FIT, b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner))
    assert b"8bit" not in made


@pytest.mark.parametrize(
    "data",
    [
        multipart(PLAIN, FIT, kind=b"signed"),
        multipart(FIT, multipart(PLAIN, FIT, kind=b"signed").replace(b'"b"', b'"c"').replace(b"--b", b"--c")),
        "Subject: Grüße\r\n\r\nx\r\n".encode(),
        b"Subject: " + LONG + b"\r\nx\r\n",
        multipart(FIT).replace(b"\r\n\r\n--b", "\r\n\r\nfür die Alten\r\n--b".encode(), 1),
        multipart("Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; ü\r\n".encode()),
    ],
)
def test_what_must_not_be_changed_is_not(data: bytes):
    with pytest.raises(Unconvertible):
        converted(data, seven_bit=True)


def test_a_signed_part_that_is_fit_stays_as_it_is():
    signed = multipart(FIT, FIT, kind=b"signed").replace(b'"b"', b'"c"').replace(b"--b", b"--c").replace(b"8bit", b"7bit")
    made = check(multipart(signed, PLAIN))
    assert signed.partition(b"\r\n\r\n")[2] in made


def test_signatures_that_do_not_hold_go():
    header = b"DKIM-Signature: a=1;\r\n b=2\r\nFrom: a@example.org\r\ndkim-signature: c\r\nSubject: x\r\n\r\n"
    assert without_signatures(header) == b"From: a@example.org\r\nSubject: x\r\n\r\n"


def test_any_octets_are_made_fit_or_left():
    dice = random.Random(4)
    labels = (b"Content-Type: multipart/mixed; boundary=b", b"Content-Transfer-Encoding: binary", b"Content-Type: message/rfc822")
    bits = [b"\r\n", b"\r", b"\n", b"\0", b"\xff", b"--b", b"--b--", b": ", b" ", b"x" * 600, b"\r\n\r\n"]
    bits += [label + b"\r\n" for label in labels]
    made = 0
    for _ in range(2000):
        data = b"".join(dice.choices(bits, k=dice.randint(1, 30)))
        for seven_bit in (True, False):
            try:
                result = converted(data, seven_bit=seven_bit)
            except Unconvertible:
                continue
            made += 1
            assert not has_long_line(result) and not is_binary(result), (data, result)
            assert result.isascii() or not seven_bit
    assert made > 100
