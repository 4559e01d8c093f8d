"""Whom we ask for DNS."""

import pytest

from postillon.app.resolver import NoResolver, make_resolver
from postillon.config import Config, Development, Dns, server_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("localhost:53", ("127.0.0.1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
    ],
)
def test_an_address_may_have_a_port(text: str, address: tuple[str, int]):
    assert server_address(text) == address


@pytest.mark.parametrize("text", ["", "dns.example.org", "127.0.0.1:x", "1.2.3"])
def test_other_text_is_no_address(text: str):
    with pytest.raises(ValueError, match="address"):
        server_address(text)


def test_a_developers_server_without_dns_asks_nobody():
    config = Config(hostname="a.test", data="/d", development=Development())
    assert isinstance(make_resolver(config), NoResolver)


def test_a_real_one_asks_whom_it_is_told():
    config = Config(hostname="a.test", data="/d", dns=Dns(("127.0.0.1:5353",)))
    assert not isinstance(make_resolver(config), NoResolver)
