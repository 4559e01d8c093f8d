"""One question to one DNS server: over UDP, and over TCP where that is cut short or doubtful (RFC 1035 §4.2, RFC 7766)."""

from __future__ import annotations

import asyncio
import secrets
import socket
from enum import Enum
from typing import NamedTuple

from . import dns_wire as wire
from .stream import connect

STRAYS = 16
"""Packets that do not fit our query before we suspect an attack and ask over TCP."""


class Server(NamedTuple):
    host: str
    """IP address."""
    port: int = 53


async def exchange(server: Server, name: str, kind: int, timeout_s: float) -> wire.Message:
    """Ask *server* once: its answer, whatever it says. Raises TimeoutError, OSError, BadMessage."""
    message = await _try(server, name, kind, timeout_s, edns=True)
    if message.rcode in (wire.FORMERR, wire.NOTIMP):  # RFC 6891 §7: perhaps it does not know EDNS
        message = await _try(server, name, kind, timeout_s, edns=False)
    return message


async def _try(server: Server, name: str, kind: int, timeout_s: float, *, edns: bool) -> wire.Message:
    """Over UDP, then over TCP (hard to forge) if the answer is truncated or doubtful. Raises OSError, BadMessage."""
    number = secrets.randbits(16)
    mixed = wire.randomize_case(wire.wire_name(name), secrets.randbits(256))
    asked = wire.question(mixed, kind)
    packet = wire.query(number, asked, edns=edns)
    data = await _over_udp(server, packet, timeout_s)
    if data is not None:
        message = wire.parse(data)
        if not message.truncated:
            return message
    data = await _over_tcp(server, packet, timeout_s * 2)
    if fit(data, packet) is Fit.NO:
        raise wire.BadMessage("answer to another question")
    return wire.parse(data)


class Fit(Enum):
    NO = 0
    LOOSE = 1
    """All is right but the mixture of cases: forged by one who saw no query, or from a server that cannot repeat it."""
    EXACT = 2


def fit(data: bytes, packet: bytes) -> Fit:
    """Whether *data* answers the query *packet*: same id, a response to a standard query, the same question.

    A refusal may leave the question out.
    """
    if len(data) < 12 or data[:2] != packet[:2] or data[2] & 0xF8 != 0x80:
        return Fit.NO
    if data[4:6] == b"\0\0":
        return Fit.NO if data[3] & 15 in (wire.NOERROR, wire.NXDOMAIN) else Fit.EXACT
    end = packet.index(b"\0", 12) + 5
    asked, answered = packet[12:end], data[12:end]
    if data[4:6] != b"\0\1" or answered.lower() != asked.lower():
        return Fit.NO
    return Fit.EXACT if answered == asked else Fit.LOOSE


async def _over_udp(server: Server, packet: bytes, timeout_s: float) -> bytes | None:
    """The datagram that fits, from that server; None if something else makes us doubt. Raises TimeoutError, OSError."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    # A new socket for each query: the kernel picks a random port, and passes only datagrams from that server.
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((server.host, server.port))
        sock.send(packet)
        async with asyncio.timeout(timeout_s):
            for _ in range(STRAYS):
                data = await loop.sock_recv(sock, 4096)
                how = fit(data, packet)
                if how is not Fit.NO:
                    return data if how is Fit.EXACT else None
    return None


async def _over_tcp(server: Server, packet: bytes, timeout_s: float) -> bytes:
    """RFC 7766. Raises TimeoutError, OSError."""
    async with asyncio.timeout(timeout_s):
        stream = await connect(server.host, server.port, timeout_s=timeout_s)
        try:
            await stream.send(len(packet).to_bytes(2, "big") + packet)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                piece = await stream.receive()
                if not piece:
                    raise ConnectionResetError("the server closed the connection")
                data += piece
            return data[2 : 2 + int.from_bytes(data[:2], "big")]
        finally:
            stream.abort()
