"""What a client may ask of the engine before it has logged in, and after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImapLimits:
    """All in octets unless said otherwise. `early` is before login."""

    early_command: int = 8 * 1024
    """A command with its literals."""
    early_literal: int = 4 * 1024
    """RFC 7888 §5: LITERAL- stops at 4096, too."""
    early_discard: int = 64 * 1024
    """Of a refused command, before we hang up instead of reading over it."""
    command: int = 64 * 1024
    """A command with its literals, but without the streamed ones."""
    discard: int = 128 * 1024 * 1024
    append_lines: int = 1024 * 1024
    """All that an APPEND of many messages says between its literals."""
    auth_line: int = 12 * 1024
    """A base64 line of AUTHENTICATE (RFC 4954 §4 asks SMTP for 12,288)."""
    literals: int = 500
    """In one command, the streamed ones apart."""
    bads: int = 20
    """Broken commands before we hang up; once logged in, a right one starts the count again."""
