"""The client side of the milter protocol, version 6: what a mail server tells a mail filter, and what that answers.

There is no RFC; this is the protocol of Sendmail's libmilter 8.14 and later, in the form that Postfix speaks. A packet is four
octets of length (network order), one of command, and its data; what is in those that come is `milter_answers`' business.
Sans-I/O: each method returns octets to send, empty if the milter does not want to hear that step; `awaited` then says whether an
answer comes. `receive` takes what came.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntFlag

from .milter_answers import (
    AddHeader,
    AddRecipient,
    Answer,
    Change,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    MilterError,
    Progress,
    Quarantine,
    RemoveRecipient,
    ReplaceBody,
    Verdict,
    change_of,
    verdict_of,
    words_of,
)

VERSION = 6
OLDEST = 2
CHUNK = 65535
"""Octets of body in one packet."""
MAX_PACKET = 1 << 20
"""Octets of one answer: a piece of a new body has 64 KiB at most, a header field is shorter than what we accept ourselves."""


class Actions(IntFlag):
    """What a milter may do to a message."""

    ADD_HEADER = 0x01
    REPLACE_BODY = 0x02
    ADD_RECIPIENT = 0x04
    REMOVE_RECIPIENT = 0x08
    CHANGE_HEADER = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENT_WITH_PARAMETERS = 0x80
    SET_MACROS = 0x100


class Steps(IntFlag):
    """What a milter does not want to hear (NO_), does not answer (MUTE_), or how."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_EOH = 0x40
    MUTE_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    """It may answer that it needs no more of the body."""
    REFUSED_RCPT = 0x800
    """It wants to hear of recipients that we refuse."""
    MUTE_CONNECT = 0x1000
    MUTE_HELO = 0x2000
    MUTE_MAIL = 0x4000
    MUTE_RCPT = 0x8000
    MUTE_DATA = 0x10000
    MUTE_UNKNOWN = 0x20000
    MUTE_EOH = 0x40000
    MUTE_BODY = 0x80000
    LEADING_SPACE = 0x100000
    """Header values with the white space after the colon, in both directions."""


ALL_ACTIONS = Actions(0x1FF)
ALL_STEPS = Steps(0x1FFFFF)


class Stage(Enum):
    """Of the dialogue. The value is the command's octet."""

    CONNECT = b"C"
    HELO = b"H"
    MAIL = b"M"
    RCPT = b"R"
    DATA = b"T"
    HEADER = b"L"
    END_OF_HEADER = b"N"
    BODY = b"B"
    END = b"E"
    UNKNOWN = b"U"


# stage -> (the flag that it is not wanted, the flag that it is not answered)
_WISHES: dict[Stage, tuple[Steps, Steps]] = {
    Stage.CONNECT: (Steps.NO_CONNECT, Steps.MUTE_CONNECT),
    Stage.HELO: (Steps.NO_HELO, Steps.MUTE_HELO),
    Stage.MAIL: (Steps.NO_MAIL, Steps.MUTE_MAIL),
    Stage.RCPT: (Steps.NO_RCPT, Steps.MUTE_RCPT),
    Stage.DATA: (Steps.NO_DATA, Steps.MUTE_DATA),
    Stage.HEADER: (Steps.NO_HEADERS, Steps.MUTE_HEADER),
    Stage.END_OF_HEADER: (Steps.NO_EOH, Steps.MUTE_EOH),
    Stage.BODY: (Steps.NO_BODY, Steps.MUTE_BODY),
    Stage.UNKNOWN: (Steps.NO_UNKNOWN, Steps.MUTE_UNKNOWN),
    Stage.END: (Steps(0), Steps(0)),
}

MACROS: dict[Stage, tuple[str, ...]] = {
    Stage.CONNECT: (
        "j", "{daemon_name}", "{daemon_addr}", "v", "_", "{client_addr}", "{client_name}", "{client_port}", "{client_ptr}",
    ),
    Stage.HELO: ("{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"),
    Stage.MAIL: ("i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"),
    Stage.RCPT: ("i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"),
    Stage.DATA: ("i",),
    Stage.END_OF_HEADER: ("i",),
    Stage.END: ("i",),
}  # fmt: skip
"""What a milter hears at each stage unless it asks for others: as Postfix does."""

# The stages of a list of macros in the negotiation.
_SYMBOL_STAGES = (Stage.CONNECT, Stage.HELO, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END, Stage.END_OF_HEADER)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed."""

    version: int
    actions: Actions
    steps: Steps
    macros: Mapping[Stage, tuple[str, ...]] = field(default_factory=lambda: MACROS)


class MilterEngine:
    """One connection to a milter. `hello` first; after its answer (`terms` is set) the steps in their order."""

    def __init__(self) -> None:
        self.terms: Terms | None = None
        self.awaited = False
        """An answer must come before the next step."""
        self._buffer = bytearray()
        self._stage: Stage | None = None

    # What we say

    def hello(self) -> bytes:
        """Begin to negotiate."""
        self.awaited = True
        return _packet(b"O", struct.pack("!III", VERSION, ALL_ACTIONS, ALL_STEPS))

    def connect(self, hostname: str, address: str, port: int, macros: Mapping[str, str]) -> bytes:
        """Who has connected: its name (`[192.0.2.1]` if there is none), IP address and port; no address: unknown."""
        name = _text(hostname)
        if not address:
            return self._step(Stage.CONNECT, name + b"U", macros)
        family = b"6" if ":" in address else b"4"
        # An IPv6 address is told with this prefix, as Sendmail writes them.
        host = _text("IPv6:" + address if family == b"6" else address)
        return self._step(Stage.CONNECT, name + family + struct.pack("!H", port) + host, macros)

    def helo(self, name: str, macros: Mapping[str, str]) -> bytes:
        return self._step(Stage.HELO, _text(name), macros)

    def mail(self, arguments: Sequence[str], macros: Mapping[str, str]) -> bytes:
        """*arguments*: the address in angle brackets, then the parameters as they were given."""
        return self._step(Stage.MAIL, b"".join(map(_text, arguments)), macros)

    def rcpt(self, arguments: Sequence[str], macros: Mapping[str, str]) -> bytes:
        return self._step(Stage.RCPT, b"".join(map(_text, arguments)), macros)

    def data(self, macros: Mapping[str, str]) -> bytes:
        return self._step(Stage.DATA, b"", macros)

    def header(self, name: bytes, value: bytes) -> bytes:
        """One field; *value* is all after the colon, still folded, without the last line end."""
        value = value.replace(b"\r\n", b"\n").replace(b"\0", b" ")
        if not self._agreed().steps & Steps.LEADING_SPACE:
            value = value.removeprefix(b" ")
        return self._step(Stage.HEADER, name + b"\0" + value + b"\0", {})

    def end_of_header(self, macros: Mapping[str, str]) -> bytes:
        return self._step(Stage.END_OF_HEADER, b"", macros)

    def body(self, chunk: bytes) -> bytes:
        """At most CHUNK octets."""
        if len(chunk) > CHUNK:
            raise ValueError("the chunk is too long")
        return self._step(Stage.BODY, chunk, {})

    def end(self, macros: Mapping[str, str]) -> bytes:
        """The message is complete; changes come, then the verdict."""
        return self._step(Stage.END, b"", macros)

    def unknown(self, line: str, macros: Mapping[str, str]) -> bytes:
        """A command line that we do not know."""
        return self._step(Stage.UNKNOWN, _text(line), macros) if self._agreed().version >= 3 else b""

    def abort(self) -> bytes:
        """The message under way is given up; never answered."""
        self.awaited = False
        return _packet(b"A")

    def quit(self, *, reuse: bool = False) -> bytes:
        """The client is gone; never answered. *reuse*: another client's `connect` follows on this connection."""
        self.awaited = False
        return _packet(b"K" if reuse and self._agreed().version >= 6 else b"Q")

    def wants(self, stage: Stage) -> bool:
        return not self._agreed().steps & _WISHES[stage][0]

    def _agreed(self) -> Terms:
        if self.terms is None:
            raise RuntimeError("nothing is negotiated yet")
        return self.terms

    def _step(self, stage: Stage, data: bytes, macros: Mapping[str, str]) -> bytes:
        if self.awaited:
            raise RuntimeError("the step before is not answered yet")
        if not self.wants(stage):
            return b""
        terms = self._agreed()
        self._stage = stage
        self.awaited = not terms.steps & _WISHES[stage][1]
        told = [_text(name) + _text(macros[name]) for name in terms.macros.get(stage, ()) if name in macros]
        packet = _packet(stage.value, data)
        return _packet(b"D", stage.value + b"".join(told)) + packet if told else packet

    # What they say

    def receive(self, octets: bytes) -> Iterator[Answer | Terms]:
        """What the milter has said, as far as it is complete. Raises MilterError."""
        self._buffer += octets
        while len(self._buffer) >= 5:
            size = int.from_bytes(self._buffer[:4], "big")
            if not 1 <= size <= MAX_PACKET:
                raise MilterError(f"a packet of {size} octets")
            if len(self._buffer) < 4 + size:
                return
            command, data = bytes(self._buffer[4:5]), bytes(self._buffer[5 : 4 + size])
            del self._buffer[: 4 + size]
            yield self._negotiated(command, data) if self.terms is None else self._answer(command, data)

    def _negotiated(self, command: bytes, data: bytes) -> Terms:
        if command != b"O" or len(data) < 12:
            raise MilterError("no answer to the negotiation")
        version, actions, steps = struct.unpack("!III", data[:12])
        if not OLDEST <= version <= VERSION:
            raise MilterError(f"version {version} of the protocol")
        # The higher bits of the steps tell sizes of packets, of which we always use the smallest.
        if actions & ~ALL_ACTIONS or steps & ~(ALL_STEPS | 0x70000000):
            raise MilterError(f"it wants more than we offer: actions {actions:x}, steps {steps:x}")
        self.terms = Terms(version, Actions(actions), Steps(steps & ALL_STEPS), MACROS | dict(_symbols(data[12:])))
        self.awaited = False
        return self.terms

    def _answer(self, command: bytes, data: bytes) -> Answer:
        if not self.awaited:
            raise MilterError("an answer to nothing")
        change = change_of(command, data)
        if change is not None:
            self._check_allowed(change)
            return change
        if command == b"p":
            return Progress()
        answer = verdict_of(command, data)
        if answer is Verdict.SKIP and self._stage is not Stage.BODY:
            raise MilterError("skips what is no body")
        self.awaited = False
        return answer

    def _check_allowed(self, change: Change) -> None:
        if self._stage is not Stage.END:
            raise MilterError("changes a message that is not complete")
        needed = _NEEDED[type(change)]
        if isinstance(change, AddRecipient) and change.parameters:
            needed = Actions.ADD_RECIPIENT_WITH_PARAMETERS
        if not self._agreed().actions & needed:
            raise MilterError(f"did not ask to be allowed: {type(change).__name__}")


_NEEDED: dict[type[Change], Actions] = {
    AddHeader: Actions.ADD_HEADER,
    InsertHeader: Actions.ADD_HEADER | Actions.CHANGE_HEADER,
    ChangeHeader: Actions.CHANGE_HEADER,
    ChangeSender: Actions.CHANGE_SENDER,
    AddRecipient: Actions.ADD_RECIPIENT | Actions.ADD_RECIPIENT_WITH_PARAMETERS,
    RemoveRecipient: Actions.REMOVE_RECIPIENT,
    ReplaceBody: Actions.REPLACE_BODY,
    Quarantine: Actions.QUARANTINE,
}


def _packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack("!I", len(data) + 1) + command + data


def _text(words: str) -> bytes:
    return words.encode("utf-8", "surrogateescape").replace(b"\0", b" ") + b"\0"


def _symbols(data: bytes) -> Iterator[tuple[Stage, tuple[str, ...]]]:
    """The macros that the milter asks for: four octets for the stage, then names apart by white space."""
    at = 0
    while at + 4 < len(data):
        stage = int.from_bytes(data[at : at + 4], "big")
        end = data.find(b"\0", at + 4)
        if end < 0 or stage >= len(_SYMBOL_STAGES):
            raise MilterError("its list of macros cannot be read")
        names = words_of(data[at + 4 : end]).replace(",", " ").split()
        yield _SYMBOL_STAGES[stage], tuple(name if len(name) == 1 or name[0] == "{" else f"{{{name}}}" for name in names)
        at = end + 1
