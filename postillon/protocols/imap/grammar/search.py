"""SEARCH, SORT, THREAD and their keys (RFC 3501 §6.4.4, RFC 9051 §6.4.4, RFC 5256, and what `search_keys` names)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import get_args

from ....model.mail import SYSTEM_FLAGS
from .. import commands
from .. import search_keys as keys
from ..response_codes import bad_charset
from ..search_keys import Moment, SearchKey, Side
from ..sequence import SequenceSet
from .charsets import CHARSETS, decoder
from .dates import date
from .reader import MAX_32, MAX_63, Bad, No, Reader
from .results import returns

MAX_PARENTHESES = 50
MAX_DEPTH = 200
"""Of the tree, with OR and NOT: programs chain hundreds of alternatives as `OR a OR b OR c d`."""

_WORD = re.compile(rb"[A-Za-z0-9-]+")
_SET_START = frozenset(b"0123456789*$")
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_ENTRY = re.compile(rb'"(/flags/[^"\r\n\0\x80-\xff]*)"')
_SCOPE = re.compile(rb"priv|shared|all", re.IGNORECASE)
_SORT_FIELDS: dict[bytes, commands.SortField] = {field.encode("ascii"): field for field in get_args(commands.SortField)}


class _Keys:
    """The recursive part: one program of keys, with its charset and its depth."""

    __slots__ = ("decode", "depth", "parentheses", "reader")

    def __init__(self, reader: Reader, decode: Callable[[bytes], str]) -> None:
        self.reader = reader
        self.decode = decode
        self.depth = 0
        self.parentheses = 0

    def all(self) -> SearchKey:
        """Keys to the end of the command, or of the parenthesis: all of them must match."""
        reader = self.reader
        found = [self.one()]
        while reader.skip(b" "):
            found.append(self.one())
        return _and(found)

    def one(self) -> SearchKey:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Bad("search keys are nested too deeply")
        key = self._one()
        self.depth -= 1
        return key

    def _one(self) -> SearchKey:
        reader = self.reader
        if reader.at_end():
            raise Bad("search key expected")
        first = reader.data[reader.pos]
        if first in _SET_START:
            return keys.Numbers(reader.message_set())
        if first == 0x28:  # a parenthesis
            return self._group()
        word = reader.take(_WORD, "search key")[0].upper()
        fixed = _FIXED.get(word)
        if fixed is not None:
            return fixed
        read = _KEYS.get(word)
        if read is None:
            raise Bad("there is no such search key")
        reader.space()
        return read(self)

    def _group(self) -> SearchKey:
        self.parentheses += 1
        if self.parentheses > MAX_PARENTHESES:
            raise Bad("parentheses are nested too deeply")
        self.reader.pos += 1
        key = self.all()
        self.reader.expect(b")")
        self.parentheses -= 1
        return key

    def text(self) -> str:
        return self.decode(self.reader.astring())


def _and(found: list[SearchKey]) -> SearchKey:
    if len(found) == 1:
        return found[0]
    flat: list[SearchKey] = []
    for key in found:
        if isinstance(key, keys.And):
            flat += key.keys
        else:
            flat.append(key)
    return keys.And(tuple(flat))


_FIXED: dict[bytes, SearchKey] = {
    b"ALL": keys.All(),
    b"RECENT": keys.Recent(),
    b"OLD": keys.Recent(False),
    b"NEW": keys.And((keys.Recent(), keys.HasFlag(b"\\Seen", False))),
    b"SAVEDATESUPPORTED": keys.SaveDateSupported(),
    **{flag[1:].upper(): keys.HasFlag(flag) for flag in SYSTEM_FLAGS},
    **{b"UN" + flag[1:].upper(): keys.HasFlag(flag, False) for flag in SYSTEM_FLAGS},
}


def _header(of: _Keys) -> SearchKey:
    field = of.reader.astring("header field name").lower()
    of.reader.space()
    return keys.Header(field, of.text())


def _or(of: _Keys) -> SearchKey:
    left = of.one()
    of.reader.space()
    return keys.Or(left, of.one())


def _modseq(of: _Keys) -> SearchKey:
    """RFC 7162 §3.1.5."""
    reader = of.reader
    entry = reader.match(_ENTRY)
    if entry is None:
        return keys.ModSeqFrom(reader.modseq())
    reader.space()
    scope = reader.take(_SCOPE, "priv, shared or all")[0].lower()
    reader.space()
    return keys.ModSeqFrom(reader.modseq(), entry[1], scope)


def _field(name: bytes) -> Callable[[_Keys], SearchKey]:
    return lambda of: keys.Header(name, of.text())


def _dated(moment: Moment, side: Side) -> Callable[[_Keys], SearchKey]:
    return lambda of: keys.Dated(moment, side, date(of.reader))


def _uids(low: int, high: int) -> SearchKey:
    """RFC 9738 §3.2."""
    return keys.Uids(SequenceSet(((low, high),))) if low <= high else keys.Not(keys.All())


def _object_id(of: _Keys) -> bytes:
    return of.reader.take(_OBJECT_ID, "object identifier")[0]


_KEYS: dict[bytes, Callable[[_Keys], SearchKey]] = {
    b"BCC": _field(b"bcc"),
    b"CC": _field(b"cc"),
    b"FROM": _field(b"from"),
    b"SUBJECT": _field(b"subject"),
    b"TO": _field(b"to"),
    b"HEADER": _header,
    b"BODY": lambda of: keys.Body(of.text()),
    b"TEXT": lambda of: keys.Text(of.text()),
    b"KEYWORD": lambda of: keys.HasFlag(of.reader.atom("keyword")),
    b"UNKEYWORD": lambda of: keys.HasFlag(of.reader.atom("keyword"), False),
    b"NOT": lambda of: keys.Not(of.one()),
    b"OR": _or,
    b"FUZZY": lambda of: keys.Fuzzy(of.one()),
    b"UIDAFTER": lambda of: _uids(of.reader.number("uid", 1) + 1, MAX_32),
    b"UIDBEFORE": lambda of: _uids(1, of.reader.number("uid", 1) - 1),
    b"UID": lambda of: keys.Uids(of.reader.message_set()),
    b"LARGER": lambda of: keys.Larger(of.reader.number("size", 0, MAX_63)),
    b"SMALLER": lambda of: keys.Smaller(of.reader.number("size", 0, MAX_63)),
    b"YOUNGER": lambda of: keys.Younger(of.reader.number("interval", 1, MAX_32)),
    b"OLDER": lambda of: keys.Older(of.reader.number("interval", 1, MAX_32)),
    b"MODSEQ": _modseq,
    b"EMAILID": lambda of: keys.HasEmailId(_object_id(of)),
    b"THREADID": lambda of: keys.HasThreadId(_object_id(of)),
    **{
        prefix + side.value.upper().encode("ascii"): _dated(moment, side)
        for prefix, moment in ((b"", Moment.RECEIVED), (b"SENT", Moment.SENT), (b"SAVED", Moment.SAVED))
        for side in Side
    },
}


def search(reader: Reader, uid: bool = False) -> commands.Search:
    reader.space()
    wanted = returns(reader)
    return commands.Search(uid, program_with_charset(reader), wanted)


def program_with_charset(reader: Reader) -> SearchKey:
    """Keys, with an optional CHARSET before them; UTF-8 where there is none."""
    charset = b"UTF-8"
    if reader.data[reader.pos : reader.pos + 8].upper() == b"CHARSET ":
        reader.pos += 8
        charset = reader.astring("charset")
        reader.space()
    return _program(reader, charset)


def _program(reader: Reader, charset: bytes) -> SearchKey:
    decode = decoder(charset)
    if decode is None:
        # RFC 3501 §6.4.4: the code lists what we know.
        raise No(bad_charset(sorted(CHARSETS)), "charset is not known here")
    # Many programs send raw octets of the charset in quoted strings, which nothing else can mean.
    before, reader.utf8 = reader.utf8, True
    found = _Keys(reader, decode).all()
    reader.utf8 = before
    return found


def sort(reader: Reader, uid: bool = False) -> commands.Sort:
    """RFC 5256 §3: the charset is mandatory here."""
    reader.space()
    wanted = returns(reader)
    reader.expect(b"(")
    order = [_sort_key(reader)]
    while not reader.skip(b")"):
        reader.space()
        order.append(_sort_key(reader))
    reader.space()
    charset = reader.astring("charset")
    reader.space()
    return commands.Sort(uid, tuple(order), _program(reader, charset), wanted)


def _sort_key(reader: Reader) -> commands.SortKey:
    word = reader.word("sort key")
    reverse = word == b"REVERSE"
    if reverse:
        reader.space()
        word = reader.word("sort key")
    field = _SORT_FIELDS.get(word)
    if field is None:
        raise Bad("there is no such sort key")
    return commands.SortKey(field, reverse)


def thread(reader: Reader, uid: bool = False) -> commands.Thread:
    reader.space()
    algorithm = reader.word("threading algorithm").decode("ascii")
    reader.space()
    charset = reader.astring("charset")
    reader.space()
    return commands.Thread(uid, algorithm, _program(reader, charset))


PARSERS = {
    b"SEARCH": search,
    b"UID SEARCH": lambda reader: search(reader, uid=True),
    b"SORT": sort,
    b"UID SORT": lambda reader: sort(reader, uid=True),
    b"THREAD": thread,
    b"UID THREAD": lambda reader: thread(reader, uid=True),
}
