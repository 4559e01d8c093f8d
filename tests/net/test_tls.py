from __future__ import annotations

import asyncio
import asyncio.sslproto
import hashlib
import os
import re
import shutil
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from postillon.net import exporter
from postillon.net.certificates import make_certificate
from postillon.net.listener import bind, serve
from postillon.net.stream import SLICE, InjectedPlaintext, Stream, connect
from postillon.net.tls import BUFFER, ServerTls, client_context, server_context

NAMES = ["localhost", "127.0.0.1", "mail.example.test"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder, NAMES)
    return folder


@pytest.fixture
def chains(directory):
    return [(directory / "cert.pem", directory / "key.pem")]


@pytest.fixture
def server_tls(chains):
    return ServerTls(chains, "smtp")


@pytest.fixture
def trusting(directory):
    return client_context(verify=True, ca_file=str(directory / "ca.pem"))


async def echo(stream: Stream) -> None:
    while data := await stream.receive(timeout_s=5):
        await stream.send(data)


def starttls_session(tls: ServerTls, outcome: list):
    """A session that takes STARTTLS as the servers do, and then echoes."""

    async def session(stream: Stream) -> None:
        try:
            assert await stream.receive(timeout_s=5) == b"STARTTLS\r\n"
            await stream.start_tls(tls.context(), server_side=True, reply=b"220 go\r\n", timeout_s=5)
        except Exception as error:
            outcome.append(error)
            return
        outcome.append(stream.tls)
        await echo(stream)

    return session


async def exchange(stream: Stream, data: bytes) -> bytes:
    stream.write(data)
    got = b""
    while len(got) < len(data):
        piece = await stream.receive(timeout_s=5)
        assert piece, "they closed"
        got += piece
    await stream.drain()
    return got


async def test_starttls_on_both_sides_of_a_running_stream(server_tls, trusting):
    outcome: list = []
    listener = await serve(bind("127.0.0.1", 0), starttls_session(server_tls, outcome))
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.send(b"STARTTLS\r\n")
    assert await client.receive(timeout_s=5) == b"220 go\r\n"
    await client.start_tls(trusting, server_side=False, server_hostname="mail.example.test")
    assert client.tls is not None
    assert client.tls.version == "TLSv1.3"
    data = os.urandom(3 * 1024 * 1024)
    sending = asyncio.create_task(client.send(data))
    got = b""
    while len(got) < len(data):
        got += await client.receive(timeout_s=5) or b""
    await sending
    assert got == data
    assert outcome == [client.tls]
    await client.close()
    await listener.close(1)


@pytest.mark.parametrize("size", [1, 100, 4096])
async def test_plaintext_injected_after_starttls_in_one_segment_ends_the_connection(server_tls, size):
    outcome: list = []

    async def session(stream: Stream) -> None:
        assert await stream.receive(timeout_s=5) == b"X"
        while not stream.unread:  # noqa: ASYNC110
            await asyncio.sleep(0)
        try:
            await stream.start_tls(server_tls.context(), server_side=True, reply=b"220 go\r\n")
        except InjectedPlaintext as error:
            outcome.append(error)

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.send(b"X")
    await asyncio.sleep(0.02)
    await client.send(b"A" * size)
    assert await client.receive(timeout_s=5) == b""
    assert len(outcome) == 1
    await listener.close(1)


async def test_plaintext_injected_just_before_the_handshake_never_reaches_the_session(server_tls):
    outcome: list = []
    listener = await serve(bind("127.0.0.1", 0), starttls_session(server_tls, outcome))
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.send(b"STARTTLS\r\n")
    assert await client.receive(timeout_s=5) == b"220 go\r\n"
    client.write(b"MAIL FROM:<evil@example.test>\r\n")
    with pytest.raises(OSError):
        await client.start_tls(client_context(verify=False), server_side=False)
    while not outcome:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert isinstance(outcome[0], OSError)
    await listener.close(1)


async def test_a_client_refuses_what_follows_the_go_ahead(trusting):
    async def session(stream: Stream) -> None:
        await stream.receive(timeout_s=5)
        await stream.send(b"220 go\r\n" + b"250 AUTH PLAIN\r\n" * 10000)
        await stream.receive(timeout_s=5)

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.send(b"STARTTLS\r\n")
    await client.receive(timeout_s=5)
    while not client.unread:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with pytest.raises(InjectedPlaintext):
        await client.start_tls(trusting, server_side=False, server_hostname="localhost")
    await listener.close(1)


async def test_a_client_that_hangs_up_in_the_handshake_is_an_error_for_the_session(server_tls):
    outcome: list = []
    listener = await serve(bind("127.0.0.1", 0), starttls_session(server_tls, outcome))
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.send(b"STARTTLS\r\n")
    await client.receive(timeout_s=5)
    client.abort()
    async with asyncio.timeout(5):
        while not outcome:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert isinstance(outcome[0], OSError)
    await listener.close(1)


async def test_a_silent_handshake_times_out(server_tls):
    outcome: list = []

    async def session(stream: Stream) -> None:
        try:
            await stream.start_tls(server_tls.context(), server_side=True, timeout_s=0.05)
        except TimeoutError as error:
            outcome.append(error)
        outcome.append(await stream.receive(timeout_s=1))

    listener = await serve(bind("127.0.0.1", 0), session)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    assert await client.receive(timeout_s=5) == b""
    await asyncio.sleep(0)
    assert isinstance(outcome[0], TimeoutError)
    assert outcome[1:] == [b""]
    await listener.close(1)


async def test_implicit_tls_and_names_are_checked(server_tls, trusting):
    listener = await serve(bind("127.0.0.1", 0), echo, tls=server_tls)
    for name in NAMES:
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        await client.start_tls(trusting, server_side=False, server_hostname=name)
        assert await exchange(client, b"hello") == b"hello"
        await client.close()
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.start_tls(trusting, server_side=False, server_hostname="other.example.test")
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.start_tls(client_context(verify=False), server_side=False, server_hostname="other.example.test")
    assert await exchange(client, b"hello") == b"hello"
    assert client.peer_certificate() == x509.load_pem_x509_certificates((server_tls._chains[0][0]).read_bytes())[0].public_bytes(
        Encoding.DER
    )
    client.abort()
    await listener.close(1)


async def test_the_systems_authorities_do_not_know_ours(server_tls):
    listener = await serve(bind("127.0.0.1", 0), echo, tls=server_tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.start_tls(client_context(verify=True), server_side=False, server_hostname="localhost")
    await listener.close(1)


async def test_garbage_instead_of_a_handshake_costs_only_its_connection(server_tls, trusting):
    listener = await serve(bind("127.0.0.1", 0), echo, tls=server_tls)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70000), b"", bytes(1)):
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        client.write(garbage)
        client.finish()
        await client.until_lost(5)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.start_tls(trusting, server_side=False, server_hostname="localhost")
    assert await exchange(client, b"still here") == b"still here"
    client.abort()
    await listener.close(1)


async def test_a_silent_client_of_implicit_tls_is_dropped(server_tls):
    listener = await serve(bind("127.0.0.1", 0), echo, tls=server_tls, handshake_s=0.05)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    assert await client.receive(timeout_s=5) == b""
    await asyncio.sleep(0)
    await listener.close(1)
    assert listener.sessions == 0


@pytest.mark.parametrize(
    ("offered", "served"),
    [(["smtp"], True), (["imap", "smtp"], True), (None, True), (["h2", "http/1.1"], False), (["imap"], False)],
)
@pytest.mark.parametrize("starttls", [False, True])
async def test_alpn_is_strict_when_offered(server_tls, directory, offered, served, starttls):
    outcome: list = []
    session = starttls_session(server_tls, outcome) if starttls else echo
    listener = await serve(bind("127.0.0.1", 0), session, tls=None if starttls else server_tls)
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    if offered:
        context.set_alpn_protocols(offered)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    if starttls:
        await client.send(b"STARTTLS\r\n")
        await client.receive(timeout_s=5)
    await client.start_tls(context, server_side=False, server_hostname="localhost")
    client.write(b"NOOP\r\n")
    assert await client.receive(timeout_s=5) == (b"NOOP\r\n" if served else b"")
    client.abort()
    await listener.close(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
async def test_versions_before_1_2_are_refused(server_tls, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = version
        context.maximum_version = version
    listener = await serve(bind("127.0.0.1", 0), echo, tls=server_tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    with pytest.raises(OSError):
        await client.start_tls(context, server_side=False)
    await listener.close(1)


async def test_a_new_certificate_is_used_without_a_restart(tmp_path):
    make_certificate(tmp_path, NAMES)
    tls = ServerTls([(tmp_path / "cert.pem", tmp_path / "key.pem")], "imap", check_every_s=0)
    trusting = client_context(verify=True, ca_file=str(tmp_path / "ca.pem"))
    listener = await serve(bind("127.0.0.1", 0), echo, tls=tls)

    async def greet(name: str) -> bytes | None:
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        await client.start_tls(trusting, server_side=False, server_hostname=name)
        certificate = client.peer_certificate()
        client.abort()
        return certificate

    first = await greet("localhost")
    assert await greet("localhost") == first
    make_certificate(tmp_path, ["new.example.test"])
    assert await greet("new.example.test") != first
    (tmp_path / "cert.pem").write_text("half a certif")
    await greet("new.example.test")  # what cannot be used changes nothing
    make_certificate(tmp_path, NAMES)
    await greet("localhost")
    await listener.close(1)


async def test_a_listener_without_a_usable_certificate_does_not_start(tmp_path):
    sock = bind("127.0.0.1", 0)
    with pytest.raises(FileNotFoundError):
        await serve(sock, echo, tls=ServerTls([(tmp_path / "cert.pem", tmp_path / "key.pem")], "imap"))
    sock.close()


async def test_two_chains_serve_clients_of_both_kinds(directory, tmp_path):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    ecdsa = x509.load_pem_x509_certificates((directory / "cert.pem").read_bytes())[0]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(ecdsa.subject)
        .issuer_name(ecdsa.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ecdsa.not_valid_before_utc)
        .not_valid_after(ecdsa.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "rsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "rsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = ServerTls([(directory / "cert.pem", directory / "key.pem"), (tmp_path / "rsa.pem", tmp_path / "rsa.key")], "smtp")
    listener = await serve(bind("127.0.0.1", 0), echo, tls=tls)
    for ciphers, shown in (("ECDHE+ECDSA", ecdsa), ("ECDHE+aRSA", certificate)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        await client.start_tls(context, server_side=False)
        assert client.peer_certificate() == shown.public_bytes(Encoding.DER)
        client.abort()
    await listener.close(1)


async def test_the_last_reply_survives_under_tls_too(server_tls, trusting):
    async def session(stream: Stream) -> None:
        await stream.receive(timeout_s=5)
        stream.write(b"552 too large\r\n")

    listener = await serve(bind("127.0.0.1", 0), session, tls=server_tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.start_tls(trusting, server_side=False, server_hostname="localhost")
    client.write(bytes(1024 * 1024))
    assert await client.receive(timeout_s=5) == b"552 too large\r\n"
    client.abort()
    await listener.close(1)


async def test_a_slow_tls_reader_is_waited_for(server_tls, trusting):
    slices = 512
    size = slices * SLICE
    stuck = asyncio.Event()

    async def session(stream: Stream) -> None:
        for _ in range(slices):
            stream.write(bytes(SLICE))
            try:
                await stream.drain(timeout_s=0.1)
            except TimeoutError:
                stuck.set()
                await stream.drain(timeout_s=10)

    listener = await serve(bind("127.0.0.1", 0), session, tls=server_tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.start_tls(trusting, server_side=False, server_hostname="localhost")
    await asyncio.wait_for(stuck.wait(), 5)
    count = 0
    while piece := await client.receive(timeout_s=5):
        count += len(piece)
    assert count == size
    await listener.close(1)


async def test_tls_end_of_stream_comes_after_all_octets(server_tls, trusting):
    got: list[bytes] = []

    async def session(stream: Stream) -> None:
        await asyncio.sleep(0.05)
        while data := await stream.receive(timeout_s=5):
            got.append(data)

    listener = await serve(bind("127.0.0.1", 0), session, tls=server_tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.start_tls(trusting, server_side=False, server_hostname="localhost")
    sent = os.urandom(200_000)
    client.write(sent)
    await client.close()
    await listener.close(5)
    assert b"".join(got) == sent


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_channel_bindings_are_the_same_on_both_sides(server_tls, directory, version):
    sides: list[Stream] = []

    async def session(stream: Stream) -> None:
        sides.append(stream)
        await echo(stream)

    listener = await serve(bind("127.0.0.1", 0), session, tls=server_tls)
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    context.maximum_version = version
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    assert client.channel_binding("tls-server-end-point") is None
    await client.start_tls(context, server_side=False, server_hostname="localhost")
    await exchange(client, b"x")
    server = sides[0]
    certificate = client.peer_certificate()
    assert certificate is not None
    assert server.channel_binding("tls-server-end-point") == hashlib.sha256(certificate).digest()
    kinds = ("tls-server-end-point", "tls-unique", "tls-exporter", "no-such-thing")
    assert [server.channel_binding(kind) for kind in kinds] == [client.channel_binding(kind) for kind in kinds]
    assert (server.channel_binding("tls-unique") is not None) == (version == ssl.TLSVersion.TLSv1_2)
    exported = server.channel_binding("tls-exporter")
    assert (exported is not None) == (version == ssl.TLSVersion.TLSv1_3 and exporter.check())
    assert exported is None or len(exported) == 32
    client.abort()
    await listener.close(1)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
async def test_the_exported_binding_is_what_openssl_says(server_tls):
    async def session(stream: Stream) -> None:
        await stream.send((stream.channel_binding("tls-exporter") or b"").hex().encode() + b"\r\n")
        await stream.receive(timeout_s=5)

    listener = await serve(bind("127.0.0.1", 0), session, tls=server_tls)
    arguments = ["-connect", f"127.0.0.1:{listener.port}", "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"]
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-ign_eof", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ours, theirs = "", ""
    async with asyncio.timeout(10):
        while not (ours and theirs):
            line = (await process.stdout.readline()).decode().strip()
            if line.startswith("Keying material: "):
                theirs = line.split(": ")[1].lower()
            elif re.fullmatch("[0-9a-f]{64}", line):
                ours = line
    assert ours == theirs
    process.terminate()
    await process.wait()
    await listener.close(1)


def test_two_certificates_give_no_end_point_binding(chains, directory):
    assert len(set(server_context(chains * 2, "smtp").end_points)) == 1
    assert len(server_context(chains, "smtp").end_points) == 1


async def test_asyncio_tls_buffers_are_one_record(server_tls):
    listener = await serve(bind("127.0.0.1", 0), echo, tls=server_tls)
    client = await connect("127.0.0.1", listener.port, timeout_s=5)
    await client.start_tls(client_context(verify=False), server_side=False)
    assert asyncio.sslproto.SSLProtocol.max_size == BUFFER
    client.abort()
    await listener.close(1)


async def test_a_stalled_tls_close_does_not_last(server_tls, monkeypatch):
    """A client that never answers close_notify."""
    monkeypatch.setattr("postillon.net.listener.SHUTDOWN_S", 0.1)
    monkeypatch.setattr("postillon.net.stream.SHUTDOWN_S", 0.1)
    over = asyncio.Event()

    async def session(stream: Stream) -> None:
        stream.write(b"bye")
        await stream.close()
        over.set()

    listener = await serve(bind("127.0.0.1", 0), session, tls=server_tls)

    def mute() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", listener.port))
        tls = client_context(verify=False).wrap_socket(sock)
        assert tls.recv(10) == b"bye"
        return tls

    held = await asyncio.to_thread(mute)
    await asyncio.wait_for(over.wait(), 5)
    held.close()
    await listener.close(1)
