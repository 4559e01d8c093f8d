"""Running mail programs that we did not write."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def client(
    *command: str, home: Path | None = None, stdin: bytes | str = b"", status: int | None = 0, seconds: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end in an environment without its user's files. It must end with *status* (None: any).

    *home*: where its files are. What it printed is in the result, and in the AssertionError.
    """
    assert shutil.which(command[0]), f"{command[0]} is missing: run tools/setup-tests"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home or "/nonexistent"), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    ended = subprocess.run(
        command,
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=seconds,
        check=False,
        env=environment,
        cwd=home,
    )
    said = f"{command}\n{ended.stdout.decode(errors='replace')}\n{ended.stderr.decode(errors='replace')}"
    assert status is None or ended.returncode == status, f"ended with {ended.returncode}: {said}"
    return ended
