"""APPEND with several messages and CATENATE, and REPLACE (RFC 3501 §6.3.11, RFC 3502, 3516, 4469, 6855, 8508).

The only commands whose literals are not collected: the engine streams them. So the grammar is read in segments, each from
the end of a streamed literal to the next one, and what was understood so far is a value, `Progress`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from ..commands import Append, AppendMessage, LiteralPart, Replace, UrlPart
from .dates import date_time
from .reader import MAX_63, Bad, Reader

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,19})(\+?)\}\r\n\Z")
_CATENATE = re.compile(rb"CATENATE \(", re.IGNORECASE)
_UTF8 = re.compile(rb"UTF8 \(", re.IGNORECASE)
_NUMBER = re.compile(rb"[1-9][0-9]{0,9}|\*")
_NOT_STORED = frozenset((b"\\recent",))
"""Flags that copying clients send along although they are the server's; they are left out."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A literal to stream."""

    size: int
    synchronising: bool
    binary: bool
    message: int
    part: int


@dataclass(frozen=True, slots=True)
class Progress:
    """*message* is the one being read, with its parts so far; *form* is how it is written."""

    request: Append | Replace
    messages: tuple[AppendMessage, ...] = ()
    message: AppendMessage | None = None
    form: Literal["literal", "UTF8", "CATENATE"] = "literal"

    def finished(self) -> Append | Replace:
        if isinstance(self.request, Replace):
            return replace(self.request, message=self.messages[0])
        return replace(self.request, messages=self.messages)


def begin(reader: Reader, name: str) -> Progress:
    """The start of the command, up to the mailbox name."""
    reader.space()
    if name == "APPEND":
        return Progress(Append(reader.mailbox()))
    number = reader.take(_NUMBER, "message number")[0]
    value = 0 if number == b"*" else int(number)
    if value > 0xFFFFFFFF:
        raise Bad("message number is out of range")
    reader.space()
    return Progress(Replace(name.startswith("UID"), value, reader.mailbox()))


def proceed(progress: Progress, reader: Reader) -> tuple[Progress, Announced | None]:
    """Read on to the next literal that is to be streamed, or to the end of the command (then None)."""
    message = progress.message
    if message is not None and progress.form != "CATENATE":
        if progress.form == "UTF8":
            reader.expect(b")")
        progress, message = _complete(progress, message), None
    while True:
        if message is None:
            if progress.messages and reader.at_end():
                return progress, None
            progress, message = _start(progress, reader)
        elif reader.skip(b")"):
            progress, message = _complete(progress, message), None
            continue
        else:
            reader.space()
        message, announced = _part(progress, message, reader)
        if announced is not None:
            return replace(progress, message=message), announced


def _complete(progress: Progress, message: AppendMessage) -> Progress:
    return Progress(progress.request, (*progress.messages, message))


def _start(progress: Progress, reader: Reader) -> tuple[Progress, AppendMessage]:
    """Flags and date of the next message, and the opening parenthesis if there is one."""
    if progress.messages and isinstance(progress.request, Replace):
        raise Bad("REPLACE takes one message")
    reader.space()
    flags: tuple[bytes, ...] = ()
    if reader.data.startswith(b"(", reader.pos):
        flags = reader.flag_list(_NOT_STORED)
        reader.space()
    date = None
    if reader.data.startswith(b'"', reader.pos):
        date = date_time(reader)
        reader.space()
    form: Literal["literal", "UTF8", "CATENATE"] = "literal"
    if reader.match(_CATENATE):
        form = "CATENATE"
    elif reader.match(_UTF8):
        form = "UTF8"
    return replace(progress, form=form), AppendMessage((), flags, date)


def _part(progress: Progress, message: AppendMessage, reader: Reader) -> tuple[AppendMessage, Announced | None]:
    """A literal, or RFC 4469 §5 cat-part."""
    if progress.form == "CATENATE":
        word = reader.word("TEXT or URL")
        reader.space()
        if word == b"URL":
            return replace(message, parts=(*message.parts, UrlPart(reader.astring("URL")))), None
        if word != b"TEXT":
            raise Bad("TEXT or URL expected")
    return _literal(progress, message, reader)


def _literal(progress: Progress, message: AppendMessage, reader: Reader) -> tuple[AppendMessage, Announced]:
    found = reader.take(_LITERAL, "message literal")
    size = int(found[2])
    if size > MAX_63:
        raise Bad("size is out of range")
    part = LiteralPart(size, bool(found[1]))
    announced = Announced(size, not found[3], part.binary, len(progress.messages), len(message.parts))
    return replace(message, parts=(*message.parts, part)), announced


NAMES = {b"APPEND": "APPEND", b"REPLACE": "REPLACE", b"UID REPLACE": "UID REPLACE"}
"""The commands that the engine hands to this module."""
