"""SASL: PLAIN, LOGIN, string preparation and the base64 clothes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.protocols.sasl import (
    Claim,
    LoginClient,
    PlainClient,
    SaslError,
    decode_response,
    encode_base64,
    parse_login,
    parse_plain,
    prepare,
)


@pytest.mark.parametrize(
    ("message", "claim"),
    [
        (b"\0tim\0tanstaaftanstaaf", Claim("tim", "tanstaaftanstaaf")),  # RFC 4616 §4
        (b"tim\0tim\0secret", Claim("tim", "secret")),
        (b"Tim@Example.ORG\0tim@example.org\0s", Claim("tim@example.org", "s")),
        ("\0jürgen@example.org\0pässword €".encode(), Claim("jürgen@example.org", "pässword €")),
    ],
)
def test_plain_carries_a_name_and_a_password(message: bytes, claim: Claim) -> None:
    assert parse_plain(message) == claim


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0name\0",
        b"\0\0password",
        b"\0name\0password\0",
        b"name\0password",
        b"ursel\0kurt\0xipj3plmq",  # RFC 4616 §4: to act as somebody else
        b"\0name\0pass\rword",
        b"\0na\x01me\0password",
        b"\0name\0\xff\xfe",
        b"\0" + b"n" * 513 + b"\0p",
        b"\0n\0" + b"p" * 1025,
        b"\0n\0" + b"p" * 100_000,
        "\0name\0pass\u200eword".encode(),  # RFC 4013 §2.3: change display properties
        "\0\u00ad\0password".encode(),  # a soft hyphen is mapped to nothing, so the name is empty
    ],
)
def test_plain_refuses_whatever_breaks_its_form(message: bytes) -> None:
    with pytest.raises(SaslError):
        parse_plain(message)


@pytest.mark.parametrize(
    ("given", "prepared"),
    [  # RFC 4013 §3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("e\u0301", "\u00e9"),
        ("two  blanks ", "two  blanks "),
        ("🐎", "🐎"),
    ],
)
def test_preparation_follows_saslprep(given: str, prepared: str) -> None:
    assert prepare(given) == prepared


@pytest.mark.parametrize("text", ["\x07", "a\x00b", "\x7f", "a\u2028b", "\ue000", "\ud800", "\ufffd", "a\u0340\u200f"])
def test_preparation_refuses_prohibited_characters(text: str) -> None:
    with pytest.raises(SaslError):
        prepare(text)


@given(st.text(max_size=40))
def test_preparing_twice_is_preparing_once(text: str) -> None:
    try:
        once = prepare(text)
        assert prepare(once) == once
    except SaslError:
        pass


@given(st.binary(max_size=80))
def test_any_octets_give_a_claim_or_a_sasl_error(octets: bytes) -> None:
    for parse in (parse_plain, lambda message: parse_login(message, b"x"), decode_response):
        try:
            parse(octets)
        except SaslError:
            pass


def test_login_answers_are_name_and_password() -> None:
    assert parse_login(b"alice@example.org", b"secret") == Claim("alice@example.org", "secret")
    for name, password in ((b"", b"x"), (b"x", b""), (b"a\0b", b"x"), (b"x", b"a\0b"), (b"x", b"\xff")):
        with pytest.raises(SaslError):
            parse_login(name, password)


@pytest.mark.parametrize(
    ("line", "octets"), [(b"*", None), (b"=", b""), (b"", b""), (b"AGEAYg==", b"\0a\0b"), (encode_base64(b"x" * 300), b"x" * 300)]
)
def test_a_response_line_is_base64_or_a_cancel(line: bytes, octets: bytes | None) -> None:
    assert decode_response(line) == octets


@pytest.mark.parametrize(
    "line", [b"A", b"AGEAYg=", b"AGEAYg", b"AGE AYg==", b"AGEAYg==x", b"=AGE", b"==", b"!!!!", b"**", b"\xff\xff", b"A" * 20_000]
)
def test_a_response_line_that_is_not_strict_base64_is_refused(line: bytes) -> None:
    with pytest.raises(SaslError):
        decode_response(line)


def test_a_claim_never_shows_its_password() -> None:
    assert "secret" not in repr(Claim("alice", "secret"))


def test_our_clients_are_understood_by_our_servers() -> None:
    assert parse_plain(PlainClient("ali ce", "säcret").initial()) == Claim("ali ce", "säcret")
    client = LoginClient("alice", "secret")
    assert client.initial() is None
    name = client.respond(b"User Name\0")
    assert not client.is_complete
    assert parse_login(name, client.respond(b"Password\0")) == Claim("alice", "secret")
    assert client.is_complete
    with pytest.raises(SaslError):
        client.respond(b"again")
