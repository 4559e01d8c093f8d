"""From what went wrong to IMAP's words: the one place that does it (RFC 3501 §7.1, RFC 5530)."""

from __future__ import annotations

from ...model.errors import Refusal


class BadCommand(Exception):
    """The command makes no sense here, a sequence number that is not there say: BAD (RFC 3501 §7.1.3)."""

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.code = code


class No(Exception):
    """NO with a response code that carries data of the protocol's own, so that no `Refusal` could. *code* is without brackets."""

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Goodbye(Exception):
    """The session ends now: `* BYE` with this text."""


def condition(text: str, code: bytes = b"") -> bytes:
    """`[CODE] text`. Response text is 7-bit and one line (RFC 3501 §9 text)."""
    words = text.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ") or b"-"
    return b"[%b] %b" % (code, words) if code else words


def translate(error: Exception) -> bytes:
    """The tagged answer without its tag: `NO [OVERQUOTA] Mailbox is full`. Anything that is none of ours is a bug of ours."""
    if isinstance(error, BadCommand):
        return b"BAD " + condition(str(error), error.code)
    if isinstance(error, No):
        return b"NO " + condition(error.text, error.code)
    if isinstance(error, Refusal):
        return b"NO " + condition(error.text, error.imap_code.encode())
    # RFC 5530 §3: we know that it is our fault and cannot say more.
    return b"NO [SERVERBUG] Internal error"
