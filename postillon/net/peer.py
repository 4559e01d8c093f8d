"""Who is at the other end of a socket."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import socket
import struct
import termios
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """Who is at the other end of a Unix socket, from the kernel."""

    pid: int
    uid: int
    gid: int


def credentials(sock: socket.socket) -> PeerCredentials:
    """SO_PEERCRED of a connected Unix socket. Raises OSError for others."""
    pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if pid == 0 and uid == -1:
        raise OSError("not a Unix socket")
    return PeerCredentials(pid, uid, gid)


def has_arrived(transport: asyncio.Transport) -> bool:
    """Whether all that was written has been acknowledged by the other end's kernel (SIOCOUTQ). False where nobody can tell."""
    sock = transport.get_extra_info("socket")
    if transport.get_write_buffer_size() or sock is None:
        return False
    try:
        return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")) == (0,)
    except OSError:
        return False


def endpoint(name: Any) -> tuple[str, int]:
    """Address and port of a socket name; `unix` and 0 for Unix sockets."""
    if not isinstance(name, tuple):
        return "unix", 0
    address = name[0].partition("%")[0]
    if address.startswith("::ffff:"):
        mapped = ipaddress.IPv6Address(address).ipv4_mapped
        address = str(mapped) if mapped else address
    return address, name[1]
