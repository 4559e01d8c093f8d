from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message import addresses
from postillon.message.addresses import MAX_TOKENS, AddressList, Group, HeaderAddress, parse_addresses
from postillon.model.address import Address, AddressError

from .corpus import shuffled


def one(name: str, local: str, domain: str, route: str = "") -> HeaderAddress:
    return HeaderAddress(name.encode(), local.encode(), domain.encode(), route.encode())


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ("a@b.c", [one("", "a", "b.c")]),
        ("<a@b.c>", [one("", "a", "b.c")]),
        ("Jane Doe <jane@example.org>", [one("Jane Doe", "jane", "example.org")]),
        ('"Doe, Jane" <jane@example.org>, x@y', [one("Doe, Jane", "jane", "example.org"), one("", "x", "y")]),
        ('"a \\"b\\" \\\\c" <a@b>', [one('a "b" \\c', "a", "b")]),
        ("John Q. Public <j.q@x>", [one("John Q. Public", "j.q", "x")]),
        ("  John   Doe\t<j@x>", [one("John Doe", "j", "x")]),
        ('Joe "the" Cook <j@x>', [one("Joe the Cook", "j", "x")]),
        ("a@b (Ann)", [one("Ann", "a", "b")]),
        ("(before) a@b", [one("before", "a", "b")]),
        ("a (x) @ (y) b . (z) c", [one("z", "a", "b.c")]),
        ("Ann (x) <a@b> (y)", [one("Ann", "a", "b")]),
        ("<a@b> (Ann (or \\) so))", [one("Ann (or ) so)", "a", "b")]),
        ("a . b @ c . d", [one("", "a.b", "c.d")]),
        ('"john doe"@x', [one("", "john doe", "x")]),
        ('"a"."b"@x', [one("", "a.b", "x")]),
        ("a@[192.0.2.1]", [one("", "a", "[192.0.2.1]")]),
        ("<a@[IPv6:2001:db8::1]>", [one("", "a", "[IPv6:2001:db8::1]")]),
        ("<@x,@y.z:a@b>", [one("", "a", "b", "@x,@y.z")]),
        ("Jörg <jörg@exämple.org>", [one("Jörg", "jörg", "exämple.org")]),
        ("=?utf-8?Q?Doe,_J=2E?= <j@x>", [one("=?utf-8?Q?Doe,_J=2E?=", "j", "x")]),
        ("=?utf-8?Q?a@b?= =?utf-8?B?eA==?= <j@x>", [one("=?utf-8?Q?a@b?= =?utf-8?B?eA==?=", "j", "x")]),
        ("a@b,,c@d,", [one("", "a", "b"), one("", "c", "d")]),
        ("", []),
        (" , ", []),
        ("undisclosed-recipients:;", [Group(b"undisclosed-recipients", ())]),
        ("The Team: a@b, Carl <c@d>;, e@f", [Group(b"The Team", (one("", "a", "b"), one("Carl", "c", "d"))), one("", "e", "f")]),
        ("A:a@b;B:c@d;", [Group(b"A", (one("", "a", "b"),)), Group(b"B", (one("", "c", "d"),))]),
        ("a@b,\r\n c@d", [one("", "a", "b"), one("", "c", "d")]),
    ],
)
def test_what_the_syntax_allows_is_clean(value: str, entries: list[HeaderAddress | Group]):
    assert parse_addresses(value.encode()) == AddressList(tuple(entries), ())


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ("root", [one("", "root", "")]),
        ("root (Cron)", [one("Cron", "root", "")]),
        ("John Doe", [one("", "John Doe", "")]),
        ("John <root>", [one("John", "root", "")]),
        ("<>", [one("", "", "")]),
        ("a@b@c", [one("", "a", "b"), one("", "", "c")]),
        ("a@b <c@d>", [one("a@b", "c", "d")]),
        ("<a@b><c@d>", [one("", "a", "b"), one("", "c", "d")]),
        ("<a@b> c@d", [one("", "a", "b"), one("", "c", "d")]),
        ("a@b c@d", [one("", "a", "b"), one("", "c", "d")]),
        ("a@b x, c@d", [one("", "a", "b"), one("", "c", "d")]),
        ("<a@b> x, c@d", [one("", "a", "b"), one("", "c", "d")]),
        ("a@b; c@d", [one("", "a", "b"), one("", "c", "d")]),
        ("<a@b, c@d", [one("", "a", "b"), one("", "c", "d")]),
        ("<a@b c>, d@e", [one("", "a", "b"), one("", "d", "e")]),
        ("Team: a@b, c@d", [Group(b"Team", (one("", "a", "b"), one("", "c", "d")))]),
        ("A: B: a@b; c@d", [Group(b"A", ()), Group(b"B", (one("", "a", "b"),)), one("", "c", "d")]),
        ('"open <a@b>', [one("", "open <a@b>", "")]),
        ("a@b (open", [one("open", "a", "b")]),
        ("a..b@c", [one("", "a..b", "c")]),
        (".a@c", [one("", ".a", "c")]),
        ("a@b..c", [one("", "a", "b..c")]),
        ("a@", [one("", "a", "")]),
        ("@b", [one("", "", "b")]),
        ("a b@c", [one("", "a b", "c")]),
        ("a\0@b", [one("", "a", "b")]),
        ("<@x a@b>", [one("", "", "x"), one("", "", "b")]),
        ("> a@b", [one("", "a", "b")]),
        ("[1.2.3.4]", [one("", "[1.2.3.4]", "")]),
    ],
)
def test_what_it_does_not_allow_is_shown_and_told(value: str, entries: list[HeaderAddress | Group]):
    found = parse_addresses(value.encode())
    assert list(found.entries) == entries
    assert found.defects


def test_addresses_are_those_in_groups_too():
    found = parse_addresses(b"a@b, G: c@d, e@f;, h@i")
    assert [address.local for address in found.addresses] == [b"a", b"c", b"e", b"h"]


class TestCanonical:
    def test_an_address_of_the_model(self):
        assert one("", "Jane", "Example.ORG").address() == Address("Jane", "example.org")
        assert one("", "john doe", "x.org").address() == Address("john doe", "x.org")
        assert one("", 'a"b\\c', "x.org").address() == Address('a"b\\c', "x.org")
        assert one("", "jörg", "exämple.org").address() == Address("jörg", "xn--exmple-cua.org")

    @pytest.mark.parametrize(
        "bad",
        [one("", "", "x.org"), one("", "a", ""), one("", "a\0", "x"), one("", "a" * 300, "x"), HeaderAddress(b"", b"\xff", b"x")],
    )
    def test_what_is_none_is_an_error(self, bad: HeaderAddress):
        with pytest.raises(AddressError):
            bad.address()


WORD = st.text(alphabet="abcXYZ019!#+_", min_size=1, max_size=6)
NAME = st.lists(WORD, max_size=3).map(" ".join)
DOMAIN = st.lists(st.text(alphabet="abc019", min_size=1, max_size=4), min_size=1, max_size=3).map(".".join)
LOCAL = st.lists(WORD, min_size=1, max_size=3).map(".".join)


@given(st.lists(st.tuples(NAME, LOCAL, DOMAIN, st.booleans()), max_size=6))
def test_a_written_list_is_read_back(made: list[tuple[str, str, str, bool]]):
    text = ", ".join(
        f'"{name}" <{local}@{domain}>' if quoted else f"{name} <{local}@{domain}>" for name, local, domain, quoted in made
    )
    found = parse_addresses(text.encode())
    assert found == AddressList(tuple(one(name, local, domain) for name, local, domain, _ in made), ())


@given(shuffled('a b.c =?utf-8?q?x?= " < > @ , ; : . ( ) [ ] \\ SP SP TAB 8BIT NUL CRLF <a@b> a@b "q" x'))
def test_the_short_way_and_the_long_way_agree(value: bytes):
    long_way = addresses._Reader(value).read()
    assert parse_addresses(value) == long_way
    for address in long_way.addresses:
        assert not set(b"\r\n\0") & set(address.name + address.local + address.domain)


@given(st.binary(max_size=200))
def test_any_octets_may_be_read(value: bytes):
    parse_addresses(value)


HOSTILE = [
    "a@b,",
    "x <a@b>, ",
    "(",
    "((a)",
    "[",
    "<",
    ":",
    ";",
    '"',
    "a:",
    "=?a",
    "=?a?q?",
    "a@b ",
    "<a@b> x",
    "<@",
    "\\",
    '"\\',
    "@",
    ".",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_long_list_ends_at_the_limit(unit: str):
    found = parse_addresses(unit.encode() * 500_000)
    assert len(found.addresses) <= MAX_TOKENS
