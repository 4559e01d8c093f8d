"""RFC 8474 identifiers: our numbers in letters. M a mailbox, E an email, T a thread; JMAP says the same words."""

from __future__ import annotations

_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def _text(number: int) -> bytes:
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return (digits or "0").encode()


def _number(text: bytes) -> int | None:
    try:
        return int(text, 32) if text.isalnum() and text == text.lower() else None
    except ValueError:
        return None


def mailbox_id(number: int) -> bytes:
    return b"M" + _text(number)


def email_id(number: int) -> bytes:
    return b"E" + _text(number)


def thread_id(number: int) -> bytes:
    return b"T" + _text(number)


def number_of(text: bytes, letter: bytes) -> int | None:
    """The number in an identifier that begins with *letter*, or None if it is none of ours."""
    return _number(text[1:]) if text[:1] == letter else None
