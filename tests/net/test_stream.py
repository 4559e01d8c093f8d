from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from postillon.net.listener import Listener, bind, serve
from postillon.net.stream import READ_HIGH, SLICE, WRITE_HIGH, Stream, connect


class Flag:
    """A waker, as the bus gives them."""

    def __init__(self) -> None:
        self._set = False
        self._callback: Callable[[], None] | None = None

    def set(self) -> None:
        self._set = True
        if self._callback is not None:
            self._callback()

    def is_set(self) -> bool:
        return self._set

    def clear(self) -> None:
        self._set = False

    def on_set(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if callback is not None and self._set:
            callback()

    def close(self) -> None:
        self._callback = None


@asynccontextmanager
async def pair():
    """(our stream on the server's side, the client's), connected over loopback."""
    arrived: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def session(stream: Stream) -> None:
        arrived.set_result(stream)
        await done.wait()

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    try:
        yield await arrived, client
    finally:
        client.abort()
        done.set()
        await listener.close(1)


async def once(session: Callable[[Stream], Awaitable[None]]) -> Listener:
    return await serve(bind("127.0.0.1", 0), session)


async def all_of(stream: Stream) -> bytes:
    data = b""
    while piece := await stream.receive(timeout_s=5):
        data += piece
    return data


async def test_bytes_go_both_ways_and_the_addresses_are_known():
    async with pair() as (server, client):
        await client.send(b"EHLO\r\n")
        assert await server.receive(timeout_s=5) == b"EHLO\r\n"
        await server.send([b"250-one\r\n", b"250 two\r\n"])
        assert await client.receive(timeout_s=5) == b"250-one\r\n250 two\r\n"
        assert (server.peer, server.peer_port) == (client.local, client.local_port)
        assert (client.peer, client.peer_port) == ("127.0.0.1", server.local_port)
        assert server.tls is None


async def test_after_they_closed_all_octets_come_before_the_empty_ones():
    async with pair() as (server, client):
        await client.send(b"last words")
        await client.close()
        assert await all_of(server) == b"last words"
        assert await server.receive() == b""


async def test_a_peer_that_half_closes_still_gets_its_answer():
    async def session(stream: Stream) -> None:
        assert await all_of(stream) == b"question"
        stream.write(b"answer")

    listener = await once(session)
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", listener.port)) as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        sock.setblocking(False)
        assert await loop.sock_recv(sock, 100) == b"answer"
        assert await loop.sock_recv(sock, 100) == b""
    await listener.close()


async def test_a_reset_reads_as_the_end():
    async with pair() as (server, client):
        client._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.abort()
        assert await server.receive(timeout_s=5) == b""
        server.write(b"nobody hears this")
        with pytest.raises(ConnectionError):
            await server.drain()


async def test_a_slow_receiver_gets_everything_in_slices():
    async with pair() as (server, client):
        sent = os.urandom(3 * READ_HIGH)
        client.write(sent)
        got = b""
        while len(got) < len(sent):
            piece = await server.receive(timeout_s=5)
            assert piece
            assert len(piece) <= SLICE
            got += piece
        assert got == sent


async def test_unread_octets_are_bounded_by_back_pressure():
    async with pair() as (server, client):
        client.write(bytes(32 * 1024 * 1024))
        with pytest.raises(TimeoutError):
            await client.drain(timeout_s=0.3)
        assert READ_HIGH < server.unread < 2 * READ_HIGH + 512 * 1024
        count = 0
        while count < 32 * 1024 * 1024:
            count += len(await server.receive(timeout_s=5) or b"")
        await client.drain(timeout_s=5)


async def test_drain_waits_for_a_slow_reader_and_goes_on_when_it_reads():
    async with pair() as (server, client):
        server.write(bytes(32 * 1024 * 1024))
        waiting = asyncio.create_task(server.drain(timeout_s=10))
        await asyncio.sleep(0)
        assert not waiting.done()
        count = 0
        while count < 32 * 1024 * 1024 - WRITE_HIGH:
            count += len(await client.receive(timeout_s=5) or b"")
        await waiting


async def test_drain_fails_when_the_peer_goes_away():
    async with pair() as (server, client):
        server.write(bytes(32 * 1024 * 1024))
        waiting = asyncio.create_task(server.drain(timeout_s=10))
        await asyncio.sleep(0)
        client.abort()
        with pytest.raises(ConnectionError):
            await waiting


async def test_silence_is_a_timeout_and_the_connection_lives():
    async with pair() as (server, client):
        with pytest.raises(TimeoutError):
            await server.receive(timeout_s=0.02)
        client.write(b"late")
        assert await server.receive(timeout_s=5) == b"late"
        with pytest.raises(TimeoutError):  # shorter than the timer that still runs for the 5 s
            await server.receive(timeout_s=0.02)


async def test_a_timer_left_by_an_earlier_receive_does_not_end_a_longer_one():
    async with pair() as (server, client):
        client.write(b"a")
        assert await server.receive(timeout_s=0.05) == b"a"
        waiting = asyncio.create_task(server.receive(timeout_s=0.05))
        await asyncio.sleep(0)
        client.write(b"b")
        assert await waiting == b"b"
        asyncio.get_running_loop().call_later(0.15, client.write, b"c")
        assert await server.receive(timeout_s=5) == b"c"


async def test_a_waker_ends_a_receive_and_the_next_one_gets_the_octets():
    async with pair() as (server, client):
        flag = Flag()
        waiting = asyncio.create_task(server.receive(flag))
        await asyncio.sleep(0)
        flag.set()
        assert await waiting is None
        assert flag.is_set()
        flag.clear()
        client.write(b"DONE\r\n")
        assert await server.receive(flag, timeout_s=5) == b"DONE\r\n"


async def test_a_waker_that_is_set_already_is_seen_at_once_but_octets_come_first():
    async with pair() as (server, client):
        flag = Flag()
        flag.set()
        assert await server.receive(flag) is None
        await client.send(b"DONE\r\n")
        async with asyncio.timeout(5):
            while not server.unread:  # noqa: ASYNC110 - there is no event for octets nobody receives
                await asyncio.sleep(0)
        assert await server.receive(flag) == b"DONE\r\n"


async def test_no_octet_and_no_wake_is_lost_when_they_race():
    async with pair() as (server, client):
        flag = Flag()
        got, wakes = b"", 0
        sent = b"".join(b"%06d" % n for n in range(300))

        async def poke() -> None:
            for n in range(300):
                client.write(b"%06d" % n)
                flag.set()
                if n % 3:
                    await asyncio.sleep(0)

        poking = asyncio.create_task(poke())
        while len(got) < len(sent):
            piece = await server.receive(flag, timeout_s=5)
            if piece is None:
                wakes += 1
                flag.clear()
            else:
                got += piece
        await poking
        assert got == sent
        assert wakes + flag.is_set() >= 1


async def test_a_cancelled_receive_loses_nothing():
    async with pair() as (server, client):
        got, cancelled = b"", 0
        for n in range(20):
            waiting = asyncio.create_task(server.receive(timeout_s=5))
            await asyncio.sleep(0)
            client.write(b"%02d" % n)
            waiting.cancel()
            try:
                got += await waiting or b""
            except asyncio.CancelledError:
                cancelled += 1
        assert cancelled
        while len(got) < 40:
            got += await server.receive(timeout_s=5) or b""
        assert got == b"".join(b"%02d" % n for n in range(20))


async def test_two_receives_at_once_are_a_mistake():
    async with pair() as (server, _):
        waiting = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await server.receive()
        waiting.cancel()


async def test_write_after_close_is_dropped_and_drain_says_so():
    async with pair() as (server, client):
        await server.close(linger_s=0.01)
        server.write(b"too late")
        with pytest.raises(ConnectionError):
            await server.drain()
        assert await all_of(client) == b""


async def test_the_last_reply_survives_a_peer_that_is_still_sending():
    async def session(stream: Stream) -> None:
        await stream.receive(timeout_s=5)
        stream.write(b"552 too large\r\n")

    listener = await once(session)
    for _ in range(10):
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        client.write(bytes(1024 * 1024))
        assert await client.receive(timeout_s=5) == b"552 too large\r\n"
        client.abort()
    await listener.close(1)


async def test_close_sends_what_a_slow_reader_has_not_taken_yet():
    async def session(stream: Stream) -> None:
        stream.write(bytes(8 * 1024 * 1024))

    listener = await once(session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await asyncio.sleep(0.1)
    assert len(await all_of(client)) == 8 * 1024 * 1024
    await listener.close(1)


async def test_peer_credentials_of_a_tcp_connection_are_an_error():
    async with pair() as (server, _):
        with pytest.raises(OSError, match="not a Unix socket"):
            server.peer_credentials()


async def test_connect_wants_an_address_not_a_name():
    with pytest.raises(ValueError):
        await connect("localhost", 25, timeout_s=1)


async def test_connect_says_refused_and_binds_the_local_address():
    with pytest.raises(ConnectionRefusedError):
        sock = bind("127.0.0.1", 0)
        port = sock.getsockname()[1]
        sock.close()
        await connect("127.0.0.1", port, timeout_s=5)
    listener = await once(lambda stream: stream.send(stream.peer.encode()))
    client = await connect("127.0.0.1", listener.port, timeout_s=5, local_address="127.0.0.77")
    assert await all_of(client) == b"127.0.0.77"
    await listener.close(1)


async def test_a_client_that_writes_in_two_pieces_does_not_wait_for_a_delayed_acknowledgement():
    """imaplib sends a literal and the end of its line so, and the kernel delays an acknowledgement by 40 ms."""

    async def session(stream: Stream) -> None:
        while data := await stream.receive(timeout_s=5):
            while not data.endswith(b"\n"):
                data += await stream.receive(timeout_s=5) or b""
            await stream.send(b"OK\r\n")

    def talk(port: int) -> float:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            began = time.monotonic()
            for _ in range(25):
                sock.sendall(b"literal")
                sock.sendall(b"\r\n")
                assert sock.recv(10) == b"OK\r\n"
            return time.monotonic() - began

    listener = await once(session)
    assert await asyncio.to_thread(talk, listener.port) < 0.5  # 25 times 40 ms would be a second
    await listener.close(1)
