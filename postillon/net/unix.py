"""Unix sockets for what is on this machine only; who connects is known from the kernel (`Stream.peer_credentials`)."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .listener import BACKLOG, Listener, Session, serve
from .stream import Stream

_PATH_MAX = 100


async def serve_unix(
    path: str | Path, session: Session, *, mode: int = 0o600, tasks: asyncio.TaskGroup | None = None
) -> Listener:
    """`serve` on a Unix socket at *path* with file *mode*; a socket left over there is replaced. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FileExistsError(errno.EEXIST, "exists and is not a socket", str(path))
            os.unlink(path)
        with _short(path) as name:
            # Nobody may connect before the mode is right, so the umask decides, not a chmod afterwards.
            umask = os.umask(0o777 & ~mode)
            try:
                sock.bind(name)
            finally:
                os.umask(umask)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return await serve(sock, session, tasks=tasks)


async def connect_unix(path: str | Path, *, timeout_s: float = 10) -> Stream:
    """Connect to the Unix socket at *path*. Raises OSError, of which TimeoutError is one."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            with _short(path) as name:
                await loop.sock_connect(sock, name)
            _, stream = await loop.create_unix_connection(Stream, sock=sock)
    except BaseException:
        sock.close()
        raise
    return stream


@contextmanager
def _short(path: str | Path) -> Iterator[str]:
    """A name for *path* that fits a socket address (108 octets): long ones go through a descriptor of the folder."""
    name = os.fspath(path)
    if len(os.fsencode(name)) <= _PATH_MAX:
        yield name
        return
    folder = os.open(os.path.dirname(name) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(name)}"
    finally:
        os.close(folder)
