"""Lists of `tag=value;` as DKIM, DMARC and ARC write them (RFC 6376 §3.2)."""

from __future__ import annotations

import base64
import binascii

MAX_TAGS = 100


class TagError(ValueError):
    """No tag list; the message says why."""


def parse_tags(text: str) -> dict[str, str]:
    """Values by tag name, white space around both left out. Raises TagError, also for a tag that occurs twice."""
    found: dict[str, str] = {}
    parts = text.split(";", MAX_TAGS + 1)
    if len(parts) > MAX_TAGS:
        raise TagError("too many tags")
    if not parts[-1].strip():
        parts.pop()  # RFC 6376 §3.2: a semicolon may end the list
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not _is_name(name):
            raise TagError("not a tag=value list")
        if name in found:
            raise TagError(f"tag {name} occurs twice")
        found[name] = value.strip()
    return found


def _is_name(name: str) -> bool:
    return name.isascii() and name[:1].isalpha() and name.replace("_", "").isalnum()


def without_space(text: str) -> str:
    """*text* without the folding white space that some values may have inside."""
    return "".join(text.split())


def decode_base64(text: str) -> bytes:
    """Octets of a base64 value, white space anywhere. Raises TagError."""
    try:
        return base64.b64decode(without_space(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TagError("not base64") from error


def number(text: str) -> int:
    """A value of at most twelve digits. Raises TagError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise TagError("not a number")
    return int(text)


def words(text: str) -> list[str]:
    """A colon-separated list, in lower case."""
    return [word.strip().lower() for word in text.split(":")]
