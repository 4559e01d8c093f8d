"""Archives opened within bounds: how deep, how many files, how many octets, how much more than there was. Pure.

The bounds hold for a whole message. What lies beyond them is not looked at, and said to be a *bomb*. Nothing is written anywhere,
and no name in an archive is ever used as a path.
"""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .filetype import Container
from .listings import ArchiveError, rar_entries, seven_zip_entries

MAX_DEPTH = 5
MAX_ENTRIES = 5_000
MAX_OCTETS = 128 << 20
"""Unpacked, of all archives of a message together."""
MAX_RATIO = 100
"""Unpacked octets for each packed one, once there are RATIO_FROM of them."""
RATIO_FROM = 16 << 20
MAX_READ = 128 << 20
"""Packed octets that are read, those that several files share counted each time, and those that unpack to nothing."""
MAX_FILE = 32 << 20
"""Octets of one file that are unpacked; what is beyond counts as a bomb."""
MAX_DIRECTORY = 4 << 20
_CHUNK = 1 << 16
_MAX_NAME = 4096
_PAX_NAME = re.compile(rb"(?:\A|\n)\d+ path=([^\n]*)")
_LZMA_MEMORY = 128 << 20


class Bomb(Exception):
    """A bound is reached. The words say which."""


@dataclass(slots=True)
class Budget:
    """What is left for a message; *packed* octets is what all of it came from."""

    packed: int
    octets: int = MAX_OCTETS
    entries: int = MAX_ENTRIES
    reading: int = MAX_READ

    def entry(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise Bomb(f"more than {MAX_ENTRIES} files")

    def read(self, octets: int) -> None:
        self.reading -= octets
        if self.reading < 0:
            raise Bomb(f"more than {MAX_READ >> 20} MiB to read")

    def take(self, octets: int) -> None:
        self.octets -= octets
        if self.octets < 0:
            raise Bomb(f"more than {MAX_OCTETS >> 20} MiB unpacked")
        used = MAX_OCTETS - self.octets
        if used > RATIO_FROM and used > self.packed * MAX_RATIO:
            raise Bomb(f"unpacks to more than {MAX_RATIO} times its size")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in an archive. *data* is None where it cannot be unpacked (encrypted, or by a method that is not known)."""

    name: str
    data: bytes | None
    is_encrypted: bool = False


def entries(data: bytes, kind: Container, name: str, budget: Budget) -> Iterator[Entry]:
    """The files in the archive *data*, called *name*, one after the other. Raises Bomb, ArchiveError (it is broken)."""
    if kind is Container.ZIP:
        yield from _zip(data, budget)
    elif kind is Container.TAR:
        yield from _tar(data, budget)
    elif kind is Container.RAR:
        for listed in rar_entries(data):
            budget.entry()
            yield Entry(listed.name, None, listed.is_encrypted)
    elif kind is Container.SEVEN_ZIP:
        for listed in seven_zip_entries(data):
            budget.entry()
            yield Entry(listed.name, None, listed.is_encrypted)
    else:
        budget.entry()
        yield Entry(_inner_name(name), _members(data, kind, budget))


def _inner_name(name: str) -> str:
    """`a.tar.gz` holds `a.tar`."""
    stem, dot, ending = name.rpartition(".")
    if dot and ending.lower() in ("tgz", "tbz", "tbz2", "txz"):
        return stem + ".tar"
    return stem if dot and ending.lower() in ("gz", "bz2", "xz") else name


def _members(data: bytes, kind: Container, budget: Budget) -> bytes:
    """All that a compressed file holds: it may be several put together, which unpack to one."""
    pieces: list[bytes] = []
    at, start = 0, data[:2]
    while data[at : at + 2] == start:
        budget.entry()
        piece, at = _inflated(data, at, len(data), _decompressor(kind), budget)
        pieces.append(piece)
    return b"".join(pieces)


class _Zlib:
    """zlib in the form of the other two: at most so many octets at a time."""

    def __init__(self, bits: int) -> None:
        self._one = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        return self._one.eof

    @property
    def unused_data(self) -> bytes:
        return self._one.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._one.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._one.decompress(self._one.unconsumed_tail + data, max_length)


Decompressor = _Zlib | bz2.BZ2Decompressor | lzma.LZMADecompressor


def _decompressor(kind: Container) -> Decompressor:
    if kind is Container.GZIP:
        return _Zlib(31)
    if kind is Container.BZIP2:
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)


def _inflated(data: bytes, at: int, stop: int, one: Decompressor, budget: Budget) -> tuple[bytes, int]:
    """What `data[at:stop]` unpacks to, and where it ended. Of a broken one what came before the fault. Raises ArchiveError."""
    pieces: list[bytes] = []
    size = 0
    try:
        while not one.eof:
            chunk = data[at : min(at + _CHUNK, stop)] if one.needs_input else b""
            at += len(chunk)
            budget.read(len(chunk))
            piece = one.decompress(chunk, _CHUNK)
            if not chunk and not piece:
                break
            size += len(piece)
            budget.take(len(piece))
            if size > MAX_FILE:
                raise Bomb(f"a file of more than {MAX_FILE >> 20} MiB")
            pieces.append(piece)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        if not pieces:
            raise ArchiveError(str(error)) from error
        return b"".join(pieces), len(data)
    return b"".join(pieces), at - len(one.unused_data) if one.eof else len(data)


# --- zip (APPNOTE 4.3) --------------------------------------------------------------------------------------------------

_END = b"PK\x05\x06"
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_BZIP2, _LZMA, _DEFLATE, _STORED = 12, 14, 8, 0


def _zip(data: bytes, budget: Budget) -> Iterator[Entry]:
    """By the central directory, as most programs read it; by the local headers where there is none."""
    end = data.rfind(_END, max(len(data) - 65557, 0))
    if end < 0 or end + 22 > len(data):
        yield from _zip_by_local_headers(data, budget)
        return
    size, start = struct.unpack_from("<II", data, end + 12)
    if size > MAX_DIRECTORY:
        raise Bomb(f"a directory of {size >> 20} MiB")
    # What was put before an archive (a self-extractor) moves all offsets.
    shift = 0 if start == 0xFFFFFFFF else max(end - size - start, 0)
    at = start + shift if start != 0xFFFFFFFF else data.find(b"PK\x01\x02")
    if data[at : at + 4] != b"PK\x01\x02":
        at = data.find(b"PK\x01\x02")
    while at >= 0 and at + _CENTRAL.size <= len(data) and data[at : at + 4] == b"PK\x01\x02":
        budget.entry()
        fields = _CENTRAL.unpack_from(data, at)
        flags, method, packed, name_size, extra, comment, offset = (fields[i] for i in (3, 4, 8, 10, 11, 12, 16))
        name = data[at + 46 : at + 46 + name_size]
        at += 46 + name_size + extra + comment
        yield _zip_entry(data, name, flags, method, packed, offset + shift, budget)


def _zip_by_local_headers(data: bytes, budget: Budget) -> Iterator[Entry]:
    at = 0
    while at + _LOCAL.size <= len(data) and data[at : at + 4] == b"PK\x03\x04":
        budget.entry()
        fields = _LOCAL.unpack_from(data, at)
        flags, method, packed, name_size, extra = (fields[i] for i in (2, 3, 7, 9, 10))
        name = data[at + 30 : at + 30 + name_size]
        yield _zip_entry(data, name, flags, method, packed or len(data), at, budget)
        if not packed:  # the size comes after the octets: where they end is not known
            return
        at += 30 + name_size + extra + packed


def _zip_entry(data: bytes, name: bytes, flags: int, method: int, packed: int, at: int, budget: Budget) -> Entry:
    title = name.decode("utf-8" if flags & 0x800 else "cp437", "replace")
    if flags & 0x1:
        return Entry(title, None, is_encrypted=True)
    if at + 30 > len(data) or data[at : at + 4] != b"PK\x03\x04":
        return Entry(title, None)
    name_size, extra = struct.unpack_from("<HH", data, at + 26)
    start = at + 30 + name_size + extra
    stop = min(start + packed, len(data))
    if method == _STORED:
        if stop - start > MAX_FILE:
            raise Bomb(f"a file of more than {MAX_FILE >> 20} MiB")
        budget.read(max(stop - start, 0))
        budget.take(max(stop - start, 0))
        return Entry(title, data[start:stop])
    one: Decompressor | None = None
    if method == _DEFLATE:
        one = _Zlib(-15)
    elif method == _BZIP2:
        one = bz2.BZ2Decompressor()
    elif method == _LZMA and data[start + 2 : start + 4] == b"\x05\x00" and stop - start > 9:
        # APPNOTE 5.8.8: two octets of version, two of the size of the properties, then these.
        one, start = raw_lzma(data[start + 4 : start + 9]), start + 9
    if one is None:
        return Entry(title, None)
    try:
        return Entry(title, _inflated(data, start, stop, one, budget)[0])
    except ArchiveError:
        return Entry(title, None)


def raw_lzma(properties: bytes) -> lzma.LZMADecompressor | None:
    """A decompressor for LZMA with these five octets of properties; None if it wants too much memory."""
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    size = int.from_bytes(properties[1:5], "little")
    if size > _LZMA_MEMORY or lc + lp > 4 or pb > 4:
        return None
    return lzma.LZMADecompressor(
        lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": max(size, 4096), "lc": lc, "lp": lp, "pb": pb}]
    )


# --- tar (POSIX.1-1988) -------------------------------------------------------------------------------------------------


def _tar(data: bytes, budget: Budget) -> Iterator[Entry]:
    at = 0
    long_name = ""
    while at + 512 <= len(data):
        block = data[at : at + 512]
        if not block.strip(b"\0"):
            return
        size = _tar_number(block[124:136])
        octets = data[at + 512 : at + 512 + size]
        at += 512 + (size + 511 & ~511)
        budget.entry()
        kind = block[156:157]
        if kind == b"L":  # GNU: the name of the next one
            long_name = octets[:_MAX_NAME].rstrip(b"\0").decode("utf-8", "replace")
        elif kind == b"x":  # POSIX.1-2001: lines of `LENGTH path=NAME`
            found = _PAX_NAME.search(octets[:_MAX_NAME])
            long_name = found[1].decode("utf-8", "replace") if found else ""
        elif kind in (b"0", b"\0", b"7"):
            budget.take(len(octets))
            yield Entry(long_name or block[:100].partition(b"\0")[0].decode("utf-8", "replace"), octets)
            long_name = ""


def _tar_number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise ArchiveError("a size that is no number") from None
