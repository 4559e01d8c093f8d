"""The commands' way to the operations: the running server's admin socket or, when none runs, the database itself."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import Config
from ..supervisor.unix import unix_name
from .wire import question, read_answer


class NoServer(Exception):
    """Nobody answers on the admin socket."""


class NoAccess(Exception):
    """The data directory is not ours to read."""


def ask(data: str, operation: str, arguments: dict[str, Any], timeout_s: float = 60.0) -> Any:
    """Ask the server that runs on *data*. Raises NoServer, NoAccess, or Refusal with its words."""
    path = str(Path(data) / "run" / "admin.sock")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, unix_name(path) as name:
            sock.settimeout(timeout_s)
            sock.connect(name)
            sock.sendall(question(operation, arguments))
            line = sock.makefile("rb").readline()
    except PermissionError as error:
        raise NoAccess(f"{path}: only root and the server's own user may do this") from error
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NoServer(f"no Postillon is running on {data}") from error
    if not line:
        raise NoServer(f"the Postillon on {data} ended in the middle of the question")
    return read_answer(line)


def ask_or_do(config: Config, operation: str, arguments: dict[str, Any]) -> Any:
    """Ask the running server; when none runs, do it here, keeping a server from starting meanwhile."""
    try:
        return ask(config.data, operation, arguments)
    except NoServer:
        from ..app.alone import alone  # opening the store means loading everything; most commands never come here

        with data_lock(config.data):
            return asyncio.run(alone(config, operation, arguments))


@contextlib.contextmanager
def data_lock(data: str) -> Iterator[None]:
    """Hold the lock that a server holds. Raises NoServer when there is nothing to lock or a server is just starting."""
    run = Path(data) / "run"
    try:
        owner = os.stat(Path(data) / "mail.db")
        if not run.is_dir():  # a backup that was just brought back has none
            run.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(run, owner.st_uid, owner.st_gid)
        descriptor = os.open(run / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)  # the server's user must be able to do the same
    except FileNotFoundError as error:
        raise NoServer(f"{data} is not the data directory of a Postillon") from error
    except PermissionError as error:
        raise NoAccess(f"{data}: only root and the server's own user may do this") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NoServer(f"the Postillon on {data} is starting or ending; try again") from error
        yield
    finally:
        os.close(descriptor)
