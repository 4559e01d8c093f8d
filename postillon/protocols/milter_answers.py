"""What a milter says (see `milter`): verdicts on a step, and changes to a message that is complete."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class MilterError(Exception):
    """The milter said what makes no sense. The words are for a log."""


class Verdict(Enum):
    """An answer that ends a step. The value is its octet."""

    CONTINUE = b"c"
    ACCEPT = b"a"
    REJECT = b"r"
    TEMPFAIL = b"t"
    DISCARD = b"d"
    SKIP = b"s"
    SHUTDOWN = b"4"
    """Say 421 and close."""
    CONNECTION_FAILED = b"f"


@dataclass(frozen=True, slots=True)
class ReplyCode:
    """Refuse with these words. *text* has no line end."""

    code: int
    status: str
    """Enhanced, or empty."""
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """It is still at work: the time limit begins anew."""


@dataclass(frozen=True, slots=True)
class AddHeader:
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    index: int
    """Before the field at this place, from 0."""
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    index: int
    """Which of the fields with that name, from 1."""
    name: bytes
    value: bytes
    """Empty: the field goes."""


@dataclass(frozen=True, slots=True)
class ChangeSender:
    address: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class AddRecipient:
    address: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class RemoveRecipient:
    address: str


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """A piece of the new body; the pieces follow each other."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Quarantine:
    reason: str


Change = AddHeader | InsertHeader | ChangeHeader | ChangeSender | AddRecipient | RemoveRecipient | ReplaceBody | Quarantine
Answer = Verdict | ReplyCode | Progress | Change


def words_of(data: bytes) -> str:
    """Text in no certain charset; what is no UTF-8 survives the way back."""
    return data.decode("utf-8", "surrogateescape")


def _strings(data: bytes, least: int, most: int) -> list[bytes]:
    """Texts, each with a NUL at its end, which some leave out at the last one."""
    found = data.removesuffix(b"\0").split(b"\0")
    if not least <= len(found) <= most:
        raise MilterError(f"{len(found)} texts where {least} to {most} belong")
    return found


def change_of(command: bytes, data: bytes) -> Change | None:
    """What the packet asks for; None: it is no change. Raises MilterError."""
    if command == b"h":
        name, value = _strings(data, 2, 2) if data.count(b"\0") > 1 else (*_strings(data, 1, 2), b"")[:2]
        return AddHeader(name, value)
    if command in b"im" and len(data) > 4:
        index = int.from_bytes(data[:4], "big")
        name, value = (*_strings(data[4:], 1, 2), b"")[:2]
        return InsertHeader(index, name, value) if command == b"i" else ChangeHeader(index, name, value)
    if command in b"e2":
        address, parameters = (*map(words_of, _strings(data, 1, 2)), "")[:2]
        return ChangeSender(address, parameters) if command == b"e" else AddRecipient(address, parameters)
    if command == b"+":
        return AddRecipient(words_of(_strings(data, 1, 1)[0]))
    if command == b"-":
        return RemoveRecipient(words_of(_strings(data, 1, 1)[0]))
    if command == b"b":
        return ReplaceBody(data)
    if command == b"q":
        return Quarantine(words_of(_strings(data, 1, 1)[0]))
    return None


def verdict_of(command: bytes, data: bytes) -> Verdict | ReplyCode:
    """The answer that ends a step. Raises MilterError for what is none."""
    if command == b"y":
        return _reply_code(data)
    try:
        return Verdict(command)
    except ValueError:
        raise MilterError(f"unknown answer {command!r}") from None


def _reply_code(data: bytes) -> ReplyCode:
    """`550 5.7.1 Words`, perhaps on several lines, each with the code."""
    lines = words_of(_strings(data, 1, 1)[0]).replace("\r\n", "\n").split("\n")
    code = lines[0][:3]
    if not (code.isascii() and code.isdigit() and code[0] in "45") or any(line[:3] != code for line in lines if line):
        raise MilterError(f"a reply that refuses nothing: {lines[0][:40]!r}")
    texts = []
    status = ""
    for line in lines:
        first, _, rest = line[4:].partition(" ")
        if first.count(".") == 2 and first.replace(".", "").isdigit() and first[0] == code[0]:
            status, text = first, rest
        else:
            text = line[4:]
        texts.append(text.strip())
    return ReplyCode(int(code), status, " ".join(filter(None, texts)).replace("%%", "%"))
