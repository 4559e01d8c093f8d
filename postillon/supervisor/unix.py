"""Names of Unix sockets that fit into their address. Imports next to nothing: `sendmail` is started often."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def unix_name(path: str) -> Iterator[str]:
    """A name for *path* that fits into the 107 octets of a Unix socket's address, however deep the directory lies."""
    if len(os.fsencode(path)) <= 107:
        yield path
        return
    directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)
