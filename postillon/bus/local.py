"""Wakes within a process, and between the workers of one machine by Unix datagrams.

A wake carries no facts, so losing one is harmless: a full socket buffer drops it, and sessions look at their mailbox from time
to time anyway. Waking is a flag: a thousand commits before a session runs are one look.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable

from ..log import Log

MAX_TOPICS = 256  # a datagram; the rest goes in further ones
RECEIVE_OCTETS = MAX_TOPICS * 8
PEERS_S = 0.5

log = Log("bus")


class Flag:
    """`seams.Waker`: one subscription."""

    __slots__ = ("_bus", "_callback", "_is_set", "_topic")

    def __init__(self, bus: LocalBus, topic: int) -> None:
        self._bus = bus
        self._topic = topic
        self._callback: Callable[[], None] | None = None
        self._is_set = False

    def set(self) -> None:
        if not self._is_set:
            self._is_set = True
            if self._callback is not None:
                self._callback()

    def is_set(self) -> bool:
        return self._is_set

    def clear(self) -> None:
        self._is_set = False

    def on_set(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if callback is not None and self._is_set:
            callback()

    def close(self) -> None:
        self._callback = None
        self._bus.unsubscribe(self._topic, self)


class LocalBus:
    """*directory* holds one socket per worker (`bus.N`); None: this process only. Use it on one event loop."""

    def __init__(self, directory: str | None = None, slot: int = 0) -> None:
        self._directory = directory
        self._slot = slot
        self._flags: dict[int, list[Flag]] = {}
        self._socket: socket.socket | None = None
        self._peers: list[str] = []
        self._looked_at = -PEERS_S

    def open(self) -> LocalBus:
        """Begin to hear the other workers. Needs the running loop."""
        if self._directory is None:
            return self
        path = os.path.join(self._directory, f"bus.{self._slot}")
        if os.path.lexists(path):
            os.unlink(path)  # left by a former worker in this place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)
        return self

    # --- the seam --------------------------------------------------------------------------------------------------

    def publish(self, topics: Iterable[int]) -> None:
        moved = list(topics)
        self._wake(moved)
        if self._socket is None or self._directory is None:
            return
        for at in range(0, len(moved), MAX_TOPICS):
            part = moved[at : at + MAX_TOPICS]
            datagram = struct.pack(f"={len(part)}q", *part)
            for path in self._others(self._directory):
                self._send(datagram, path)

    def _others(self, directory: str) -> list[str]:
        """Sockets of the other workers; looked up again after a while, since a missed wake is harmless."""
        now = time.monotonic()
        if now - self._looked_at >= PEERS_S:
            self._looked_at = now
            try:
                names = os.listdir(directory)
            except OSError:  # no descriptor is left, say: then those of before
                return self._peers
            self._peers = [
                os.path.join(directory, name) for name in names if name.startswith("bus.") and name != f"bus.{self._slot}"
            ]
        return self._peers

    def _send(self, datagram: bytes, path: str) -> None:
        assert self._socket is not None
        try:
            self._socket.sendto(datagram, path)
        except BlockingIOError:
            log.debug("wake dropped: the other worker's buffer is full", path=path)
        except OSError:  # that worker is gone, or not there yet
            return

    def subscribe(self, topic: int) -> Flag:
        flag = Flag(self, topic)
        self._flags.setdefault(topic, []).append(flag)
        return flag

    def unsubscribe(self, topic: int, flag: Flag) -> None:
        flags = self._flags.get(topic, [])
        if flag in flags:
            flags.remove(flag)
            if not flags:
                del self._flags[topic]

    async def close(self) -> None:
        if self._socket is not None and self._directory is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            path = os.path.join(self._directory, f"bus.{self._slot}")
            if os.path.lexists(path):
                os.unlink(path)

    # --- hearing ---------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        assert self._socket is not None
        for _ in range(64):
            try:
                datagram = self._socket.recv(RECEIVE_OCTETS)
            except BlockingIOError:
                return
            self._wake(struct.unpack(f"={len(datagram) // 8}q", datagram[: len(datagram) // 8 * 8]))

    def _wake(self, topics: Iterable[int]) -> None:
        for topic in topics:
            for flag in tuple(self._flags.get(topic, ())):
                flag.set()
