"""Canonical forms of header fields and bodies (RFC 6376 §3.4), at the speed of `bytes.replace`, and body hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

CRLF = b"\r\n"
_RUN = b"\0"
"""Stands for a CRLF where only CR and LF can be: no other octet is there to be mistaken for it."""


def collapsed(octets: bytes) -> bytes:
    """Each run of spaces and tabs as one space."""
    if b"\t" in octets:
        octets = octets.replace(b"\t", b" ")
    while b"  " in octets:  # each turn halves the longest run
        octets = octets.replace(b"  ", b" ")
    return octets


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """§3.4.2, without the CRLF at its end. *value* is what stands after the colon."""
    return name.lower() + b":" + collapsed(value.replace(CRLF, b"")).strip(b" \r\n")


class SimpleBody:
    """§3.4.3: the body as it is, all empty lines at its end as one. `feed` chunks, then `end`; both give canonical octets."""

    of_empty = CRLF

    def __init__(self) -> None:
        self._half = b""
        self._ends = 0
        """CRLFs held back: they count only if something follows."""
        self._has_content = False

    def feed(self, chunk: bytes) -> bytes:
        data = self._half + chunk
        self._half = b""
        if data.endswith(b"\r"):
            data, self._half = data[:-1], b"\r"
        core = data.rstrip(CRLF)
        marked = data[len(core) :].replace(CRLF, _RUN)
        kept = marked.rstrip(_RUN)
        content = core + kept.replace(_RUN, CRLF)
        ends = len(marked) - len(kept)
        if not content:
            self._ends += ends
            return b""
        found = CRLF * self._ends + content
        self._ends, self._has_content = ends, True
        return found

    def end(self) -> bytes:
        if self._half:
            self._half, found = b"", CRLF * self._ends + b"\r" + CRLF
            return found
        return CRLF if self._has_content else self.of_empty


class RelaxedBody(SimpleBody):
    """§3.4.4: besides, no white space at the ends of lines, and runs of it as one space."""

    of_empty = b""

    def __init__(self) -> None:
        super().__init__()
        self._space = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._space + chunk
        line = data[:-1] if data.endswith(b"\r") else data
        core = line.rstrip(b" \t")
        # White space before the end of the chunk may be the end of a line: wait for what follows.
        self._space = (b" " if len(core) < len(line) else b"") + data[len(line) :]
        return super().feed(collapsed(core).replace(b" \r\n", CRLF))

    def end(self) -> bytes:
        rest = super().feed(self._space) if self._space.endswith(b"\r") else b""
        return rest + super().end()


class Wanted(NamedTuple):
    """A body hash that somebody needs."""

    is_relaxed: bool
    algorithm: str
    """For hashlib."""
    length: int | None
    """Only so many canonical octets (`l=`)."""


class Digest(NamedTuple):
    octets: bytes
    size: int
    """Canonical octets of the whole body."""


def digests(chunks: Iterable[bytes], wanted: Iterable[Wanted]) -> dict[Wanted, Digest]:
    """The body hashes *wanted*, in one pass over the body."""
    asked = set(wanted)
    forms: list[tuple[SimpleBody, list[_Counted]]] = []
    for is_relaxed in (True, False):
        counted = [_Counted(one) for one in asked if one.is_relaxed is is_relaxed]
        if counted:
            forms.append((RelaxedBody() if is_relaxed else SimpleBody(), counted))
    for chunk in chunks if forms else ():
        for form, counted in forms:
            _give(form.feed(chunk), counted)
    for form, counted in forms:
        _give(form.end(), counted)
    return {one.wanted: Digest(one.hash.digest(), one.size) for _, counted in forms for one in counted}


def _give(octets: bytes, counted: list[_Counted]) -> None:
    if octets:
        for one in counted:
            one.update(octets)


class _Counted:
    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.hash = hashlib.new(wanted.algorithm, usedforsecurity=False)
        self.size = 0

    def update(self, octets: bytes) -> None:
        length = self.wanted.length
        if length is None:
            self.hash.update(octets)
        elif self.size < length:
            self.hash.update(octets[: length - self.size])
        self.size += len(octets)


Chunks = Callable[[], Iterable[bytes]]
"""Gives the body's octets from its beginning."""
