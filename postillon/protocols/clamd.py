"""What is said to a ClamAV daemon (clamd) and what it answers: INSTREAM in the form that ends with NUL. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

START = b"zINSTREAM\0"
END = b"\0\0\0\0"
PING = b"zPING\0"
"""Answered with PONG."""
MAX_ANSWER = 4096


class ClamdError(Exception):
    """It could not scan, or said what cannot be understood. The words are for a log."""


class TooLarge(ClamdError):
    """The message is longer than its StreamMaxLength."""


@dataclass(frozen=True, slots=True)
class Scanned:
    signature: str
    """What it found; empty: nothing."""


def chunk(octets: bytes) -> bytes:
    """A piece of the stream: four octets of length (network order), then the octets. Empty would be the end."""
    return struct.pack("!I", len(octets)) + octets


def answer(line: bytes) -> Scanned:
    """The answer, without its NUL: `stream: OK`, `stream: NAME FOUND`, or an error. Raises ClamdError."""
    text = line.decode("utf-8", "replace").strip("\0\r\n ")
    if "size limit exceeded" in text:
        raise TooLarge(text[:200])
    words = text.removeprefix("stream: ")
    if words == text:
        raise ClamdError(text[:200])
    if words == "OK":
        return Scanned("")
    if words.endswith(" FOUND"):
        return Scanned(words.removesuffix(" FOUND")[:200] or "?")
    raise ClamdError(text[:200])
