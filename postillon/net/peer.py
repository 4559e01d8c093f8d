"""Who is at the other end of a socket."""

from __future__ import annotations

import ipaddress
import socket
import struct
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


def endpoint(name: Any) -> tuple[str, int]:
    """Address and port of a socket name; `unix` and 0 for Unix sockets."""
    if not isinstance(name, tuple):
        return "unix", 0
    address = name[0].partition("%")[0]
    if address.startswith("::ffff:"):
        mapped = ipaddress.IPv6Address(address).ipv4_mapped
        address = str(mapped) if mapped else address
    return address, name[1]
