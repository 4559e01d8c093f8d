"""Text of others as it may be shown: on a terminal, in a log line, in a report."""

from __future__ import annotations


def printable(text: object, keep: str = "") -> str:
    """*text* with `\\x..` for whatever cannot be printed, and could move a terminal's cursor; what is in *keep* stays."""
    found = str(text)
    return found if found.isprintable() else "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in found)
