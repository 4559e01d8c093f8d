"""Binary bodies become base64, and nothing else changes."""

from __future__ import annotations

import email
import email.policy
import random

import pytest

from postillon.message.binary import as_text


def text(data: bytes) -> bytes:
    return b"".join(as_text(data))


def test_text_stays_as_it_is_but_for_line_ends():
    assert text(b"Subject: x\r\n\r\nbody\r\n") == b"Subject: x\r\n\r\nbody\r\n"
    assert text(b"Subject: x\n\nbody\n") == b"Subject: x\r\n\r\nbody\r\n"
    assert text(b"") == b""


def test_a_body_with_nul_is_base64_and_says_so():
    made = text(b"Subject: x\r\n\r\na\0b")
    assert made == b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBi\r\n"


def test_a_binary_body_keeps_every_octet():
    body = bytes(random.Random(3).randrange(256) for _ in range(3_000_000))
    head = b"MIME-Version: 1.0\r\nContent-Type: image/x\r\ncontent-transfer-encoding:\r\n binary\r\nX-Other: 1\r\n\r\n"
    made = text(head + body)
    assert b"\0" not in made and b"\n" not in made.replace(b"\r\n", b"")
    read = email.message_from_bytes(made, policy=email.policy.default)
    assert read.get_payload(decode=True) == body
    assert read["X-Other"] == "1" and len(read.get_all("content-transfer-encoding")) == 1


def test_only_the_part_that_is_binary_is_encoded():
    whole = (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\npre\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
        b"--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\r\1\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nin\0ner\r\n"
        b"--b--\r\npost\r\n"
    )
    made = text(whole)
    read = email.message_from_bytes(made)
    first, second, third = read.get_payload()
    assert first.get_payload(decode=True) == "Grüße".encode()
    assert second.get_payload(decode=True) == b"\0\n\r\1"
    assert third.get_payload(0).get_payload(decode=True) == b"in\0ner"
    assert made.endswith(b"--b--\r\npost\r\n")
    assert text(made) == made


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: \0\r\n\r\nbody",
        b"Content-Transfer-Encoding: base64\r\n\r\nAA\0A",
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npre\0\r\n--b\r\n\r\nx\r\n--b--\r\n',
    ],
)
def test_nul_that_cannot_be_encoded_is_refused(data: bytes):
    with pytest.raises(ValueError):
        text(data)


def test_noise_gives_text_or_a_refusal():
    rng = random.Random(5)
    pieces = [b"\r\n", b"\n", b"\r", b"\0", b"--b", b"Content-Type: multipart/mixed; boundary=b", b"a: b", b"--", b" "]
    pieces += [b"Content-Transfer-Encoding: binary", b"Content-Type: message/rfc822"]
    for _ in range(2000):
        data = b"".join(rng.choices(pieces, k=rng.randrange(30)))
        try:
            made = text(data)
        except ValueError:
            continue
        assert b"\0" not in made
        assert b"\r" not in made.replace(b"\r\n", b"") and b"\n" not in made.replace(b"\r\n", b"")
