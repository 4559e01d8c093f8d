from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable

from postillon.net.certificates import make_ca, make_certificate
from postillon.net.limits import ConnectionLimits, LimitSettings
from postillon.net.listener import bind, serve
from postillon.net.networks import LOOPBACK, Networks
from postillon.net.proxied import Proxies
from postillon.net.stream import Stream, connect
from postillon.net.tls import ServerTls, client_context
from postillon.protocols.proxy import SIGNATURE

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\r\n"
TRUSTED = Proxies(Networks(LOOPBACK))


async def who(stream: Stream) -> None:
    """Tells who is seen to be connected, then what was said."""
    await stream.send(f"{stream.peer}|{stream.peer_port}|{stream.local}|{stream.local_port}\n".encode())
    while data := await stream.receive():
        await stream.send(data)


async def answer(port: int, *pieces: bytes, host: str = "127.0.0.1") -> bytes:
    """What a client hears that sends *pieces*, one after the other, and closes."""
    client = await connect(host, port, timeout_s=5)
    for piece in pieces:
        client.write(piece)
        await asyncio.sleep(0)
    heard = b""
    with contextlib.suppress(OSError):  # whoever is sent away may hear a reset
        client._transport.write_eof()  # type: ignore[union-attr]
        while data := await client.receive(timeout_s=5):
            heard += data
    client.abort()
    return heard


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_the_client_is_whom_the_proxy_brings():
    listener = await serve(bind("127.0.0.1", 0), who, proxies=TRUSTED)
    assert await answer(listener.port, HEADER + b"hello") == b"192.0.2.7|51000|198.51.100.1|25\nhello"
    assert await answer(listener.port, HEADER[:9], HEADER[9:], b"hello") == b"192.0.2.7|51000|198.51.100.1|25\nhello"
    await listener.close()


async def test_a_proxy_that_speaks_for_itself_is_the_client():
    listener = await serve(bind("127.0.0.1", 0), who, proxies=TRUSTED)
    local = SIGNATURE + b"\x20\x00" + struct.pack("!H", 0)
    assert (await answer(listener.port, local)).startswith(b"127.0.0.1|")
    await listener.close()


async def test_without_a_header_nothing_is_said():
    listener = await serve(bind("127.0.0.1", 0), who, proxies=TRUSTED)
    for data in (b"EHLO there\r\n", b"", b"PROXY TCP4", b"PROXY " + b"x" * 9000):
        assert await answer(listener.port, data) == b""
    await listener.close()


async def test_who_is_no_proxy_speaks_for_itself_or_is_sent_away():
    elsewhere = Networks(["192.0.2.0/24"])
    listener = await serve(bind("127.0.0.1", 0), who, proxies=Proxies(elsewhere))
    assert b"PROXY" in await answer(listener.port, HEADER)  # just what it said
    await listener.close()
    listener = await serve(bind("127.0.0.1", 0), who, proxies=Proxies(elsewhere, required=True))
    assert await answer(listener.port, HEADER) == b""
    await listener.close()


async def test_limits_count_clients_and_not_their_proxy():
    limits = ConnectionLimits(LimitSettings(per_address=1, exempt=()))
    listener = await serve(bind("127.0.0.1", 0), who, proxies=TRUSTED, limits=limits, refuse=lambda words: b"421 full\r\n")
    first = await connect("127.0.0.1", listener.port, timeout_s=5)
    await first.send(HEADER)
    assert await first.receive(timeout_s=5)
    assert await answer(listener.port, HEADER) == b"421 full\r\n"
    other = HEADER.replace(b"192.0.2.7", b"192.0.2.8")
    assert (await answer(listener.port, other)).startswith(b"192.0.2.8|")
    await until(lambda: limits.total == 1)
    await first.close()
    await until(lambda: limits.total == 0)
    assert (await answer(listener.port, HEADER)).startswith(b"192.0.2.7|")
    await listener.close()
    assert limits.total == 0


async def test_the_header_comes_before_the_handshake(tmp_path):
    make_ca(tmp_path)
    tls = ServerTls([make_certificate(tmp_path, ["localhost"])], "smtp")
    listener = await serve(bind("127.0.0.1", 0), who, proxies=TRUSTED, tls=tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    client.write(HEADER)
    await client.start_tls(client_context(verify=False), server_side=False)
    assert await client.receive(timeout_s=5) == b"192.0.2.7|51000|198.51.100.1|25\n"
    client.abort()
    await listener.close()
