from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.header import fields, header_end, unfold
from postillon.message.trace import comment, hops, received, return_path
from postillon.model.address import Address
from postillon.model.envelope import Client, Tls

AT = 1705302000
CLIENT = Client(
    "192.0.2.1", hello="mail.example.org", reverse_name="mail.example.org", tls=Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
)
BOB = Address("bob", "example.net")


def made(client: Client, **more: object) -> str:
    octets = received(client, by="mx.example.net", trace_id="1a2b", at=AT, **more)  # type: ignore[arg-type]
    assert octets.endswith(b"\r\n")
    assert len(fields(octets)) == 1
    return unfold(fields(octets)[0].value).decode().replace("\t", " ")


def test_received_tells_who_how_and_when():
    assert received(CLIENT, by="mx.example.net", trace_id="1a2b", at=AT, recipient=BOB) == (
        b"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n"
        b"\tby mx.example.net with ESMTPS id 1a2b (version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384)\r\n"
        b"\tfor <bob@example.net>;\r\n"
        b"\tMon, 15 Jan 2024 07:00:00 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("client", "more", "protocol"),
    [
        (Client("192.0.2.1", esmtp=False), {}, "SMTP"),
        (Client("192.0.2.1"), {}, "ESMTP"),
        (Client("192.0.2.1", login="a@x"), {}, "ESMTPA"),
        (Client("192.0.2.1", login="a@x", tls=Tls("TLSv1.3", "x")), {}, "ESMTPSA"),
        (Client("192.0.2.1", tls=Tls("TLSv1.3", "x")), {"utf8": True}, "UTF8SMTPS"),
        (Client("192.0.2.1", protocol="LMTP"), {}, "LMTP"),
        (Client("192.0.2.1", protocol="LMTP"), {"utf8": True}, "UTF8LMTP"),
    ],
)
def test_the_protocol_has_its_registered_name(client: Client, more: dict[str, object], protocol: str):
    assert f" with {protocol} id " in made(client, **more)


@pytest.mark.parametrize(
    ("client", "start"),
    [
        (Client("192.0.2.1", hello="a.example"), "from a.example ([192.0.2.1]) by"),
        (Client("2001:db8::1", hello="[IPv6:2001:db8::1]"), "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by"),
        (Client("192.0.2.1"), "from [192.0.2.1] ([192.0.2.1]) by"),
        (Client("192.0.2.1", hello="evil) by x ("), "from [192.0.2.1] ([192.0.2.1] helo=evil\\) by x \\() by"),
        (Client("192.0.2.1", hello="a\r\nBcc: b"), "from [192.0.2.1] ([192.0.2.1] helo=a??Bcc: b) by"),
        (Client("192.0.2.1", hello="x", reverse_name="a(b"), "from x (a\\(b [192.0.2.1]) by"),
    ],
)
def test_what_the_client_says_cannot_pretend(client: Client, start: str):
    assert made(client).startswith(start)


def test_an_international_recipient_needs_utf8():
    assert "for <" not in made(CLIENT, recipient=Address("jörg", "example.net"))
    assert "for <jörg@example.net>" in made(CLIENT, recipient=Address("jörg", "example.net"), utf8=True)


@given(st.text(), st.text(), st.text())
def test_it_is_one_field_whatever_they_say(hello: str, reverse: str, local: str):
    client = Client("192.0.2.1", hello=hello, reverse_name=reverse)
    octets = received(client, by="mx", trace_id="1", at=AT, recipient=Address(local, "x"), utf8=True)
    assert len(fields(octets)) == 1
    assert header_end(octets, 0, len(octets)) == len(octets)
    octets = return_path(Address(local, "x"))
    assert len(fields(octets)) == 1
    assert octets.count(b"\r\n") == 1


def test_comments_are_quoted():
    assert comment("a(b)c\\\n") == "a\\(b\\)c\\\\?"


def test_return_path():
    assert return_path(None) == b"Return-Path: <>\r\n"
    assert return_path(Address("a b", "x.org")) == b'Return-Path: <"a b"@x.org>\r\n'


def test_hops_are_counted():
    assert hops(b"Received: a\r\nX: b\r\nreceived:\r\n c\r\nX-Received: d\r\n\r\n") == 2
    assert hops(b"") == 0
