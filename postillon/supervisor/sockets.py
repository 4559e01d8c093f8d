"""Listening sockets: bound once by the supervisor, inherited by workers.

Each worker gets its own socket of every address (SO_REUSEPORT), so that the kernel spreads connections evenly. The supervisor
keeps all of them open: connections that arrive while a worker is being replaced wait in its socket's queue.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..net import listener as net
from .unix import unix_name


class BindError(Exception):
    """A socket could not be bound; the words are for the administrator."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One service at one address: a socket for each worker slot."""

    service: str
    sockets: tuple[socket.socket, ...]


def resolve(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses that *host* means: `*`, an IP address, or `localhost`. Raises BindError; asks no DNS."""
    if host == "*":
        return [(socket.AF_INET, "0.0.0.0"), *([(socket.AF_INET6, "::")] if _has_ipv6() else [])]
    if host == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), *([(socket.AF_INET6, "::1")] if _has_ipv6() else [])]
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError as error:
        raise BindError(f"{host!r} is not an IP address, `localhost` or `*`") from error
    return [(socket.AF_INET6 if address.version == 6 else socket.AF_INET, str(address))]


def bind(services: Iterable[tuple[str, str, int]], slots: int, patience_s: float = 2.0) -> list[Bound]:
    """Bind and listen: *services* are (service, host, port). Raises BindError with every port that is not to be had.

    *patience_s*: how long to wait for sockets of a server that is just being killed.
    """
    wanted = [(service, family, host, port) for service, name, port in services for family, host in resolve(name)]
    deadline = time.monotonic() + patience_s
    while problems := [words for entry in wanted if (words := _problem(*entry))]:
        if time.monotonic() > deadline or not all("in use" in words for words in problems):
            raise BindError("\n".join(problems))
        time.sleep(0.05)
    return [
        Bound(service, tuple(net.bind(host, port, reuse_port=True) for _ in range(slots))) for service, _, host, port in wanted
    ]


def free(services: Iterable[tuple[str, str, int]]) -> list[str]:
    """Why ports cannot be had, one sentence for each that cannot. Raises BindError for an address that is none."""
    wanted = [(service, family, host, port) for service, name, port in services for family, host in resolve(name)]
    return [words for entry in wanted if (words := _problem(*entry))]


def _problem(service: str, family: socket.AddressFamily, host: str, port: int) -> str:
    """Why a port cannot be had, or empty. SO_REUSEPORT alone would let two servers share one; so first without it."""
    try:
        net.bind(host, port).close()
    except OSError as error:
        where = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            return f"{service}: {where} is in use by another program"
        if error.errno == errno.EACCES:
            return f"{service}: {where} needs root (or CAP_NET_BIND_SERVICE)"
        return f"{service}: {where}: {error.strerror}"
    return ""


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def bind_unix(path: str, mode: int) -> socket.socket:
    """A listening Unix socket at *path*, replacing one that a former server left. All workers accept from the same one."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~mode)  # nobody may connect before the mode is right
    try:
        with unix_name(path) as name:
            sock.bind(name)
    finally:
        os.umask(umask)
    sock.listen(net.BACKLOG)
    sock.setblocking(False)
    return sock
