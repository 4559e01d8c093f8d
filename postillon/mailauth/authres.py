"""Authentication-Results fields (RFC 8601): written for ours, recognised in what comes from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..message.header import Field, unfold

MAX_VALUE = 300
_WORD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~@-]+")
_SPACE = re.compile(rb"[ \t]*+")
_IN_COMMENT = re.compile(rb"[()]|\\.", re.DOTALL)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_ID = re.compile(rb'"((?:[^"\\]|\\.)*+)"|([^\s;"(]++)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One method's result: `spf=pass (reason) smtp.mailfrom=example.org`."""

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    reason: str = field(default="")


def text(authserv_id: str, outcomes: Sequence[Outcome]) -> str:
    """The value without the field's name, a line for each outcome, lines folded by CRLF and tab."""
    lines = [authserv_id, *map(_line, outcomes)] if outcomes else [authserv_id, "none"]
    return ";\r\n\t".join(lines)


def write(authserv_id: str, outcomes: Sequence[Outcome]) -> bytes:
    """The whole field with CRLF. Nothing in *outcomes* can add a line or another outcome, whoever wrote it."""
    return f"Authentication-Results: {text(authserv_id, outcomes)}\r\n".encode("ascii", "replace")


def _line(outcome: Outcome) -> str:
    parts = [f"{outcome.method}={outcome.result}"]
    if outcome.comment:
        parts.append(f"({_plain(outcome.comment).translate(_NO_PARENTHESES)})")
    if outcome.reason:
        parts.append(f"reason={_quoted(outcome.reason)}")
    parts += [f"{name}={_value(value)}" for name, value in outcome.properties if value]
    return "\r\n\t  ".join(_filled(parts))


def _filled(parts: Iterable[str]) -> Iterable[str]:
    line = ""
    for part in parts:
        if line and len(line) + len(part) > 72:
            yield line
            line = part
        else:
            line = f"{line} {part}" if line else part
    yield line


_NO_PARENTHESES = str.maketrans({"(": "[", ")": "]", "\\": "/"})


def _plain(value: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in value[:MAX_VALUE])


def _value(value: str) -> str:
    value = _plain(value)
    return value if _WORD.fullmatch(value) else _quoted(value)


def _quoted(value: str) -> str:
    inside = _plain(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inside}"'


def authserv_id(value: bytes) -> bytes:
    """Whose results a field value (of A-R, folded or not) says it has; lower case, empty if it does not say."""
    value = unfold(value)
    match = _ID.match(value, _after_comments(value))
    if match is None:
        return b""
    return (_PAIR.sub(rb"\1", match[1]) if match[1] is not None else match[2]).lower().rstrip(b".")


def _after_comments(value: bytes) -> int:
    """The offset past the white space and (nested) comments that *value* begins with."""
    at = depth = 0
    while True:
        if not depth:
            at = _SPACE.match(value, at).end()  # type: ignore[union-attr]
            if value[at : at + 1] != b"(":
                return at
        mark = _IN_COMMENT.search(value, at)
        if mark is None:
            return len(value)
        depth += {b"(": 1, b")": -1}.get(mark[0], 0)
        at = mark.end()


def is_forged(one: Field, own: str) -> bool:
    """Whether a field from outside claims to be of *own* (our authserv-id), and must not be filed (RFC 8601 §5)."""
    if one.name.lower() != b"authentication-results":
        return False
    claimed = authserv_id(one.value)
    name = own.lower().encode()
    return claimed == name or claimed.startswith(name + b"/") or not claimed


def without_forged(header: bytes, found: Iterable[Field], own: str) -> bytes | None:
    """*header* without the fields that claim to be ours; None if there are none."""
    forged = [one for one in found if is_forged(one, own)]
    if not forged:
        return None
    kept: list[bytes] = []
    at = 0
    for one in forged:
        kept.append(header[at : one.start])
        at = one.stop
    kept.append(header[at:])
    return b"".join(kept)
