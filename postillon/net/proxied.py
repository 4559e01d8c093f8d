"""Connections that come through a proxy: reading its PROXY header off a socket, to the octet, before anything else is read."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from ..protocols.proxy import Endpoints, HeaderReader
from .networks import Networks

HEADER_S = 10.0
"""How long a proxy may take for its header; it is one packet."""
_PEEK = 4096


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whose connections begin with a PROXY header. *required*: nobody else is served."""

    trusted: Networks
    required: bool = False


async def read_header(connection: socket.socket, timeout_s: float = HEADER_S) -> Endpoints | None:
    """Consume the header from *connection* (not blocking); None: the connection's own endpoints count.

    Raises ProxyError for what is no header, TimeoutError, or ConnectionError when the other side closes.
    """
    reader = HeaderReader()
    async with asyncio.timeout(timeout_s):
        while not reader.is_complete:
            # Peeking shows where the header ends; what stands behind it is for the protocol, or for a TLS handshake.
            try:
                waiting = connection.recv(_PEEK, socket.MSG_PEEK)
            except BlockingIOError:
                await _readable(connection)
                continue
            if not waiting:
                raise ConnectionResetError("closed before the PROXY header was complete")
            connection.recv(reader.take(waiting))
    return reader.endpoints


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)
