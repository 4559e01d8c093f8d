"""Envelope addresses: whatever we read is written back, and others read it as we do (CVE-2023-27043 and its kind)."""

from __future__ import annotations

import email.policy
from email.errors import HeaderParseError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.model.address import Address, AddressError, parse_domain

ATOM = "abcXYZ019!#$%&'*+/=?^_`{|}~-"
LOCALS = st.text(st.sampled_from(ATOM + '. "\\@()<>,;:[]'), min_size=1, max_size=20)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
DOMAINS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@given(LOCALS, DOMAINS)
def test_an_address_that_is_written_is_read_back(local: str, domain: str) -> None:
    address = Address(local, domain)
    assert Address.parse(str(address)) == address


@given(LOCALS, DOMAINS)
def test_another_reader_finds_the_same_address(local: str, domain: str) -> None:
    address = Address(local, domain)
    header = email.policy.default.header_factory("to", str(address))
    (found,) = header.addresses
    assert (found.username, found.domain) == (local, domain)


@given(st.text(st.sampled_from(ATOM[:4] + '."\\@()<>,;:[] \t\r\n\0é'), max_size=20))
def test_anything_is_an_address_or_refused_and_never_two(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        return
    assert Address.parse(str(address)) == address
    assert not set(str(address)) & set("\r\n\0")
    if not text.isascii():
        return
    try:
        header = email.policy.default.header_factory("to", text)
    except (HeaderParseError, IndexError, ValueError):
        return
    assert [str(one.domain).lower() for one in header.addresses] == [address.domain], "nobody reads another domain into it"


@pytest.mark.parametrize(
    "text",
    [
        "alice@example.org(<@evil.test>)",
        "alice@example.org,bob@evil.test",
        '"alice@example.org"@evil.test@example.org',
        "<alice@example.org>",
        "@relay.test:alice@example.org",
        '""@example.org',
        "alice@example.org\0.evil.test",
        "alice@example.org evil.test",
        "alice @example.org",
        "alice@[127.0.0.1",
        "alice@exa mple.org",
        "alice@.example.org",
        "al..ice@example.org",
        "alice@example.org\r\nBcc: x",
    ],
)
def test_tricks_of_others_are_no_addresses(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(text)


@given(st.text(max_size=300))
def test_any_text_is_a_domain_or_refused(text: str) -> None:
    try:
        domain = parse_domain(text)
    except AddressError:
        return
    assert parse_domain(domain) == domain
    assert domain.isascii() and domain.isprintable() and " " not in domain
