"""A file and all that is packed in it: what is dangerous about them. Pure; bounded by `archive.Budget`."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..message import transfer
from ..message.structure import scan
from . import archive, markup
from .ambiguity import names_of
from .archive import Bomb, Budget
from .filetype import Danger, container, deceives, ending_of, identify
from .listings import ArchiveError

MAX_FOUND = 20
"""Findings of one message; the rest would say the same."""
MAX_NAME = 200
_MARKUP = frozenset((b"html", b"htm", b"xhtml", b"xht", b"shtml", b"svg", b"svgz", b"mht", b"mhtml"))
_MESSAGES = frozenset((b"eml", b"mht", b"mhtml"))
_OFFICE = "[Content_Types].xml"
_WORDS = {"turned": "a name that is written backwards", "double": "a second ending", "spaced": "an ending far to the right"}
_UU = re.compile(rb"(?:\A|\n)begin [0-7]{3,4} ([^\r\n]{1,200})\r?\n")


@dataclass(frozen=True, slots=True)
class Found:
    danger: Danger
    what: str
    name: str
    """Of the file; with those of the archives around it, apart by `/`."""


def inspect(name: str, data: bytes, budget: Budget) -> Iterator[Found]:
    """What is dangerous about the file *data* called *name*."""
    yield from _inspect(name, data, budget, 0)


def _inspect(path: str, data: bytes, budget: Budget, depth: int) -> Iterator[Found]:
    name = path.rpartition("/")[2] if depth else path
    ending = ending_of(name)
    yield from _name(path, name)
    for what, danger in identify(data, ending):
        yield Found(danger, what, path)
    if ending in _MARKUP or data[:512].lstrip()[:1] == b"<":
        yield from _markup(path, data)
    kind = container(data)
    if kind is None and ending not in _MESSAGES:
        return
    if depth >= archive.MAX_DEPTH:
        yield Found(Danger.BOMB, f"more than {archive.MAX_DEPTH} archives in each other", path)
        return
    if kind is None:
        yield from _message(path, data, budget, depth)
        return
    inside = _Inside(path)
    try:
        for entry in archive.entries(data, kind, name, budget):
            yield from inside.see(entry)
            if entry.data is not None and not inside.is_known(entry.name):
                yield from _inspect(_joined(path, entry.name), entry.data, budget, depth + 1)
            else:
                yield from _listed(path, entry.name)
    except Bomb as bomb:
        yield Found(Danger.BOMB, str(bomb), path)
    except ArchiveError:
        yield Found(Danger.ENCRYPTED, "archive that cannot be read", path)
    except RecursionError:  # cannot be, as the depth is bounded; a bound that somebody raises must not lose mail
        yield Found(Danger.BOMB, "archives in each other", path)


def _message(path: str, data: bytes, budget: Budget, depth: int) -> Iterator[Found]:
    """Of a message that is a file: attached in an encoding, or packed."""
    work = [scan(data)]
    try:
        while work:
            part = work.pop()
            if part.message and part.encoding in transfer.IDENTITY:
                work.append(part.message)
            elif part.children:
                work += reversed(part.children)
            else:
                budget.entry()
                octets = transfer.decode(data[part.body_start : part.body_end], part.encoding)[: archive.MAX_FILE]
                budget.take(len(octets))
                own = "message.eml" if part.message else part.subtype.decode("latin-1")[:40]
                for name in names_of(part)[:4] or [own]:
                    yield from _inspect(_joined(path, name), octets, budget, depth + 1)
    except Bomb as bomb:
        yield Found(Danger.BOMB, str(bomb), path)


def _name(path: str, name: str) -> Iterator[Found]:
    how = deceives(name)
    if how:
        yield Found(Danger.EXECUTABLE, f"file with {_WORDS[how]}", path)


def _listed(path: str, name: str) -> Iterator[Found]:
    """A file of which only the name is known."""
    whole = _joined(path, name)
    yield from _name(whole, name)
    for what, danger in identify(b"", ending_of(name)):
        yield Found(danger, what, whole)


def _markup(path: str, data: bytes) -> Iterator[Found]:
    if markup.smuggles(data):
        yield Found(Danger.SMUGGLING, "page that makes a file by a script", path)
    elif markup.is_active_svg(data):
        yield Found(Danger.SMUGGLING, "image with a script", path)


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}"[-MAX_NAME:]


class _Inside:
    """What the files of one archive mean together: documents, programs for Java and Android, installers."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_document = False
        self._told: set[str] = set()

    def is_known(self, name: str) -> bool:
        """A part of a document, which is no file of its own: its ending means nothing."""
        return self._is_document and name.lower().endswith((".xml", ".rels"))

    def see(self, entry: archive.Entry) -> Iterator[Found]:
        for what, danger in self._meaning(entry):
            if what not in self._told:
                self._told.add(what)
                yield Found(danger, what, self._path)

    def _meaning(self, entry: archive.Entry) -> Iterator[tuple[str, Danger]]:
        name = entry.name.replace("\\", "/").lower()
        if entry.is_encrypted:
            yield "encrypted archive", Danger.ENCRYPTED
        if name == _OFFICE.lower():
            self._is_document = True
        elif name.endswith("vbaproject.bin") or "/macrosheets/" in name or name.startswith(("basic/", "scripts/")):
            yield "document with macros", Danger.ACTIVE
        elif "/embeddings/" in name and name.endswith(".bin"):
            yield "document with an embedded file", Danger.ACTIVE
        elif name.endswith(".rels") and entry.data and b"attachedTemplate" in entry.data and b"External" in entry.data:
            yield "document whose template lies elsewhere", Danger.ACTIVE
        elif name.endswith(".class") or name == "meta-inf/manifest.mf":
            yield "Java program", Danger.EXECUTABLE
        elif name in ("androidmanifest.xml", "appxmanifest.xml", "appxmanifest.xml", "extension.vsixmanifest"):
            yield "installer", Danger.EXECUTABLE


def uuencoded(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Files in a plain text in the old form of `uuencode`, which some programs still show as attachments."""
    at = 0
    for _ in range(MAX_FOUND):
        match = _UU.search(text, at)
        if match is None:
            return
        at = match.end()
        stop = text.find(b"\nend", at)
        lines = text[at : stop if stop >= 0 else len(text)].split(b"\n")
        at = stop if stop >= 0 else len(text)
        yield match[1].decode("utf-8", "replace"), b"".join(map(_uu_line, lines))


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line.rstrip(b"\r"))
    except binascii.Error:
        return b""
