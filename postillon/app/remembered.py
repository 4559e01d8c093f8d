"""What the developer mode made before in a data directory, so that a restart can go on and tell the passwords again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

REMEMBERED = "dev.json"


class Remembered(msgspec.Struct):
    """An account's version tells whether its password is still the one written here."""

    domains: list[str] = []
    accounts: dict[str, tuple[str, int]] = {}
    """Address → password, credential version."""


def remembered(data: Path) -> Remembered:
    """What was made in *data* before; empty if nothing."""
    try:
        return msgspec.json.decode((data / REMEMBERED).read_bytes(), type=Remembered)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Remembered()


def remember(data: Path, known: Remembered) -> None:
    """Replace the file in one step; readable by its owner only."""
    fresh = data / f".{REMEMBERED}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(known))
    os.replace(fresh, data / REMEMBERED)
