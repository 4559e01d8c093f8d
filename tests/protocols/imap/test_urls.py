"""IMAP URLs of messages and their parts (RFC 5092), with access (RFC 4467)."""

from __future__ import annotations

import random

import pytest

from postillon.protocols.imap.fetch_attributes import Kind
from postillon.protocols.imap.urls import BadUrl, parse


def test_a_path_names_mailbox_uidvalidity_uid_and_section():
    url = parse(b"/Work/2026;UIDVALIDITY=385759045/;UID=20/;SECTION=1.2/;PARTIAL=0.1024")
    assert (url.mailbox, url.uidvalidity, url.uid, url.host) == ("Work/2026", 385759045, 20, "")
    assert (url.section.part, url.section.kind, url.section.partial) == ((1, 2), Kind.ALL, (0, 1024))


def test_an_absolute_url_has_user_host_and_port():
    url = parse(b"imap://ann%40example.org;AUTH=*@Mail.Example.ORG:1143/gray-council/;uid=20/;section=HEADER")
    assert (url.user, url.host, url.port, url.mailbox) == ("ann@example.org", "mail.example.org", 1143, "gray-council")
    assert url.section.kind is Kind.HEADER
    assert parse(b"imap://[::1]/INBOX/;UID=1").host == "[::1]"


def test_names_are_utf8_with_percent_signs():
    assert parse(b"/Entw%C3%BCrfe%20alt/;UID=1").mailbox == "Entwürfe alt"
    assert parse(b"/inbox/;UID=1").mailbox == "INBOX"


def test_without_a_mailbox_the_selected_one_is_meant():
    assert parse(b";UID=7/;SECTION=TEXT").mailbox is None
    assert parse(b"/;UID=7").mailbox is None


def test_header_fields_are_a_section():
    section = parse(b"/INBOX/;UID=20/;SECTION=1.HEADER.FIELDS%20(Subject%20To)").section
    assert (section.part, section.kind, section.fields) == ((1,), Kind.FIELDS, (b"subject", b"to"))


def test_access_expiry_and_token():
    url = parse(
        b"imap://joe@example.com/INBOX/;uid=20/;section=1.2;expire=2026-01-02T03:04:05+01:00;urlauth=submit+fred"
        b":internal:91354a473744909de610943775f92038"
    )
    assert url.expires == 1767319445
    assert url.access is not None
    assert (url.access.who, url.access.mechanism) == ("submit+fred", "INTERNAL")
    assert url.access.token == bytes.fromhex("91354a473744909de610943775f92038")
    assert url.access.rump.endswith(b";urlauth=submit+fred")


@pytest.mark.parametrize(
    "url",
    [
        b"",
        b"INBOX/;UID=1",
        b"//host/;UID=1",
        b"/INBOX",
        b"/INBOX/;UID=0",
        b"/INBOX/;UID=4294967296",
        b"/INBOX/;UID=1/;SECTION=",
        b"/INBOX/;UID=1/;SECTION=1.",
        b"/INBOX/;UID=1/;SECTION=1]<0.5>",
        b"/INBOX/;UID=1/;SECTION=MIME",
        b"/INBOX/;UID=1/;PARTIAL=x",
        b"/INBOX%/;UID=1",
        b"/INBOX%zz/;UID=1",
        b"/INBOX%0a/;UID=1",
        b"/INBOX%ff/;UID=1",
        b"/INB OX/;UID=1",
        b"imap://host/;UID=1",
        b"imap://a:b@host/INBOX/;UID=1",
        b"imaps://host/INBOX/;UID=1",
        b"http://host/INBOX/;UID=1",
        b"/INBOX/;UID=1;URLAUTH=anonymous",
        b"imap://a@b/INBOX/;UID=1;URLAUTH=submit+",
        b"imap://a@b/INBOX/;UID=1;URLAUTH=everybody",
        b"imap://a@b/INBOX/;UID=1;EXPIRE=2026-13-01T00:00:00Z;URLAUTH=anonymous",
        b"imap://a@b/INBOX/;UID=1;EXPIRE=2026-12-01T00:00:00;URLAUTH=anonymous",
        b"/INBOX/;UID=1" + b"0" * 5000,
    ],
)
def test_what_is_no_url_of_a_message_is_refused(url: bytes):
    with pytest.raises(BadUrl):
        parse(url)


def test_noise_is_parsed_or_refused():
    rng = random.Random(11)
    pieces = [
        b"imap://",
        b"a@",
        b"host",
        b"/",
        b";UID=",
        b"1",
        b";SECTION=",
        b"HEADER",
        b"1.2",
        b";PARTIAL=",
        b"0.9",
        b"%41",
        b"%",
    ]
    pieces += [
        b";EXPIRE=",
        b"2026-01-01T00:00:00Z",
        b";URLAUTH=",
        b"anonymous",
        b":",
        b"INTERNAL",
        b"00" * 16,
        b"(",
        b"\xff",
        b"]",
        b"INBOX",
    ]
    for _ in range(5000):
        try:
            parse(b"".join(rng.choices(pieces, k=rng.randrange(14))))
        except BadUrl:
            continue
