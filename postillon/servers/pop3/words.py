"""POP3's words for what we refuse."""

from __future__ import annotations

from ...model.errors import AuthenticationFailed, InUse, LimitReached, Refusal
from ...protocols.pop3 import err


class Hangup(Exception):
    """The connection ends, with *reply* as the last word if there is one."""

    def __init__(self, reply: bytes = b"") -> None:
        super().__init__()
        self.reply = reply


def reply_to(refusal: Refusal) -> bytes:
    """RFC 2449 §8, RFC 3206."""
    if isinstance(refusal, InUse):
        return err(refusal.text, "IN-USE")
    if isinstance(refusal, AuthenticationFailed):
        return err(refusal.text, "AUTH")
    if refusal.is_temporary or isinstance(refusal, LimitReached):
        return err(refusal.text, "SYS/TEMP")
    return err(refusal.text)
