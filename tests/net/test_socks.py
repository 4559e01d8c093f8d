"""SOCKS5 (RFC 1928, RFC 1929): a connection through a proxy, and every way in which a proxy says no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postillon.net.socks import Proxy, ProxyError, connect_through


@asynccontextmanager
async def proxy(*script: tuple[bytes, bytes], login: str = "", password: str = "") -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """A proxy that waits for octets and says others, by turns; what it heard."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for wanted, answer in script:
                heard.append(await reader.readexactly(len(wanted)))
                writer.write(answer)
            await reader.read()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Proxy("127.0.0.1", server.sockets[0].getsockname()[1], login, password), heard
    finally:
        server.close()


OPEN = (b"\x05\x01\x00", b"\x05\x00")
TO = b"\x05\x01\x00\x01\xc0\x00\x02\x09\x00\x19"  # 192.0.2.9 port 25
TO6 = b"\x05\x01\x00\x04" + bytes.fromhex("20010db8000000000000000000000009") + b"\x00\x19"
YES = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x10\x00"


async def test_what_the_other_side_says_at_once_is_not_lost() -> None:
    async with proxy(OPEN, (TO, YES + b"220 mx.there.test\r\n")) as (at, heard):
        stream = await connect_through(at, "192.0.2.9", 25, timeout_s=5)
        assert await stream.receive(timeout_s=5) == b"220 mx.there.test\r\n"
        assert heard == [OPEN[0], TO]
        stream.abort()


@pytest.mark.parametrize("bound", [b"\x01" + bytes(4), b"\x04" + bytes(16), b"\x03\x05proxy"])
async def test_bound_address_of_any_kind_is_read_over(bound: bytes) -> None:
    async with proxy(OPEN, (TO6, b"\x05\x00\x00" + bound + b"\x00\x19" + b"220 hi\r\n")) as (at, _):
        stream = await connect_through(at, "2001:db8::9", 25, timeout_s=5)
        assert await stream.receive(timeout_s=5) == b"220 hi\r\n"
        stream.abort()


async def test_login_is_told_to_a_proxy_that_wants_one() -> None:
    hello, login = b"\x05\x02\x00\x02", b"\x01\x05alice\x06secret"
    async with proxy((hello, b"\x05\x02"), (login, b"\x01\x00"), (TO, YES), login="alice", password="secret") as (at, heard):
        (await connect_through(at, "192.0.2.9", 25, timeout_s=5)).abort()
        assert heard == [hello, login, TO]
        assert "secret" not in repr(at)


@pytest.mark.parametrize(
    ("script", "login", "words"),
    [
        ([(OPEN[0], b"\x05\xff")], "", "wants a login"),
        ([(b"\x05\x02\x00\x02", b"\x05\x01")], "alice", "wants another login"),
        ([(b"\x05\x02\x00\x02", b"\x05\x02"), (b"\x01\x05alice\x00", b"\x01\x01")], "alice", "refused our login"),
        ([(OPEN[0], b"HTTP/1.1 400")], "", "no SOCKS5 proxy"),
        ([OPEN, (TO, b"\x05\x02\x00\x01" + bytes(6))], "", "do not allow"),
        ([OPEN, (TO, b"\x05\x05\x00\x01" + bytes(6))], "", "connection refused"),
        ([OPEN, (TO, b"\x05\x63\x00\x01" + bytes(6))], "", "failed with 99"),
        ([OPEN, (TO, b"\x05\x00\x00\x09" + bytes(6))], "", "not to be understood"),
        ([OPEN, (TO, b"\x04\x00\x00\x01" + bytes(6))], "", "no SOCKS5 proxy"),
    ],
)
async def test_every_no_is_told_in_words(script: list[tuple[bytes, bytes]], login: str, words: str) -> None:
    async with proxy(*script, login=login) as (at, _):
        with pytest.raises(ProxyError, match=words):
            await connect_through(at, "192.0.2.9", 25, timeout_s=5)


async def test_silent_proxy_is_left() -> None:
    async with proxy((OPEN[0], b"")) as (at, _):
        with pytest.raises(TimeoutError):
            await connect_through(at, "192.0.2.9", 25, timeout_s=0.2)


async def test_proxy_that_is_not_there_is_an_error() -> None:
    async with proxy(OPEN) as (at, _):
        pass
    with pytest.raises(OSError):
        await connect_through(at, "192.0.2.9", 25, timeout_s=5)
