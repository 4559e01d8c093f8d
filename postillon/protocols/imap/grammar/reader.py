"""The one tokenizer of the IMAP grammar: every token is one match of a regular expression, no loop over characters.

A `Reader` stands over a whole command, literals included as they came (`{3}` CRLF and three octets). Each method reads one
token at `pos` and moves on, or raises `Bad`. RFC 3501 §9 and RFC 9051 §9.
"""

from __future__ import annotations

import re

from ....model.mail import SYSTEM_FLAGS
from .. import utf7
from ..commands import MessageSet
from ..sequence import PATTERN as SEQUENCE_SET
from ..sequence import SAVED, SequenceError, SequenceSet

ATOM_CHARS = rb"!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~"
"""RFC 3501 §9 ATOM-CHAR, for use inside a character class."""

_QUOTED_RUN = rb'[^"\\\r\n\0\x80-\xff]*'
_UTF8_RUN = rb'[^"\\\r\n\0]*'
_QUOTED = rb'"(%b(?:\\["\\]%b)*)"'

_ATOM = re.compile(rb"[%b]+" % ATOM_CHARS)
_STRING = re.compile(rb"%b|\{([0-9]{1,19})\+?\}\r\n" % (_QUOTED % (_QUOTED_RUN, _QUOTED_RUN)))
_STRING_UTF8 = re.compile(rb"%b|\{([0-9]{1,19})\+?\}\r\n" % (_QUOTED % (_UTF8_RUN, _UTF8_RUN)))
_LITERAL8 = re.compile(rb"~\{([0-9]{1,19})\+?\}\r\n")
_ASTRING = re.compile(rb"[%b\]]+" % ATOM_CHARS)
_LIST_MAILBOX = re.compile(rb"[%b\]%%*]+" % ATOM_CHARS)
_NUMBER = re.compile(rb"[0-9]{1,19}")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_FLAG = re.compile(rb"\\?[%b]+" % ATOM_CHARS)
_FLAG_LIST = re.compile(rb"\((\\?[%(c)b]+(?: \\?[%(c)b]+)*)?\)" % {b"c": ATOM_CHARS})
_NIL = re.compile(rb"NIL(?![%b\]])" % ATOM_CHARS, re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

MAX_32 = 0xFFFFFFFF
MAX_63 = 0x7FFFFFFFFFFFFFFF

_SYSTEM_FLAGS = {flag.lower(): flag for flag in SYSTEM_FLAGS}


class Bad(Exception):
    """The command breaks the grammar: tagged BAD with these words."""


class No(Exception):
    """Well written, but it cannot be: tagged NO with a response code and these words."""

    def __init__(self, code: bytes, text: str) -> None:
        super().__init__(text)
        self.code = code


class Incomplete(Exception):
    """So far all is right; a literal has been announced and its octets are not there yet."""

    def __str__(self) -> str:
        return "a literal is not complete"


class Reader:
    """*utf8*: ENABLE IMAP4rev2 or UTF8=ACCEPT was given, so quoted strings and mailbox names are UTF-8.

    *open_ended*: the data ends where a literal has been announced.
    """

    __slots__ = ("data", "open_ended", "pos", "utf8")

    def __init__(self, data: bytes, pos: int = 0, utf8: bool = False, open_ended: bool = False) -> None:
        self.data = data
        self.pos = pos
        self.utf8 = utf8
        self.open_ended = open_ended

    # --- small marks

    def at_end(self) -> bool:
        return self.pos >= len(self.data)

    def end(self) -> None:
        if self.pos < len(self.data):
            raise Bad("unexpected text after the command")

    def space(self) -> None:
        if self.data[self.pos : self.pos + 1] != b" ":
            raise Bad("space expected" if self.pos < len(self.data) else "something is missing at the end of the command")
        self.pos += 1

    def skip(self, mark: bytes) -> bool:
        """Read over *mark* if it stands here."""
        if self.data.startswith(mark, self.pos):
            self.pos += len(mark)
            return True
        return False

    def expect(self, mark: bytes) -> None:
        if not self.data.startswith(mark, self.pos):
            raise Bad(f'"{mark.decode("ascii").strip()}" expected')
        self.pos += len(mark)

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Read what *pattern* matches here, or nothing."""
        found = pattern.match(self.data, self.pos)
        if found is not None:
            self.pos = found.end()
        return found

    def take(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = pattern.match(self.data, self.pos)
        if found is None:
            raise Bad(f"{what} expected")
        self.pos = found.end()
        return found

    # --- atoms and numbers

    def atom(self, what: str = "atom") -> bytes:
        return self.take(_ATOM, what)[0]

    def word(self, what: str = "word") -> bytes:
        """An atom in capitals."""
        return self.take(_ATOM, what)[0].upper()

    def number(self, what: str = "number", least: int = 0, most: int = MAX_32) -> int:
        value = int(self.take(_NUMBER, what)[0])
        if not least <= value <= most:
            raise Bad(f"{what} is out of range")
        return value

    def modseq(self, least: int = 0) -> int:
        """RFC 7162 §7: 63 bits."""
        return self.number("mod-sequence", least, MAX_63)

    # --- strings

    def string(self) -> bytes:
        found = self._string()
        if found is None:
            raise Bad("string expected")
        return found

    def _string(self) -> bytes | None:
        found = (_STRING_UTF8 if self.utf8 else _STRING).match(self.data, self.pos)
        if found is None:
            return None
        inner, size = found.groups()
        self.pos = found.end()
        if size is None:
            return _ESCAPED.sub(rb"\1", inner) if b"\\" in inner else inner
        octets = self._octets(int(size))
        if b"\0" in octets:
            raise Bad("NUL is not allowed in a literal")  # RFC 3501 §9 CHAR8
        return octets

    def _octets(self, size: int) -> bytes:
        start, end = self.pos, self.pos + size
        if end > len(self.data) or (self.open_ended and start == len(self.data)):
            raise Incomplete
        self.pos = end
        return self.data[start:end]

    def astring(self, what: str = "string") -> bytes:
        found = _ASTRING.match(self.data, self.pos)
        if found is not None:
            self.pos = found.end()
            return found[0]
        octets = self._string()
        if octets is None:
            raise Bad(f"{what} expected")
        return octets

    def nstring(self) -> bytes | None:
        return None if self.match(_NIL) else self.string()

    def nstring8(self) -> bytes | None:
        """nstring / literal8."""
        found = self.match(_LITERAL8)
        return self._octets(int(found[1])) if found else self.nstring()

    def text(self, octets: bytes) -> str:
        """*octets* as UTF-8."""
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Bad("string is not valid UTF-8") from error

    # --- names

    def mailbox(self) -> str:
        return self._name(self.astring("mailbox name"))

    def list_mailbox(self) -> str:
        """RFC 3501 §9 list-mailbox: a pattern, with `*` and `%` also outside of quotes."""
        found = self.match(_LIST_MAILBOX)
        octets = found[0] if found else self._string()
        if octets is None:
            raise Bad("mailbox pattern expected")
        return self._name(octets)

    def _name(self, octets: bytes) -> str:
        if len(octets) == 5 and octets.upper() == b"INBOX":
            return "INBOX"  # RFC 3501 §5.1
        try:
            name = octets.decode("utf-8") if self.utf8 else utf7.decode(octets)
        except ValueError as error:
            raise No(b"CANNOT", f"mailbox name is not valid {'UTF-8' if self.utf8 else 'modified UTF-7'}") from error
        if _CONTROLS.search(name):
            raise No(b"CANNOT", "mailbox name has a control character")  # RFC 5198 §2
        return name

    # --- sets, flags

    def message_set(self) -> MessageSet:
        """A sequence-set, or `$` (RFC 5182)."""
        return SAVED if self.skip(b"$") else self.sequence_set()

    def sequence_set(self) -> SequenceSet:
        try:
            return SequenceSet.of_matched(self.take(SEQUENCE_SET, "sequence set")[0])
        except SequenceError as error:
            raise Bad(str(error)) from error

    def flag(self) -> bytes:
        return _flag(self.take(_FLAG, "flag")[0])

    def flag_list(self, ignore: frozenset[bytes] = frozenset()) -> tuple[bytes, ...]:
        """Flags in parentheses, without repetitions; those in *ignore* (lower case) are dropped."""
        found = self.take(_FLAG_LIST, "list of flags")[1]
        flags = found.split(b" ") if found else ()
        return tuple(dict.fromkeys(_flag(flag) for flag in flags if flag.lower() not in ignore))


def _flag(flag: bytes) -> bytes:
    if flag[0] != 0x5C:  # a backslash
        return flag
    known = _SYSTEM_FLAGS.get(flag.lower())
    if known is None:
        raise Bad("there is no such system flag, or it cannot be set")
    return known
