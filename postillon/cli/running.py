"""What `serve` and `dev` share: run the supervisor and tell its troubles in words."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from .. import log
from ..config import Config
from ..supervisor.errors import StartError
from ..supervisor.lifeline import Wishes
from ..supervisor.privileges import PrivilegeError
from ..supervisor.run import Supervisor
from ..supervisor.sockets import BindError
from .commands import fail

_OTHER_PORTS = "\nEnd that program, or choose other ports with --port-base (`make run PORT_BASE=…`)."


def run(config: Config, announce: Callable[[dict[str, Any]], None], wishes: Wishes | None = None) -> int:
    """Serve until SIGTERM; the exit status. Ends the program with words when it cannot start."""
    log.configure(level=log.LEVELS[config.logging.level])
    try:
        return Supervisor(config, announce=announce, wishes=wishes).run()
    except (StartError, BindError, PrivilegeError) as error:
        log.flush()
        fail(f"{error}{_OTHER_PORTS if config.development and 'is in use' in str(error) else ''}")


def tell_systemd(words: str) -> None:
    """`READY=1` and the like to whoever started us as a `Type=notify` service; nothing elsewhere (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(words.encode(), "\0" + path[1:] if path.startswith("@") else path)
