"""Address lists of header fields (RFC 5322 §3.4, obsolete syntax §4.4, RFC 6532): one reader for policy and for display.

It takes anything and hides nothing: whatever could be an address comes out as one, and every departure from the syntax is
told in `defects`, so that policy may refuse what display still shows. Time is linear; MAX_TOKENS ends a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..model.address import Address, AddressError

MAX_TOKENS = 10_000

_ATEXT = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-"
# `Jane Doe <jane@example.org>`, `"Doe, J." <j@…>` and `jane@example.org`: nearly all mail. The rest goes to the reader below.
_SIMPLE = re.compile(
    rb'(?:(?:"([^"\\\x00-\x1f\x7f]*+)" ?|([' + _ATEXT + rb'. ]*+))<([' + _ATEXT + rb".]++)@([A-Za-z0-9.-]++)>"
    rb"|([" + _ATEXT + rb".]++)@([A-Za-z0-9.-]++)) ?(?:, ?|$)"
)  # fmt: skip
_TOKEN = re.compile(
    rb"([ \t\r\n]*+)(?:(=\?[^?\s\x00-\x1f]++\?[BbQq]\?[^?\s\x00-\x1f]*+\?=["
    + _ATEXT
    + rb"]*+|["
    + _ATEXT
    + rb']++)|"((?:[^"\\]|\\.)*+)("?)'
    rb"|(\[(?:[^\[\]\\]|\\.)*+\])|([(])|([<>@,;:.])|(.))",
    re.DOTALL,
)
_IN_COMMENT = re.compile(rb"[()]|\\.", re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_DOTS = re.compile(rb"^\.|\.\.|\.$")
_SPACES = re.compile(rb"[ \t\r\n]+")

_WORD, _QUOTED, _LITERAL, _COMMENT, _END = b"word", b"quoted", b"literal", b"comment", b""


class HeaderAddress(NamedTuple):
    """One address. Octets as they came, unquoted; encoded words are not decoded."""

    name: bytes
    """The display name, or else the comment beside the address; may be empty."""
    local: bytes
    domain: bytes
    """Empty if there is none; an address literal keeps its brackets."""
    route: bytes = b""
    """An obsolete source route, `@a,@b`."""

    def address(self) -> Address:
        """The canonical address. Raises AddressError."""
        try:
            local, domain = self.local.decode("utf-8"), self.domain.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AddressError("address is not UTF-8") from error
        quoted = local.replace("\\", "\\\\").replace('"', '\\"')
        try:
            return Address.parse(f"{local}@{domain}")
        except AddressError:
            return Address.parse(f'"{quoted}"@{domain}')


class Group(NamedTuple):
    """A named group (RFC 5322 §3.4), perhaps empty."""

    name: bytes
    members: tuple[HeaderAddress, ...]


class AddressList(NamedTuple):
    entries: tuple[HeaderAddress | Group, ...]
    defects: tuple[str, ...] = ()
    """What departs from the syntax, obsolete syntax not counted; empty for a clean list."""

    @property
    def addresses(self) -> tuple[HeaderAddress, ...]:
        """All addresses, those in groups too, in order."""
        return tuple(one for entry in self.entries for one in (entry.members if isinstance(entry, Group) else (entry,)))


class _Token(NamedTuple):
    kind: bytes
    text: bytes
    is_spaced: bool
    """White space or a comment stood before it."""


def parse_addresses(value: bytes) -> AddressList:
    """The address list in the field value *value* (folded or not). Never raises."""
    simple = _simple(value)
    if simple is not None:
        return simple
    return _Reader(value).read()


def _simple(value: bytes) -> AddressList | None:
    """The list if it has only the usual forms, else None."""
    found: list[HeaderAddress | Group] = []
    at, end = 0, len(value)
    while at < end:
        match = _SIMPLE.match(value, at)
        if match is None or len(found) >= MAX_TOKENS // 12:
            return None
        quoted, phrase, local, domain, bare_local, bare_domain = match.groups()
        if local is None:
            one = HeaderAddress(b"", bare_local, bare_domain)
        elif quoted is not None:
            one = HeaderAddress(quoted, local, domain)
        else:
            one = HeaderAddress(b" ".join(phrase.split()), local, domain)
        if _DOTS.search(one.local) or _DOTS.search(one.domain):
            return None
        found.append(one)
        at = match.end()
    return AddressList(tuple(found))


class _Reader:
    """Recursive descent without recursion: each method reads on from the token `at`."""

    def __init__(self, value: bytes) -> None:
        self.defects: dict[str, None] = {}
        self.tokens = list(self._tokens(value))
        self.tokens.append(_Token(_END, b"", False))
        self.at = 0
        self.comment = b""
        self.entries: list[HeaderAddress | Group] = []
        self.group: bytes | None = None
        self.members: list[HeaderAddress] = []

    def _defect(self, words: str) -> None:
        self.defects[words] = None

    def _tokens(self, value: bytes) -> Iterator[_Token]:
        at = count = 0
        while match := _TOKEN.match(value, at):
            if count == MAX_TOKENS:
                self._defect("too many tokens")
                return
            count += 1
            at = match.end()
            space, text = bool(match[1]), match[match.lastindex or 0]
            if match.lastindex == 2:
                yield _Token(_WORD, text, space)
            elif match.lastindex == 4:
                if not text:
                    self._defect("quoted string does not end")
                yield _Token(_QUOTED, self._unquoted(match[3]), space)
            elif match.lastindex == 5:
                yield _Token(_LITERAL, self._unquoted(text), space)
            elif match.lastindex == 6:
                end = self._comment_end(value, at)
                yield _Token(_COMMENT, self._unquoted(value[at : end - 1]), space)
                at = end
            elif match.lastindex == 7:
                yield _Token(text, text, space)
            else:
                self._defect("character that is not allowed")

    def _unquoted(self, text: bytes) -> bytes:
        """Text of a quoted string, comment or literal without its backslashes, line ends and NUL."""
        if b"\\" in text:
            text = _QUOTED_PAIR.sub(rb"\1", text)
        if b"\0" in text:
            self._defect("character that is not allowed")
        return text.translate(None, b"\0\r\n")

    def _comment_end(self, value: bytes, at: int) -> int:
        """The offset past the parenthesis that closes the comment whose text begins at *at*."""
        depth = 1
        while match := _IN_COMMENT.search(value, at):
            at = match.end()
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
            if not depth:
                return at
        self._defect("comment does not end")
        return len(value) + 1

    def _peek(self) -> bytes:
        """The kind of the next token that is no comment; the last comment passed is remembered as a possible name."""
        while self.tokens[self.at].kind == _COMMENT:
            self.comment = self.tokens[self.at].text
            self.at += 1
        return self.tokens[self.at].kind

    def read(self) -> AddressList:
        while (kind := self._peek()) != _END:
            if kind == b",":
                self.at += 1
                self.comment = b""
            elif kind == b";":
                self.at += 1
                if self.group is None:
                    self._defect("semicolon outside of a group")
                self._end_group()
            else:
                self._element(kind)
        if self.group is not None:
            self._defect("group does not end")
        self._end_group()
        return AddressList(tuple(self.entries), tuple(self.defects))

    def _end_group(self) -> None:
        if self.group is not None:
            self.entries.append(Group(self.group, tuple(self.members)))
            self.group, self.members = None, []

    def _element(self, kind: bytes) -> None:
        """One address or the head of a group; at least one token is used up."""
        start = self.at
        words = self._words()
        kind = self._peek()
        if kind == b"<":
            self._angle(_phrase(words))
        elif kind == b"@":
            local, domain = self._local(words), self._domain()
            if self._peek() == b"<":
                self._defect("address as a display name without quotes")
                self._angle(_phrase(self.tokens[start : self.at]))
            else:
                self._emit(HeaderAddress(self._comment_name(), local, domain))
                self._after()
        elif kind == b":":
            if self.group is not None:
                self._defect("group inside a group")
            self._end_group()
            self.group = _phrase(words)
            self.at += 1
        elif words:
            self._defect("address without a domain")
            self._emit(HeaderAddress(self._comment_name(), self._local(words), b""))
        else:
            self._defect("character that is not allowed here")
            self.at += 1

    def _words(self) -> list[_Token]:
        words = []
        while (kind := self._peek()) in (_WORD, _QUOTED, b".", _LITERAL):
            if kind == _LITERAL:
                self._defect("address literal out of place")
            words.append(self.tokens[self.at])
            self.at += 1
        return words

    def _local(self, words: list[_Token]) -> bytes:
        """Words and dots as a local part; comments and spaces around the dots are dropped (RFC 5322 §4.4)."""
        pieces: list[bytes] = []
        expects_word = True
        for token in words:
            if (token.kind == b".") is expects_word:
                self._defect("local part is not words between dots")
                if not expects_word:
                    pieces.append(b" ")
            pieces.append(token.text)
            expects_word = token.kind == b"."
        if expects_word:
            self._defect("local part is not words between dots")
        return b"".join(pieces)

    def _domain(self) -> bytes:
        """What follows the at sign: an address literal, or words between dots."""
        self.at += 1
        if self._peek() == _LITERAL:
            self.at += 1
            return self.tokens[self.at - 1].text
        pieces: list[bytes] = []
        while (kind := self._peek()) in (_WORD, b"."):
            if kind == _WORD and pieces and pieces[-1] != b".":
                break  # a word after a word begins something else
            pieces.append(self.tokens[self.at].text)
            self.at += 1
        domain = b"".join(pieces)
        if not domain or _DOTS.search(domain):
            self._defect("domain is not words between dots")
        return domain

    def _angle(self, name: bytes) -> None:
        """`<…>` with an optional route; then what may follow it."""
        self.at += 1
        kind = self._peek()
        route = self._route() if kind in (b"@", b",") else b""
        words = self._words()
        local = self._local(words) if words else b""
        if self._peek() == b"@":
            if not words:
                self._defect("local part is not words between dots")
            domain = self._domain()
        else:
            domain = b""
            self._defect("address without a domain")
        if self._words():
            self._defect("words after the domain")
        if self._peek() == b">":
            self.at += 1
        else:
            self._defect("angle bracket does not end")
        self._emit(HeaderAddress(name or self._comment_name(), local, domain, route))
        self._after()

    def _route(self) -> bytes:
        """`@a,@b:` (RFC 5322 §4.4 obs-route)."""
        start = self.at
        while self._peek() in (b"@", b",", b".", _WORD, _LITERAL):
            self.at += 1
        if self._peek() != b":":
            self._defect("route does not end")
            self.at = start + 1 if self.tokens[start].kind == b"," else start
            return b""
        route = b"".join(token.text for token in self.tokens[start : self.at] if token.kind != _COMMENT)
        self.at += 1
        return route

    def _after(self) -> None:
        """After a whole address: words that lead to another one are read again, others are dropped."""
        start = self.at
        words = self._words()
        kind = self._peek()
        if words or kind not in (b",", b";", _END):
            self._defect("words after the address")
        if kind in (b"@", b"<", b":"):
            self.at = start
        self.comment = b""

    def _comment_name(self) -> bytes:
        self._peek()
        return _SPACES.sub(b" ", self.comment).strip()

    def _emit(self, one: HeaderAddress) -> None:
        if self.group is not None:
            self.members.append(one)
        else:
            self.entries.append(one)


def _phrase(words: list[_Token]) -> bytes:
    """A display name: the words as written, runs of white space and comments as one space."""
    pieces: list[bytes] = []
    after_comment = False
    for token in words:
        if token.kind == _COMMENT:
            after_comment = True
            continue
        if pieces and (token.is_spaced or after_comment):
            pieces.append(b" ")
        pieces.append(token.text)
        after_comment = False
    return b"".join(pieces)
