"""Addresses of services beside us, in the forms that people write."""

from __future__ import annotations

import pytest

from postillon.net.service import ServiceAddress


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("local:/run/x.sock", "unix:/run/x.sock"),
        ("/run/x.sock", "unix:/run/x.sock"),
        ("127.0.0.1:8891", "127.0.0.1:8891"),
        ("inet:127.0.0.1:8891", "127.0.0.1:8891"),
        ("inet:8891@localhost", "localhost:8891"),
        ("inet6:8891@[::1]", "[::1]:8891"),
        ("tcp:rspamd:11333", "rspamd:11333"),
        ("[::1]:8891", "[::1]:8891"),
    ],
)
def test_an_address_is_understood(text: str, shown: str) -> None:
    assert str(ServiceAddress.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "8891", "host", "host:0", "host:99999", "::1:25", "unix:relative", "http://x:1/", "a:b:1"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no|port"):
        ServiceAddress.parse(text)
