"""Handing messages to a Postfix: a server that we did not write."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from postillon.model.queue import OutcomeKind
from postillon.net.certificates import make_ca, make_certificate

from ..peers.postfix import Postfix
from .test_transport import Octets, envelope, relay

pytestmark = pytest.mark.real

BODIES = [
    b"Subject: plain\r\n\r\nhello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n",
    b"Subject: =?utf-8?q?8?= bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
    b"Subject: bare\n\none\n.\ntwo\rthree",
    b"Subject: long\r\n\r\n" + (b"x" * 76 + b"\r\n") * 20_000,
]


@pytest.fixture(scope="module")
def postfix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    if os.geteuid() != 0:
        pytest.skip("Postfix wants root")
    directory = tmp_path_factory.mktemp("postfix")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = directory / "keys"
    make_ca(keys)
    chain, key = make_certificate(keys, ["there.test"])
    peer = Postfix(
        directory / "postfix",
        port,
        hostname="there.test",
        settings={
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": str(chain),
            "smtpd_tls_key_file": str(key),
            "smtpd_recipient_limit": "7",
            "message_size_limit": "3000000",
            "smtpd_tls_received_header": "yes",
        },
    )
    peer.directory.mkdir()
    peer.virtual_mailboxes("bob@there.test", "carol@there.test", *(f"r{n}@there.test" for n in range(20)))
    peer.start()
    yield peer
    peer.stop()


@pytest.fixture(autouse=True)
def emptied(postfix: Postfix) -> None:
    """Each test begins with empty mailboxes and an empty log."""
    for path in (postfix.directory / "boxes").glob("*/new/*"):
        path.unlink()
    os.truncate(postfix.log, 0)


async def received(postfix: Postfix, address: str, count: int) -> list[bytes]:
    async with asyncio.timeout(20):
        while len(found := postfix.received(address)) < count:  # noqa: ASYNC110  (nothing tells when a file comes)
            await asyncio.sleep(0.05)
    return found


async def test_all_kinds_of_messages_arrive_over_tls_by_few_connections(postfix: Postfix):
    async with relay(postfix.port) as transport:
        for body in BODIES * 2:
            found = await transport.attempt(envelope("bob@there.test", body="8BITMIME"), Octets(body))
            assert found[0].kind is OutcomeKind.DELIVERED, found
            assert found[0].status == "2.0.0"
    messages = await received(postfix, "bob@there.test", len(BODIES) * 2)
    assert all(b"with ESMTPS" in message and b"TLSv1.3" in message for message in messages)
    texts = sorted(message.replace(b"\r\n", b"\n").partition(b"\n\n")[2].rstrip(b"\n") for message in messages)
    sent = [body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n\n")[2].rstrip(b"\n") for body in BODIES * 2]
    assert texts == sorted(sent)
    assert Path(postfix.log).read_text().count("]: connect from localhost[127.0.0.1]") <= 3


async def test_more_recipients_than_it_takes_at_once(postfix: Postfix):
    async with relay(postfix.port) as transport:
        found = await transport.attempt(envelope(*(f"r{n}@there.test" for n in range(20))), Octets(BODIES[0]))
    assert {outcome.kind for outcome in found.values()} == {OutcomeKind.DELIVERED}
    for n in range(20):
        assert len(await received(postfix, f"r{n}@there.test", 1)) == 1


async def test_its_refusals_are_understood(postfix: Postfix):
    async with relay(postfix.port) as transport:
        found = await transport.attempt(envelope("nobody@there.test", "carol@there.test"), Octets(BODIES[0]))
        assert (found[0].kind, found[0].status, found[0].code) == (OutcomeKind.FAILED, "5.1.1", 550)
        assert found[1].kind is OutcomeKind.DELIVERED
        large = await transport.attempt(envelope("carol@there.test"), Octets(b"x" * 3_000_001))
        assert (large[0].kind, large[0].status) == (OutcomeKind.FAILED, "5.3.4")
    assert len(await received(postfix, "carol@there.test", 1)) == 1
