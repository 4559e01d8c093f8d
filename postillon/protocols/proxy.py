"""The PROXY protocol, versions 1 and 2: a proxy's word on who is really connected, before the connection's first octet.

HAProxy's specification "The PROXY protocol". Only reading; strict, since what is read here decides about limits and trust.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

from ..model.ip import ip_of

MAX_V1 = 107
"""Octets of a version 1 line with its CR LF (§2.1)."""
MAX_V2 = 2048
"""Octets behind the fixed part of a version 2 header: two Unix addresses take 216, the rest is for TLVs we do not read."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = len(SIGNATURE) + 4

_PORT = r"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rf"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) {_PORT} {_PORT}\r\n")
_UNKNOWN = re.compile(r"PROXY UNKNOWN(?: [ -~]*)?\r\n")
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES = {0x11: "!4s4sHH", 0x21: "!16s16sHH"}  # TCP over IPv4, over IPv6 (§2.2)
_OTHERS = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})  # unspecified, UDP, Unix: no address that we could use


class ProxyError(ValueError):
    """No PROXY header, or a wrong one: the connection is worth nothing."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Whose connection the proxy passes on, and where it had arrived. Addresses as text, IPv4-mapped ones as IPv4."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class HeaderReader:
    """Reads one header, and never an octet beyond it.

    `take` is shown what could be read next and says how much of that belongs to the header; the caller consumes exactly so
    much, until `is_complete`. `endpoints` is None then if the proxy speaks for itself (UNKNOWN, LOCAL): the connection's own
    are to be taken.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.endpoints: Endpoints | None = None
        self._read = b""

    def take(self, waiting: bytes) -> int:
        """How many octets of *waiting* (not empty) are the header's. Raises ProxyError as soon as it is none."""
        before = len(self._read)
        whole = self._read + waiting
        end = self._end(whole)
        self._read = whole[:end] if end else whole
        if end:
            self.endpoints = _version_2(self._read) if self._read.startswith(b"\r") else _version_1(self._read)
            self.is_complete = True
        return len(self._read) - before

    def _end(self, data: bytes) -> int:
        """Where the header ends; 0: not yet. Raises ProxyError."""
        if data.startswith(b"P"):
            if not data.startswith(b"PROXY "[: len(data)]):
                raise ProxyError("no PROXY header")
            end = data.find(b"\n", 0, MAX_V1) + 1
            if not end and len(data) >= MAX_V1:
                raise ProxyError("the PROXY line is too long")
            return end
        if not data.startswith(SIGNATURE[: len(data)]):
            raise ProxyError("no PROXY header")
        if len(data) < _FIXED:
            return 0
        size = int.from_bytes(data[_FIXED - 2 : _FIXED])
        if size > MAX_V2:
            raise ProxyError("the PROXY header is too long")
        return _FIXED + size if len(data) >= _FIXED + size else 0


def _version_1(line: bytes) -> Endpoints | None:
    text = line.decode("latin-1")
    if _UNKNOWN.fullmatch(text):
        return None
    match = _LINE.fullmatch(text)
    if match is None:
        raise ProxyError("the PROXY line is wrong")
    version = 4 if match[1] == "TCP4" else 6
    return Endpoints(_address(match[2], version), _port(match[4]), _address(match[3], version), _port(match[5]))


def _version_2(data: bytes) -> Endpoints | None:
    kind, family = data[12], data[13]
    if kind not in (_LOCAL, _PROXY):
        raise ProxyError("the PROXY header has a version or command that does not exist")
    if family not in _ADDRESSES and family not in _OTHERS:
        raise ProxyError("the PROXY header has an address family that does not exist")
    if kind == _LOCAL or family in _OTHERS:
        return None  # §2.2: the receiver must then go by the connection's own endpoints
    form = _ADDRESSES[family]
    if len(data) < _FIXED + struct.calcsize(form):
        raise ProxyError("the PROXY header is too short for its addresses")
    source, destination, source_port, destination_port = struct.unpack_from(form, data, _FIXED)
    return Endpoints(str(ip_of(source)), source_port, str(ip_of(destination)), destination_port)


def _address(text: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise ProxyError("the PROXY line has a bad address") from error
    if found.version != version:
        raise ProxyError("the PROXY line has an address of the other family")
    return str(ip_of(text))


def _port(text: str) -> int:
    if int(text) > 65535:
        raise ProxyError("the PROXY line has a bad port")
    return int(text)
