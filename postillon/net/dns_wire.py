"""DNS messages as a stub needs them: a query out, the records of one answer in (RFC 1035 §4, RFC 6891 for EDNS).

Own code because it is small, ten times as fast as a general parser and reads nothing it does not need. Whatever a server
sends is taken as hostile: every length is checked, compression pointers only lead backwards.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Any

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, OPT, TLSA = 1, 2, 5, 6, 12, 15, 16, 28, 41, 52
IN = 1
UDP_SIZE = 1232
"""What we say we can take over UDP: never fragmented (DNS flag day 2020)."""
MAX_RECORDS = 300
MAX_POINTERS = 32
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
_EDE = 15
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")


class BadMessage(ValueError):
    """Not a DNS message, or not one that we would take."""


class BadName(ValueError):
    """The text cannot be a name in DNS."""


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    """Lower case, no final dot; the root is empty. Octets that are no printable ASCII are written `\\ddd`."""
    type: int
    ttl: int
    value: Any
    """A, AAAA, CNAME, PTR, NS: text. MX: (preference, host). TXT: text. TLSA: (usage, selector, matching, data). SOA: minimum."""


@dataclass(slots=True)
class Message:
    id: int
    is_response: bool
    opcode: int
    truncated: bool
    authentic: bool
    """The AD bit."""
    rcode: int
    question: bytes
    """As on the wire: name, type, class."""
    answers: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    """Extended DNS errors (RFC 8914)."""


def wire_name(text: str) -> bytes:
    """A name as on the wire, case kept. One final dot is allowed. Raises BadName."""
    text = text.removesuffix(".")
    if not text:
        return b"\0"
    if not all("!" <= char <= "~" for char in text):
        raise BadName("not printable ASCII")
    labels = text.encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        raise BadName("a label is empty or too long")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > 255:
        raise BadName("too long")
    return wire


def randomize_case(name: bytes, bits: int) -> bytes:
    """*name* (wire) with each letter's case taken from *bits*: answers must repeat it (draft-vixie-dnsext-dns0x20)."""
    out = bytearray(name)
    for index, octet in enumerate(out):
        # Length octets are below 64, so only letters are touched.
        if 65 <= octet & 0xDF <= 90:
            out[index] = (octet & 0xDF) | (0x20 if bits >> index & 1 else 0)
    return bytes(out)


def question(name: bytes, kind: int) -> bytes:
    return name + struct.pack("!HH", kind, IN)


def query(number: int, asked: bytes, *, edns: bool = True) -> bytes:
    """A query for *asked* (see `question`): recursion desired, AD set so that the answer's AD is told (RFC 6840 §5.7)."""
    head = _HEADER.pack(number, 0x0120, 1, 0, 0, 1 if edns else 0)
    return head + asked + (struct.pack("!BHHIH", 0, OPT, UDP_SIZE, 0, 0) if edns else b"")


def parse(data: bytes) -> Message:
    """Read a message. Raises BadMessage. Records of types and classes that we never ask for are left out."""
    try:
        return _parse(data)
    except (struct.error, IndexError) as error:
        raise BadMessage("cut short") from error


def _parse(data: bytes) -> Message:
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if questions > 1:
        raise BadMessage("more than one question")
    if answers + authorities + additional > MAX_RECORDS:
        raise BadMessage("too many records")
    end = _skip_plain_name(data, 12) + 4 if questions else 12  # errors may leave it out
    if end > len(data):
        raise BadMessage("cut short")
    message = Message(
        id=number,
        is_response=bool(flags & 0x8000),
        opcode=flags >> 11 & 15,
        truncated=bool(flags & 0x0200),
        authentic=bool(flags & 0x0020),
        rcode=flags & 15,
        question=data[12:end],
    )
    if message.truncated:
        return message  # the rest may be cut anywhere, and is asked for again over TCP
    for section, count in ((message.answers, answers), (message.authority, authorities)):
        for _ in range(count):
            end = _record(data, end, section)
    for _ in range(additional):
        end = _additional(data, end, message)
    return message


def _skip_plain_name(data: bytes, at: int) -> int:
    """The end of the question's name, which is never compressed."""
    while length := data[at]:
        if length > 63:
            raise BadMessage("compressed question")
        at += length + 1
    return at + 1


def _record(data: bytes, at: int, section: list[Record]) -> int:
    name, at = read_name(data, at)
    size: int
    kind, group, ttl, size = _RECORD.unpack_from(data, at)
    start, end = at + 10, at + 10 + size
    if end > len(data):
        raise BadMessage("record cut short")
    reader = _READERS.get(kind)
    if reader is not None and group == IN:
        # RFC 2181 §8: a TTL with the top bit set counts as 0.
        section.append(Record(name, kind, 0 if ttl & 0x80000000 else ttl, reader(data, start, end)))
    return end


def _additional(data: bytes, at: int, message: Message) -> int:
    _, at = read_name(data, at)
    size: int
    kind, _, ttl, size = _RECORD.unpack_from(data, at)
    at, end = at + 10, at + 10 + size
    if end > len(data):
        raise BadMessage("record cut short")
    if kind == OPT:
        message.rcode |= (ttl >> 24) << 4
        while at + 4 <= end:
            option, length = struct.unpack_from("!HH", data, at)
            if option == _EDE and length >= 2 and at + 6 <= end:
                message.errors.append(struct.unpack_from("!H", data, at + 4)[0])
            at += 4 + length
    return end


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """The name at *at*, and where the octets after it begin. Raises BadMessage, IndexError."""
    labels: list[str] = []
    after, total, lowest, pointers = -1, 0, at, 0
    while True:
        length = data[at]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            if after < 0:
                after = at + 2
            # Each pointer must lead further back than all before it, so there is no loop.
            pointers += 1
            if target >= lowest or pointers > MAX_POINTERS:
                raise BadMessage("pointer leads forward, or too many of them")
            at = lowest = target
            continue
        if length > 63:
            raise BadMessage("bad label")
        at += 1
        if length == 0:
            break
        total += length + 1
        if total > 254 or at + length > len(data):
            raise BadMessage("name too long")
        labels.append(_label(data[at : at + length]))
        at += length
    return ".".join(labels), (after if after >= 0 else at)


def _label(octets: bytes) -> str:
    text = octets.lower().decode("latin-1")
    if text.isascii() and text.isprintable() and not any(special in text for special in ' .\\"'):
        return text
    return "".join(char if "!" <= char <= "~" and char not in '.\\"' else f"\\{ord(char):03d}" for char in text)


def _read_a(data: bytes, start: int, end: int) -> str:
    return _address(data, start, end, 4)


def _read_aaaa(data: bytes, start: int, end: int) -> str:
    return _address(data, start, end, 16)


def _address(data: bytes, start: int, end: int, size: int) -> str:
    if end - start != size:
        raise BadMessage("bad address")
    return str(ipaddress.ip_address(data[start:end]))


def _read_host(data: bytes, start: int, end: int) -> str:
    name, after = read_name(data, start)
    if after != end:
        raise BadMessage("bad record")
    return name


def _read_mx(data: bytes, start: int, end: int) -> tuple[int, str]:
    preference = struct.unpack_from("!H", data, start)[0]
    return preference, _read_host(data, start + 2, end)


def _read_txt(data: bytes, start: int, end: int) -> str:
    """The strings of the record put together (RFC 7208 §3.3), UTF-8, other octets as surrogate escapes."""
    parts = []
    while start < end:
        stop = start + 1 + data[start]
        if stop > end:
            raise BadMessage("bad text")
        parts.append(data[start + 1 : stop])
        start = stop
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _read_tlsa(data: bytes, start: int, end: int) -> tuple[int, int, int, bytes]:
    if end - start < 4:
        raise BadMessage("bad TLSA")
    return data[start], data[start + 1], data[start + 2], data[start + 3 : end]


def _read_soa(data: bytes, start: int, end: int) -> int:
    _, at = read_name(data, start)
    _, at = read_name(data, at)
    if at + 20 != end:
        raise BadMessage("bad SOA")
    return int(struct.unpack_from("!5I", data, at)[4])


_READERS = {
    A: _read_a,
    AAAA: _read_aaaa,
    CNAME: _read_host,
    PTR: _read_host,
    NS: _read_host,
    MX: _read_mx,
    TXT: _read_txt,
    TLSA: _read_tlsa,
    SOA: _read_soa,
}
