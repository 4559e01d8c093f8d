"""Values with parameters: `text/plain; charset=utf-8` (RFC 2045 §5.1, RFC 2183 §2), read tolerantly and in linear time.

RFC 2231 names and values stay as they came; `encoded_words.decode_parameters` puts them together.
"""

from __future__ import annotations

import re

Params = tuple[tuple[bytes, bytes], ...]

MAX_PARAMS = 100

# The quantifiers are possessive (`++`): no character is looked at twice, so time is linear whatever the value.
_TYPE = re.compile(rb"[ \t]*+([!#$%&'*+.^_`{|}~0-9A-Za-z-]++)[ \t]*+/[ \t]*+([!#$%&'*+.^_`{|}~0-9A-Za-z-]++)")
_PARAM = re.compile(
    rb"([^=;\"()\x00-\x20\x7f-\xff]++)[ \t]*+=[ \t]*+" rb'(?:"((?:[^"\\]|\\.)*+)(?:"|\\?$)|([^;"]*+))',
    re.DOTALL,
)
_BETWEEN = re.compile(rb"[; \t]*+")
_JUNK = re.compile(rb'[^;"]*+(?:"(?:[^"\\]|\\.)*+["\\]?+[^;"]*+)*+;?+', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_IN_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\(|\\.', re.DOTALL)
_IN_COMMENT = re.compile(rb"[()]|\\.", re.DOTALL)


def content_type(value: bytes) -> tuple[bytes, bytes, Params] | None:
    """Type and subtype in lower case and the parameters of an unfolded Content-Type; None if it is no such thing."""
    if b"(" in value.partition(b";")[0]:
        value = without_comments(value)
    match = _TYPE.match(value)
    if match is None:
        return None
    return match[1].lower(), match[2].lower(), _params(value, match.end())


def disposition(value: bytes) -> tuple[bytes, Params]:
    """The word in lower case (may be empty) and the parameters of an unfolded Content-Disposition."""
    word, _, _ = value.partition(b";")
    bare = without_comments(word) if b"(" in word else word
    return bare.strip(b' \t"').lower(), _params(value, len(word))


def _params(value: bytes, at: int) -> Params:
    """The parameters from offset *at* on. What cannot be one is skipped up to the next semicolon."""
    found: list[tuple[bytes, bytes]] = []
    while len(found) < MAX_PARAMS:
        at = _end(_BETWEEN, value, at)
        if at == len(value):
            break
        match = _PARAM.match(value, at)
        if match is None:
            at = _end(_JUNK, value, at)
            continue
        name, text, plain = match.groups()
        name = name.lower()
        if text is None:
            # `filename=report (1).pdf` is common and no comment is meant; elsewhere one may be.
            if b"(" in plain and not name.startswith((b"name", b"filename")):
                plain = without_comments(plain)
            text = plain.strip(b" \t")
        elif b"\\" in text:
            text = _QUOTED_PAIR.sub(rb"\1", text)
        found.append((name, text))
        at = match.end()
    return tuple(found)


def _end(pattern: re.Pattern[bytes], value: bytes, at: int) -> int:
    """Where a match of *pattern*, which may be empty, ends."""
    match = pattern.match(value, at)
    return match.end() if match else at


def without_comments(value: bytes) -> bytes:
    """*value* with each comment (RFC 5322 §3.2.2, nested ones too) replaced by a space.

    Quoted strings are left alone; if a comment does not end, nothing is one.
    """
    kept = []
    at = start = 0
    while match := _IN_TEXT.search(value, at):
        at = match.end()
        if match[0] != b"(":
            continue
        kept.append(value[start : match.start()])
        depth = 1
        while depth:
            match = _IN_COMMENT.search(value, at)
            if match is None:
                return value
            at = match.end()
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
        start = at
    kept.append(value[start:])
    return b" ".join(kept)
