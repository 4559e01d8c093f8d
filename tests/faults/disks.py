"""Small file systems of their own, to be filled up. Mounting needs root; a test that cannot mount is skipped with the reason."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(kind: str, where: Path, mebibytes: int) -> Iterator[Path]:
    """A directory on a `tmpfs` or `ext4` of so many MiB, made below *where*."""
    mount = where / "disk"
    mount.mkdir()
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(mount))
    else:
        image = where / "image"
        with image.open("wb") as file:
            file.truncate(mebibytes << 20)
        # -m 0: we may be root, for whom ext4 keeps a twentieth that nobody else may use.
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", str(image))
        _run("mount", "-o", "loop", str(image), str(mount))
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        pytest.skip(f"{words[0]}: {error}")
    if done.returncode:
        pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")


def free(where: Path) -> int:
    """Octets that can still be written there."""
    found = os.statvfs(where)
    return found.f_bavail * found.f_frsize


def fill(file: Path, leave: int = 0) -> None:
    """Another program takes all the room but *leave* octets."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for size in (1 << 20, 1 << 16, 1 << 12, 1 << 9, 1):
            with contextlib.suppress(OSError):
                while not leave or free(file.parent) > leave + size:
                    if not os.write(fd, bytes(size)):
                        break
        os.fsync(fd)
    finally:
        os.close(fd)
