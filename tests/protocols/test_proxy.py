from __future__ import annotations

import random
import socket
import struct

import pytest

from postillon.protocols.proxy import MAX_V1, SIGNATURE, Endpoints, HeaderReader, ProxyError


def read(data: bytes, step: int = 4096) -> tuple[Endpoints | None, bytes]:
    """The header's word, and what is left behind it; *step* octets arrive at a time."""
    reader, at = HeaderReader(), 0
    while not reader.is_complete:
        assert at < len(data), "the header is not complete"
        at += reader.take(data[at : at + step])
    return reader.endpoints, data[at:]


def version_2(kind: int, family: int, addresses: bytes, more: bytes = b"") -> bytes:
    return SIGNATURE + bytes([kind, family]) + struct.pack("!H", len(addresses + more)) + addresses + more


IPV4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 51000, 25)
IPV6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 51000, 25)
)
CLIENT_4 = Endpoints("192.0.2.7", 51000, "198.51.100.1", 25)
CLIENT_6 = Endpoints("2001:db8::7", 51000, "2001:db8::1", 25)


@pytest.mark.parametrize("step", [1, 2, 7, 4096])
@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\r\n", CLIENT_4),
        (b"PROXY TCP6 2001:db8::7 2001:DB8::1 51000 25\r\n", CLIENT_6),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 51000 25\r\n", CLIENT_4),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        (version_2(0x21, 0x11, IPV4), CLIENT_4),
        (version_2(0x21, 0x21, IPV6), CLIENT_6),
        (version_2(0x21, 0x11, IPV4, b"\x03\x00\x04abcd" * 20), CLIENT_4),
        (version_2(0x20, 0x00, b""), None),
        (version_2(0x20, 0x11, IPV4), None),
        (version_2(0x21, 0x31, bytes(216)), None),
    ],
)
def test_headers_are_read_to_the_octet_however_they_arrive(header, told, step):
    assert read(header + b"EHLO x\r\n", step) == (told, b"EHLO x\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO there\r\n",
        b"\r\nEHLO there\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 192.0.2.7 198.51.100.1 51000 25\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25 \r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 51000 25\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 51000 25\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 51000 25\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 51000 25\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 51000 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 51000 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 051 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 51000 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\0\r\n",
        b"PROXY UNKNOWN \x00\r\n",
        b"PROXY UNKNOWN " + b"x" * MAX_V1,
        b"PROXY " + b"x" * 5000,
        version_2(0x22, 0x11, IPV4),
        version_2(0x11, 0x11, IPV4),
        version_2(0x21, 0x13, IPV4),
        version_2(0x21, 0x11, IPV4[:-1]),
        version_2(0x21, 0x21, IPV4),
        version_2(0x21, 0x11, IPV4, bytes(60000)),
        SIGNATURE[:-1] + b"X" + bytes([0x21, 0x11, 0, 12]) + IPV4,
    ],
)
@pytest.mark.parametrize("step", [1, 4096])
def test_what_is_no_header_is_told_at_once(data, step):
    with pytest.raises(ProxyError):
        read(data, step)


def test_noise_is_never_a_client():
    dice = random.Random(20)
    whole = [b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\r\n", version_2(0x21, 0x11, IPV4)]
    for _ in range(3000):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        reader, rest = HeaderReader(), bytes(data)
        try:
            while rest and not reader.is_complete:
                taken = reader.take(rest[: dice.randint(1, 40)])
                assert taken >= 0
                rest = rest[taken:]
        except ProxyError:
            continue
        if reader.endpoints is not None:
            assert socket.inet_pton(socket.AF_INET, reader.endpoints.source)
