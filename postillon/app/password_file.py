"""Secrets that the configuration names by a file."""

from __future__ import annotations

from pathlib import Path


def password_in(path: str) -> str:
    """The first line of a file; empty without a file. Raises OSError."""
    return Path(path).read_text(encoding="utf-8").partition("\n")[0] if path else ""
