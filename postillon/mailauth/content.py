"""A message as these checks see it: its fields by name, and its body as a source of octets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ..message.header import Field, fields
from .canonical import Chunks, Digest, Wanted, digests, relaxed_field


class Content:
    """*header* is the header section as received, *chunks* gives the body. *is_large*: hash it in a thread."""

    def __init__(self, header: bytes, chunks: Chunks, is_large: bool = False) -> None:
        self.header = header
        self.chunks = chunks
        # All of them: a From that stood beyond a limit here would still be shown to the reader.
        self.fields = fields(header)
        self.by_name: dict[bytes, list[Field]] = {}
        for field in self.fields:
            self.by_name.setdefault(field.name.lower(), []).append(field)
        self.digests: dict[Wanted, Digest] = {}
        self._is_large = is_large
        self._relaxed: dict[int, bytes] = {}

    def named(self, name: bytes) -> list[Field]:
        """Fields called *name* (lower case) from the top."""
        return self.by_name.get(name, [])

    async def hash(self, wanted: Iterable[Wanted]) -> None:
        """Have these body hashes in `digests`."""
        missing = set(wanted) - self.digests.keys()
        if not missing:
            return
        if self._is_large:
            self.digests |= await asyncio.to_thread(lambda: digests(self.chunks(), missing))
        else:
            self.digests |= digests(self.chunks(), missing)

    def canonical(self, field: Field, is_relaxed: bool) -> bytes:
        """A field in its canonical form, with CRLF."""
        if not is_relaxed:
            octets = self.header[field.start : field.stop]
            return octets if octets.endswith(b"\r\n") else octets + b"\r\n"
        known = self._relaxed.get(field.start)
        if known is None:
            known = self._relaxed[field.start] = relaxed_field(field.name, field.value) + b"\r\n"
        return known

    def selected(self, names: Iterable[bytes], is_relaxed: bool) -> list[bytes]:
        """The canonical fields that `h=` means: of each name from the bottom up, one for each time it is there (§5.4.2)."""
        taken: dict[bytes, int] = {}
        found = []
        for name in names:
            lines = self.by_name.get(name, ())
            count = taken[name] = taken.get(name, 0) + 1
            if count <= len(lines):
                found.append(self.canonical(lines[-count], is_relaxed))
        return found
