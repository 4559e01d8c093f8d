from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from postillon.net import listener as listener_module
from postillon.net.limits import ConnectionLimits, LimitSettings
from postillon.net.listener import bind, serve
from postillon.net.stream import Stream, connect

REFUSAL = b"421 4.7.0 Too many connections\r\n"


async def echo(stream: Stream) -> None:
    while data := await stream.receive():
        await stream.send(data)


async def all_of(stream: Stream) -> bytes:
    data = b""
    while piece := await stream.receive(timeout_s=5):
        data += piece
    return data


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Never:
    def is_set(self) -> bool:
        return False

    def clear(self) -> None: ...

    def on_set(self, callback) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_serves_on_ipv4_and_ipv6(host):
    listener = await serve(bind(host, 0), echo)
    client = await connect(host, listener.port, timeout_s=5)
    await client.send(b"x")
    assert await client.receive(timeout_s=5) == b"x"
    assert client.peer == host
    assert listener.sessions == 1
    client.abort()
    await until(lambda: listener.sessions == 0)
    await listener.close()


def test_an_ipv6_socket_leaves_ipv4_alone():
    six = bind("::", 0)
    port = six.getsockname()[1]
    four = bind("0.0.0.0", port)
    four.close()
    six.close()


def test_two_sockets_share_a_port_only_when_asked():
    first = bind("127.0.0.1", 0, reuse_port=True)
    port = first.getsockname()[1]
    second = bind("127.0.0.1", port, reuse_port=True)
    with pytest.raises(OSError):
        bind("127.0.0.1", port)
    first.close()
    second.close()


async def test_connections_over_the_limit_hear_the_protocols_words():
    limits = ConnectionLimits(LimitSettings(per_address=2, exempt=()))
    listener = await serve(bind("127.0.0.1", 0), echo, limits=limits, refuse=lambda words: REFUSAL)
    clients = [await connect("127.0.0.1", listener.port, timeout_s=5, local_address="127.0.0.66") for _ in range(4)]
    assert [await all_of(client) for client in clients[2:]] == [REFUSAL, REFUSAL]
    stranger = await connect("127.0.0.1", listener.port, timeout_s=5, local_address="127.0.1.2")
    await stranger.send(b"x")
    assert await stranger.receive(timeout_s=5) == b"x"
    for client in (*clients, stranger):
        client.abort()
    await until(lambda: limits.total == 0)
    await listener.close()


async def test_a_place_is_free_again_after_a_session_however_it_ended():
    limits = ConnectionLimits(LimitSettings(per_address=1, per_minute=1000, exempt=()))

    async def session(stream: Stream) -> None:
        if await stream.receive() == b"bug":
            raise ValueError("a bug")

    listener = await serve(bind("127.0.0.1", 0), session, limits=limits, refuse=lambda words: REFUSAL)
    for word in (b"bug", b"bye", b"bug"):
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        client.write(word)
        assert await all_of(client) == b""
        client.abort()
        await until(lambda: limits.total == 0)
    await listener.close()


async def test_a_bug_in_a_session_ends_only_its_connection(capfd):
    async def session(stream: Stream) -> None:
        if await stream.receive() == b"bug":
            raise RuntimeError("kaboom")
        await stream.send(b"fine")

    async with asyncio.TaskGroup() as tasks:
        listener = await serve(bind("127.0.0.1", 0), session, tasks=tasks)
        bad = await connect("127.0.0.1", listener.port, timeout_s=5)
        good = await connect("127.0.0.1", listener.port, timeout_s=5)
        await bad.send(b"bug")
        assert await all_of(bad) == b""
        await good.send(b"x")
        assert await all_of(good) == b"fine"
        bad.abort()
        good.abort()
        await listener.close(1)
    from postillon import log

    log.flush()
    assert "kaboom" in capfd.readouterr().err


async def test_close_lets_sessions_finish_and_tells_them():
    ended = []

    async def session(stream: Stream) -> None:
        waker = Never()
        while not stream.stopping:
            data = await stream.receive(waker)
            if data is not None:
                await stream.send(data)
        await stream.send(b"421 bye\r\n")
        ended.append(True)

    listener = await serve(bind("127.0.0.1", 0), session)
    clients = [await connect("127.0.0.1", listener.port, timeout_s=5) for _ in range(5)]
    for client in clients:
        await client.send(b"x")
        assert await client.receive(timeout_s=5) == b"x"
    hearing = [asyncio.create_task(all_of(client)) for client in clients]
    closing = asyncio.create_task(listener.close(5))
    assert await asyncio.gather(*hearing) == [b"421 bye\r\n"] * 5
    for client in clients:
        client.abort()
    await closing
    assert len(ended) == 5
    with pytest.raises(ConnectionRefusedError):
        await connect("127.0.0.1", listener.port if listener._sock.fileno() >= 0 else clients[0].peer_port, timeout_s=5)


async def test_a_stop_does_not_interrupt_a_receive_in_the_middle_of_a_message():
    got = []

    async def session(stream: Stream) -> None:
        got.append(await stream.receive())
        got.append(await stream.receive(Never()))
        got.append(await stream.receive(Never(), timeout_s=5))

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await until(lambda: listener.sessions == 1)
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(listener.close(5))
    await asyncio.sleep(0.02)
    assert got == []
    client.write(b"rest of the message")
    await until(lambda: len(got) == 2)
    client.write(b"once is enough")
    await until(lambda: len(got) == 3)
    client.abort()
    await closing
    assert got == [b"rest of the message", None, b"once is enough"]


async def test_after_the_grace_sessions_are_cancelled_but_their_last_words_are_sent():
    async def session(stream: Stream) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stream.write(b"* BYE\r\n")

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await until(lambda: listener.sessions == 1)
    await asyncio.sleep(0.01)
    hearing = asyncio.create_task(all_of(client))
    await listener.close(0.01)
    assert await hearing == b"* BYE\r\n"
    assert listener.sessions == 0


async def test_close_is_quick_with_a_client_that_takes_nothing():
    async def session(stream: Stream) -> None:
        stream.write(bytes(64 * 1024 * 1024))
        await stream.drain()

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await until(lambda: client.unread > 100_000)
    async with asyncio.timeout(3):
        await listener.close(0.01)


async def test_accepting_pauses_when_descriptors_run_out_and_goes_on(monkeypatch):
    monkeypatch.setattr(listener_module, "PAUSE_S", 0.05)
    listener = await serve(bind("127.0.0.1", 0), echo)
    attempts = 0
    real = listener._sock

    class Exhausted:
        """The listening socket with a process that has no descriptors left, three times."""

        def accept(self):
            nonlocal attempts
            attempts += 1
            if attempts <= 3:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real.accept()

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr(listener, "_sock", Exhausted())
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.send(b"x")
    assert await client.receive(timeout_s=5) == b"x"
    assert 4 <= attempts < 10
    client.abort()
    await listener.close()


async def test_a_real_shortage_of_descriptors_is_survived(monkeypatch):
    monkeypatch.setattr(listener_module, "PAUSE_S", 0.05)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    listener = await serve(bind("127.0.0.1", 0), echo)
    loop = asyncio.get_running_loop()
    waiting = [socket.socket() for _ in range(12)]
    gc.collect()  # what other tests left would be freed in the middle
    filler: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(name) for name in os.listdir("/proc/self/fd")) + 8, hard))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                filler.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(4):
            os.close(filler.pop())
        for sock in waiting:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", listener.port))
            await loop.sock_sendall(sock, b"x")
        await until(lambda: listener.sessions > 0)
        await asyncio.sleep(0.1)
        assert listener.sessions < len(waiting)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filler:
            os.close(descriptor)
    for sock in waiting:
        assert await loop.sock_recv(sock, 1) == b"x"
        sock.close()
    await listener.close()


async def test_a_thousand_short_connections_leave_no_descriptor_behind():
    async def session(stream: Stream) -> None:
        await stream.send(b"220 hello\r\n")
        await stream.receive()

    listener = await serve(bind("127.0.0.1", 0), session)
    before = len(os.listdir("/proc/self/fd"))
    for round_ in range(20):
        clients = await asyncio.gather(*(connect("127.0.0.1", listener.port, timeout_s=5) for _ in range(50)))
        for client in clients:
            if round_ % 2:
                assert await client.receive(timeout_s=5) == b"220 hello\r\n"
            client.abort()
    await until(lambda: listener.sessions == 0)
    await asyncio.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    await listener.close()


MEASURE = """
import asyncio, gc, os, socket, sys, uvloop
from postillon.net.listener import bind, serve
from postillon.net.tls import ServerTls, client_context, make_certificate
from postillon.net.stream import connect
loops = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
COUNT, SECURE = 1000, sys.argv[2] == "tls"

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def session(stream):
    stream.write(b"* OK ready\\r\\n")
    while data := await stream.receive(timeout_s=1800):
        await stream.send(data)

async def main():
    tls = None
    if SECURE:
        make_certificate(sys.argv[3], ["localhost"])
        tls = ServerTls([(sys.argv[3] + "/cert.pem", sys.argv[3] + "/key.pem")], "imap")
    listener = await serve(bind("127.0.0.1", 0), session, tls=tls)
    print(listener.port, flush=True)
    line = asyncio.get_running_loop().run_in_executor
    await line(None, sys.stdin.readline)
    before = resident()
    print("ready", flush=True)
    await line(None, sys.stdin.readline)
    assert listener.sessions == COUNT, listener.sessions
    print((resident() - before) // COUNT, flush=True)
    await line(None, sys.stdin.readline)

with asyncio.Runner(loop_factory=loops[sys.argv[1]]) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize(("kind", "most"), [("plain", 5 * 1024), ("tls", 80 * 1024)])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_idle_connection_costs_little_memory(loop, kind, most, tmp_path, capsys):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", MEASURE, loop, kind, str(tmp_path)]
    held = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            port = int(process.stdout.readline())

            def open_one() -> socket.socket:
                sock = socket.create_connection(("127.0.0.1", port))
                if kind == "tls":
                    import ssl

                    context = ssl._create_unverified_context()
                    sock = context.wrap_socket(sock)
                assert sock.recv(100) == b"* OK ready\r\n"
                sock.sendall(b"a NOOP\r\n")
                assert sock.recv(100) == b"a NOOP\r\n"
                return sock

            held += [open_one() for _ in range(50)]  # what is allocated once
            for sock in held:
                sock.close()
            held.clear()
            print(file=process.stdin, flush=True)
            assert process.stdout.readline() == "ready\n"
            held += [open_one() for _ in range(1000)]
            print(file=process.stdin, flush=True)
            cost = int(process.stdout.readline())
            with capsys.disabled():
                print(f"\nan idle {kind} connection on {loop}: {cost} octets")
            assert cost < most
            print(file=process.stdin, flush=True)
        finally:
            for sock in held:
                sock.close()
            process.kill()
