"""Starting and ending the real servers that tests and benchmarks talk to, each in a directory of its own on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_for_port(host: str, port: int, seconds: float = 20) -> None:
    """Raises TimeoutError if nobody listens there in time."""
    wait_until(lambda: _listens(host, port), seconds, f"{host}:{port} to listen")


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def wait_until(condition: Callable[[], object], seconds: float = 20, what: str = "the condition") -> None:
    """Look every 20 ms. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def run(arguments: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run to the end, text in and out, at most a minute. The result has what it printed; nothing is raised for its exit code."""
    options.setdefault("timeout", 60)
    return subprocess.run(arguments, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def start_daemon(arguments: Sequence[str], output: Path, **options: object) -> None:
    """Run a program that goes to the background. A pipe would stay open in the daemon, so its words go to the file *output*.

    Raises RuntimeError with them if it fails.
    """
    with output.open("w") as file:
        found = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=60, **options)  # type: ignore[call-overload]
    if found.returncode:
        raise RuntimeError(f"{arguments[0]} does not start: {output.read_text()}")


def user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def installed(program: str) -> str:
    """Its path; also where only root's PATH leads."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path is not None, f"{program} is missing: run tools/setup-tests"
    return path


def open_to_servers(directory: Path) -> None:
    """Let a server's own user pass through to *directory*: each folder above it is made searchable."""
    for folder in (directory, *directory.parents):
        if folder == Path("/") or not str(folder).startswith(("/tmp", "/var/tmp")):
            return
        os.chmod(folder, folder.stat().st_mode | 0o011)
