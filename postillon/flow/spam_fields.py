"""The X-Spam fields of what is filed: the verdict for the reader's program, and why in words. Pure.

Only our own may be there: `OURS` from outside are left out of what is filed. Nothing in a finding can add a line or a field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..filters.words import sentence
from ..message import build
from ..message.header import Field
from ..model.verdict import Finding, Thresholds

OURS = (b"x-spam-", b"x-postillon-")
"""How the names begin of fields that only we may write."""
FINDINGS = "X-Postillon-Findings"
MAX_TOLD = 30
"""Findings in one header."""
_STRANGE = re.compile(r"[^ -~]")


def write(findings: Sequence[Finding], score: float, thresholds: Thresholds, is_junk: bool) -> bytes:
    """The fields, each with CRLF; empty where nothing was found."""
    if not findings and not is_junk:
        return b""
    told = sorted((one for one in findings), key=lambda one: -abs(one.score))[:MAX_TOLD]
    lines = [
        f"X-Spam-Status: {'Yes' if is_junk else 'No'}, score={score:.1f} required={thresholds.junk:.1f}\r\n"
        f"X-Spam-Score: {score:.1f}\r\n".encode()
    ]
    if is_junk:
        lines.append(b"X-Spam-Flag: YES\r\n")
    if is_junk or score >= thresholds.tag:
        reasons = "; ".join(f"{_plain(sentence(one))} ({one.score:+.1f})" for one in told if one.score)
        lines += [build.text("X-Spam-Report", reasons)] if reasons else []
    lines += [build.raw(FINDINGS, "; ".join(_coded(one) for one in told).encode())] if told else []
    return b"".join(lines)


def _coded(one: Finding) -> str:
    """`code=+1.5`: what programs read, the sentences being in the program's language."""
    return f"{_STRANGE.sub('?', one.code)}={one.score:+.1f}"


def _plain(text: str) -> str:
    """One line without control characters; other letters stay, and are encoded."""
    return "".join(char if char.isprintable() else "?" for char in text)


def without_ours(header: bytes, found: Iterable[Field]) -> bytes | None:
    """*header* without fields that claim to be our findings; None if there are none."""
    false = [one for one in found if one.name.lower().startswith(OURS)]
    if not false:
        return None
    kept, at = [], 0
    for one in false:
        kept.append(header[at : one.start])
        at = one.stop
    return b"".join([*kept, header[at:]])
