"""The command line: thin commands over the running server. Each command's module is loaded only when it is asked for."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """The `postillon` program. Children of the supervisor and sendmail take a short way that loads no command parser."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "worker":
        from ..app.worker import worker

        sys.exit(worker())
    if command == "prepare":
        from ..app.prepare import prepare

        sys.exit(prepare())
    if command == "sendmail" or os.path.basename(sys.argv[0]) == "sendmail":
        from .sendmail import run

        sys.exit(run(sys.argv[2:] if command == "sendmail" else sys.argv[1:]))
    from .commands import postillon

    postillon(prog_name="postillon")
