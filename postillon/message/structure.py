"""The offset scanner: a message as a tree of MIME parts, without copying or decoding a body (RFC 2045, 2046, 5322, 6532).

It takes anything, is iterative, and its time is linear in the octets: at most MAX_DEPTH levels, MAX_PARTS parts, and a
budget for looking at the same octets again on each level of nesting. What goes past a limit stays one part. The same tree
serves IMAP, filters and search; wherever a mail program could see another tree, `survey` says so.

How a multipart is cut (RFC 2046 §5.1.1): a delimiter is a whole line `--boundary`, perhaps with white space after it. The
outer multipart is cut first, so a part whose own last delimiter is missing ends where its parent's next delimiter stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import header as headers
from .encoded_words import decode_parameters
from .header import Buffer, header_end, unfold
from .imap_text import envelope_of
from .parameters import Params, content_type, disposition
from .part import Part, SectionKind, decode_structure, encode_structure, section, shifted

__all__ = [
    "MAX_DEPTH", "MAX_PARTS", "Part", "SectionKind", "Survey", "decode_structure", "encode_structure", "scan", "section",
    "shifted", "survey",
]  # fmt: skip

ENCODED_MESSAGE = "embedded message is encoded"
MAX_DEPTH = 100
MAX_PARTS = 10_000
MAX_BOUNDARY = 2048
"""RFC 2046 allows 70 octets; some senders write more."""
MAX_LANGUAGES = 20
_BUDGET = 8
"""How often, on average, each octet may be looked at; a fixed part comes on top, so that small messages never meet it."""
_BUDGET_BASE = 64 << 20
_NEAR_MISS = 512
"""What a line costs that only begins like a delimiter: it is looked at by Python, not by a search in C."""
_TEXT_BUDGET = 1 << 20
"""Octets of parameters, descriptions and embedded ENVELOPEs that are kept: what goes into each overview."""
_COUNT_CHUNK = 1 << 20

Fields = dict[bytes, list[bytes]]
"""As `header.values` gives them."""

_BARE = {b"content-type", b"content-transfer-encoding"}
"""Fields that are still read past the text budget, without parameters."""
_KEPT = _BARE | {
    b"content-disposition", b"content-id", b"content-description", b"content-md5", b"content-language", b"content-location",
}  # fmt: skip
_MAX_BARE = 100
_PLAIN: tuple[bytes, bytes, Params] = (b"text", b"plain", ((b"charset", b"us-ascii"),))
_OPAQUE: tuple[bytes, bytes, Params] = (b"application", b"octet-stream", ())
_MECHANISM = re.compile(rb"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+")
_IDENTITY = (b"7bit", b"8bit", b"binary")


@dataclass(frozen=True, slots=True)
class Survey:
    part: Part
    ambiguities: tuple[str, ...]
    """One phrase each, without repetition: why another reader may see another tree."""


class _Node:
    """A part while its tree grows."""

    __slots__ = (
        "body_end", "body_start", "children", "depth", "disposition", "encoding", "envelope", "fields", "header_start", "message",
        "params", "part", "subtype", "type",
    )  # fmt: skip

    def __init__(self, start: int, body_start: int, stop: int, depth: int, fields: Fields) -> None:
        self.header_start, self.body_start, self.body_end, self.depth, self.fields = start, body_start, stop, depth, fields
        self.type, self.subtype, self.params = _PLAIN
        self.encoding = _encoding(fields[b"content-transfer-encoding"][0]) if b"content-transfer-encoding" in fields else b"7bit"
        self.disposition: tuple[bytes, Params] | None = None
        if b"content-disposition" in fields:
            self.disposition = disposition(unfold(fields[b"content-disposition"][0]))
        self.children: list[_Node] = []
        self.message: _Node | None = None
        self.envelope = b""
        self.part: Part | None = None


def scan(data: Buffer) -> Part:
    """The tree of the message *data*: octets, or a file mapped into memory."""
    return _Scanner(data).run().part


def survey(data: Buffer) -> Survey:
    """`scan`, with what is ambiguous about the message."""
    return _Scanner(data).run()


def survey_with(data: Buffer, body_start: int, fields: Fields) -> Survey:
    """`survey` for a caller that has already read the outermost header: its end, and its `header.values`."""
    return _Scanner(data).run((body_start, fields))


def scan_with(data: Buffer, body_start: int, fields: Fields) -> Part:
    """`scan` for a caller that has already read the outermost header: its end, and its `header.values`."""
    return _Scanner(data).run((body_start, fields)).part


class _Scanner:
    def __init__(self, data: Buffer) -> None:
        self.data = data
        self.nodes: list[_Node] = []
        self.work: list[_Node] = []
        self.ambiguities: dict[str, None] = {}
        self.budget = _BUDGET_BASE + _BUDGET * len(data)
        self.text_budget = _TEXT_BUDGET

    def run(self, top: tuple[int, Fields] | None = None) -> Survey:
        self._add(0, len(self.data), 0, False, top)
        while self.work:
            self._open(self.work.pop())
        lines = self._count_lines()
        for node in reversed(self.nodes):  # children and embedded messages come after what holds them
            node.part = _freeze(node, lines)
        root = self.nodes[0].part
        assert root is not None
        return Survey(root, tuple(self.ambiguities))

    def _note(self, ambiguity: str) -> None:
        self.ambiguities[ambiguity] = None

    def _add(self, start: int, stop: int, depth: int, digest: bool, known: tuple[int, Fields] | None = None) -> _Node:
        """A new node for the octets *start* to *stop*, with its header read. *digest*: it lies in a multipart/digest."""
        if known is None:
            body_start = header_end(self.data, start, stop)
            if body_start - start > headers.MAX_HEADER:
                self._note("header over the limit")
            fields = headers.values(bytes(self.data[start : min(body_start, start + headers.MAX_HEADER)]))
        else:
            body_start, fields = known
        self.text_budget -= sum(len(fields[name][0]) for name in _KEPT & fields.keys())
        if self.text_budget < 0:
            self._note("fields of parts over the limit")
            fields = {name: [value[0].partition(b";")[0][:_MAX_BARE]] for name, value in fields.items() if name in _BARE}
        node = _Node(start, body_start, stop, depth, fields)
        node.type, node.subtype, node.params = self._type(fields, digest)
        self.nodes.append(node)
        if node.type in (b"multipart", b"message"):
            self.work.append(node)
        for name in (b"content-type", b"content-transfer-encoding", b"content-disposition"):
            if len(fields.get(name, ())) > 1:
                self._note(f"{name.decode()} occurs twice")
        return node

    def _type(self, fields: Fields, digest: bool) -> tuple[bytes, bytes, Params]:
        """Type, subtype and parameters; of several Content-Type fields the first counts."""
        found = fields.get(b"content-type")
        if not found:
            return (b"message", b"rfc822", ()) if digest else _PLAIN  # RFC 2046 §5.1.5
        parsed = content_type(unfold(found[0]))
        if parsed is None:
            self._note("content-type cannot be read")
            return _PLAIN  # RFC 2045 §5.2
        return parsed

    def _open(self, node: _Node) -> None:
        """Cut a multipart into its parts, or look into an embedded message."""
        if node.type == b"message" and node.subtype not in (b"rfc822", b"global"):
            return
        if node.depth >= MAX_DEPTH or len(self.nodes) >= MAX_PARTS:
            self._note("nested too deep" if node.depth >= MAX_DEPTH else "too many parts")
            node.type, node.subtype, node.params = _OPAQUE
        elif node.type == b"message":
            self._embed(node)
        else:
            self._cut(node)

    def _embed(self, node: _Node) -> None:
        start, stop = node.body_start, node.body_end
        if node.encoding not in _IDENTITY:
            # RFC 2046 §5.2.1 forbids it. The octets are no message as they stand, so its body is all there is.
            self._note(ENCODED_MESSAGE)
            inner = self._add(start, stop, node.depth + 1, False, (start, {}))
        else:
            inner = self._add(start, stop, node.depth + 1, False)
        node.message = inner
        if self.text_budget < 0:
            inner.envelope = envelope_of({})
        else:
            inner.envelope = envelope_of(inner.fields)
            self.text_budget -= len(inner.envelope)

    def _cut(self, node: _Node) -> None:
        boundary = self._boundary(node)
        self.budget -= node.body_end - node.body_start
        if self.budget < 0:
            self._note("nested over the budget")
            node.type, node.subtype, node.params = _OPAQUE
            return
        parts = self._split(boundary, node.body_start, node.body_end) if boundary else []
        if not parts:
            # No boundary, or it never comes: what is there is shown, as text.
            self._note("multipart without parts")
            node.type, node.subtype, node.params = _PLAIN
            return
        if node.encoding not in _IDENTITY:
            self._note("multipart is encoded")  # RFC 2045 §6.4; ignored, as everybody does
        digest = node.subtype == b"digest"
        node.children = [self._add(start, stop, node.depth + 1, digest) for start, stop in parts]

    def _boundary(self, node: _Node) -> bytes:
        """The boundary, or nothing if there is none that can be used."""
        found = [value for name, value in node.params if name == b"boundary"]
        if any(name.startswith(b"boundary*") for name, _ in node.params):
            self._note("boundary in the form of RFC 2231")
            found = found or [decode_parameters(node.params).get("boundary", "").encode("utf-8", "replace")]
        if len(found) > 1:
            self._note("boundary is given twice")
        boundary = found[0].rstrip(b" \t") if found else b""
        return boundary if len(boundary) <= MAX_BOUNDARY and b"\n" not in boundary else b""

    def _split(self, boundary: bytes, start: int, stop: int) -> list[tuple[int, int]]:
        """Where the parts between delimiters lie in *start* to *stop*. The line end before a delimiter belongs to it."""
        data = self.data
        needle = b"\n--" + boundary
        parts: list[tuple[int, int]] = []
        part_start = -1
        room = MAX_PARTS - len(self.nodes)
        at = data.find(needle, max(start - 1, 0), stop)  # a body that is not at offset 0 follows a line end
        while at >= 0:
            tail_start = at + len(needle)
            line_end = data.find(b"\n", tail_start, stop)
            tail = data[tail_start : line_end if line_end >= 0 else stop].rstrip(b" \t\r")
            if tail in (b"", b"--"):
                if part_start >= 0:
                    end = at - 1 if at > 0 and data[at - 1] == 13 else at
                    parts.append((part_start, max(end, part_start)))
                part_start = -1 if tail else (line_end + 1 if line_end >= 0 else stop)
                if tail:
                    if data.find(needle, tail_start, stop) >= 0:
                        self._note("delimiter after the last one")
                    break
                if len(parts) + 1 >= room:
                    self._note("too many parts")
                    break
            else:
                self._note("boundary begins another line")
                self.budget -= _NEAR_MISS
                if self.budget < 0:
                    self._note("nested over the budget")
                    break
            at = data.find(needle, tail_start, stop)
        if part_start >= 0:
            if at < 0:
                self._note("last delimiter is missing")
            parts.append((part_start, stop))
        return parts

    def _count_lines(self) -> dict[int, int]:
        """How many line ends lie before each offset at which a counted body begins or ends; each octet is read once."""
        counted = [node for node in self.nodes if node.type == b"text" or node.message]
        found: dict[int, int] = {}
        at = lines = 0
        for offset in sorted({offset for node in counted for offset in (node.body_start, node.body_end)}):
            while at < offset:
                stop = min(offset, at + _COUNT_CHUNK)
                lines += self.data[at:stop].count(b"\n")
                at = stop
            found[offset] = lines
        return found


def _freeze(node: _Node, lines: dict[int, int]) -> Part:
    fields = node.fields
    word, params = node.disposition or (None, ())
    is_counted = node.type == b"text" or node.message is not None
    return Part(
        node.header_start,
        node.body_start,
        node.body_end,
        lines[node.body_end] - lines[node.body_start] if is_counted else 0,
        node.type,
        node.subtype,
        node.params,
        _text(fields, b"content-id"),
        _text(fields, b"content-description"),
        node.encoding,
        _text(fields, b"content-md5"),
        word or None,
        params if word else (),
        _languages(fields[b"content-language"][0]) if b"content-language" in fields else (),
        _text(fields, b"content-location"),
        tuple([child.part for child in node.children if child.part]),
        node.message.part if node.message else None,
        node.envelope,
    )


def _encoding(value: bytes) -> bytes:
    """The word of a Content-Transfer-Encoding in lower case; 7bit if there is none (RFC 2045 §6.1)."""
    match = _MECHANISM.match(unfold(value))
    return match[0].lower() if match else b"7bit"


def _text(fields: Fields, name: bytes) -> bytes | None:
    return unfold(fields[name][0]) if name in fields else None


def _languages(value: bytes) -> tuple[bytes, ...]:
    """The tags of a Content-Language (RFC 3282 §2)."""
    tags = (tag.strip() for tag in unfold(value).split(b",", MAX_LANGUAGES))
    return tuple(tag for tag in tags if tag)[:MAX_LANGUAGES]
