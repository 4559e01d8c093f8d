"""The names in archives that we cannot unpack, RAR and 7z, and whether they are encrypted: only their headers are read. Pure."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BLOCKS = 10_000
MAX_HEADER = 8 << 20
MAX_TRIES = 1000
_AES = b"\x06\xf1\x07\x01"
"""The coder of 7z that encrypts."""


class ArchiveError(Exception):
    """It is broken, or no archive at all."""


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    is_encrypted: bool = False


# --- RAR ----------------------------------------------------------------------------------------------------------------


def rar_entries(data: bytes) -> Iterator[Listed]:
    """The files of a RAR archive, version 4 or 5. An encrypted directory is one file without a name. Raises ArchiveError."""
    if data[6:8] == b"\x01\x00":
        yield from _rar5(data)
    else:
        yield from _rar4(data)


def _rar4(data: bytes) -> Iterator[Listed]:
    at = 7
    for _ in range(MAX_BLOCKS):
        if at + 7 > len(data):
            return
        kind, flags = data[at + 2], int.from_bytes(data[at + 3 : at + 5], "little")
        size = int.from_bytes(data[at + 5 : at + 7], "little")
        if size < 7:
            raise ArchiveError("a block without a header")
        if kind == 0x73 and flags & 0x80:
            yield Listed("", is_encrypted=True)
            return
        more = int.from_bytes(data[at + 7 : at + 11], "little") if kind == 0x74 or flags & 0x8000 else 0
        if kind == 0x74:
            length = int.from_bytes(data[at + 26 : at + 28], "little")
            start = at + (40 if flags & 0x100 else 32)
            name = data[start : start + length].partition(b"\0")[0]
            yield Listed(name.decode("utf-8", "replace"), bool(flags & 0x04))
        elif kind == 0x7B:
            return
        at += size + more
    raise ArchiveError("too many blocks")


def _rar5(data: bytes) -> Iterator[Listed]:
    at = 8
    for _ in range(MAX_BLOCKS):
        if at + 7 > len(data):
            return
        size, start = _varint(data, at + 4)
        end = start + size
        kind, here = _varint(data, start)
        flags, here = _varint(data, here)
        extra, here = _varint(data, here) if flags & 1 else (0, here)
        octets, here = _varint(data, here) if flags & 2 else (0, here)
        if kind == 4:
            yield Listed("", is_encrypted=True)
            return
        if kind == 2:
            yield Listed(_rar5_name(data, here), _rar5_encrypted(data, max(end - extra, here), end))
        if kind == 5 or size == 0:
            return
        at = end + octets
    raise ArchiveError("too many blocks")


def _rar5_name(data: bytes, at: int) -> str:
    flags, at = _varint(data, at)
    _, at = _varint(data, at)  # the unpacked size
    _, at = _varint(data, at)  # attributes
    at += 4 * bool(flags & 2) + 4 * bool(flags & 4)  # time, checksum
    _, at = _varint(data, at)  # method
    _, at = _varint(data, at)  # system
    length, at = _varint(data, at)
    return data[at : at + min(length, 4096)].decode("utf-8", "replace")


def _rar5_encrypted(data: bytes, at: int, end: int) -> bool:
    """Whether one of the records in the extra area tells a key."""
    while at < end:
        size, at = _varint(data, at)
        kind, _ = _varint(data, at)
        if kind == 1:
            return True
        if not size:
            return False
        at += size
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in pieces of seven bits, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise ArchiveError("it breaks off")
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if not octet & 0x80:
            return value, at
    raise ArchiveError("a number that does not end")


# --- 7z -----------------------------------------------------------------------------------------------------------------


def seven_zip_entries(data: bytes) -> Iterator[Listed]:
    """The files of a 7z archive. Where its directory cannot be read, one without a name. Raises ArchiveError."""
    offset, size = int.from_bytes(data[12:20], "little"), int.from_bytes(data[20:28], "little")
    header = data[32 + offset : 32 + offset + size]
    if len(header) != size or not size or size > MAX_HEADER:
        raise ArchiveError("its directory is not there")
    if header[0] == 0x17:
        if _AES in header:
            yield Listed("", is_encrypted=True)
            return
        header = _packed_header(data, header)
    is_encrypted = _AES in header
    names = _seven_zip_names(header)
    if not names:
        yield Listed("", is_encrypted)
    for name in names:
        yield Listed(name, is_encrypted)


def _packed_header(data: bytes, header: bytes) -> bytes:
    """The directory, which is packed by LZMA itself, in the one form that 7-Zip writes it."""
    at = header.find(b"\x03\x01\x01\x05")  # LZMA, with five octets of properties
    position, rest = _number(header, 2)
    if at < 0 or header[1] != 0x06:
        raise ArchiveError("its directory is packed in a way that we do not know")
    count, rest = _number(header, rest)
    if header[rest] != 0x09 or count != 1:
        raise ArchiveError("its directory is packed in a way that we do not know")
    packed, _ = _number(header, rest + 1)
    properties = header[at + 4 : at + 9]
    after = header.find(b"\x0c", at + 9)
    unpacked, _ = _number(header, after + 1) if after >= 0 else (0, 0)
    if not 0 < unpacked <= MAX_HEADER or len(properties) < 5:
        raise ArchiveError("its directory is too large")
    lc, pb_lp = properties[0] % 9, properties[0] // 9
    size = int.from_bytes(properties[1:5], "little")
    if size > 64 << 20 or pb_lp // 5 > 4 or lc + pb_lp % 5 > 4:
        raise ArchiveError("its directory wants too much memory")
    one = lzma.LZMADecompressor(
        lzma.FORMAT_RAW,
        filters=[{"id": lzma.FILTER_LZMA1, "dict_size": max(size, 4096), "lc": lc, "lp": pb_lp % 5, "pb": pb_lp // 5}],
    )
    start = 32 + position
    try:
        return one.decompress(data[start : start + packed], unpacked)
    except lzma.LZMAError as error:
        raise ArchiveError(str(error)) from error


def _number(data: bytes, at: int) -> tuple[int, int]:
    """7z's numbers: as many octets more as the first one has leading ones."""
    if at >= len(data):
        raise ArchiveError("it breaks off")
    first = data[at]
    value, mask = 0, 0x80
    at += 1
    for shift in range(8):
        if not first & mask:
            return value + ((first & (mask - 1)) << (8 * shift)), at
        if at >= len(data):
            raise ArchiveError("it breaks off")
        value |= data[at] << (8 * shift)
        at += 1
        mask >>= 1
    return value, at


def _seven_zip_names(header: bytes) -> list[str]:
    """The names of the files: property 0x11 of FilesInfo, UTF-16 texts each with a NUL, inside the directory itself."""
    at = header.find(b"\x05")
    for _ in range(MAX_TRIES):
        at = header.find(b"\x11", at + 1) if at >= 0 else at
        if not 0 <= at < len(header) - 2:
            break
        size, begin = _number(header, at + 1)
        end = begin + size
        if size > 2 and size % 2 and end <= len(header) and header[begin] == 0 and header[end - 2 : end] == b"\0\0":
            return [name for name in header[begin + 1 : end].decode("utf-16-le", "replace").split("\0") if name][:MAX_BLOCKS]
    return []
