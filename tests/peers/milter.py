"""A milter of our own making, over the wire: it reads and writes packets by hand and knows nothing of Postillon's engine.

A script says what it answers. It runs in a thread and keeps what it heard.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

Packet = tuple[bytes, bytes]
"""Command and data."""
Script = Callable[["Heard", bytes, bytes], Iterable[Packet]]
CONTINUE = [(b"c", b"")]


class Heard:
    """What one connection has told the milter."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.macros: dict[bytes, dict[str, str]] = {}
        self.headers: list[tuple[bytes, bytes]] = []
        self.recipients: list[str] = []
        self.body = b""
        self.quit = threading.Event()

    @property
    def commands(self) -> str:
        """Their letters in order."""
        return b"".join(command for command, _ in self.packets).decode()


class Milter:
    """*script* is asked for each command that has an answer; *actions* and *steps* are what it negotiates."""

    def __init__(
        self,
        script: Script,
        *,
        path: Path | None = None,
        actions: int = 0x1FF,
        steps: int = 0,
        version: int = 6,
        symbols: bytes = b"",
    ) -> None:
        self.script = script
        self.negotiated = struct.pack("!III", version, actions, steps) + symbols
        self.steps = steps
        self.offered: tuple[int, ...] = ()
        self.connections: list[Heard] = []
        self._path = path
        self._sockets: list[socket.socket] = []
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
            self.address = f"unix:{path}"

    def __enter__(self) -> Milter:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(peer)
            heard = Heard()
            self.connections.append(heard)
            threading.Thread(target=self._serve, args=(peer, heard), daemon=True).start()

    def _serve(self, peer: socket.socket, heard: Heard) -> None:
        try:
            with peer, peer.makefile("rb") as file:
                while head := file.read(5):
                    size, command = struct.unpack("!Ic", head)
                    data = file.read(size - 1)
                    for answer, octets in self._answers(heard, command, data):
                        peer.sendall(struct.pack("!I", len(octets) + 1) + answer + octets)
                    if command == b"Q":
                        heard.quit.set()
                        return
        except (OSError, ValueError):
            return

    def _answers(self, heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
        heard.packets.append((command, data))
        if command == b"O":
            self.offered = struct.unpack("!III", data)
            return [(b"O", self.negotiated)]
        if command == b"D":
            texts = [text.decode() for text in data[1:].split(b"\0")[:-1]]
            heard.macros[data[:1]] = dict(zip(texts[::2], texts[1::2], strict=True))
            return ()
        if command == b"M":
            heard.headers, heard.recipients, heard.body = [], [], b""
        elif command == b"R":
            heard.recipients.append(data.split(b"\0")[0].decode().strip("<>"))
        elif command == b"L":
            name, value, _ = data.split(b"\0")
            heard.headers.append((name, value))
        elif command == b"B":
            heard.body += data
        if command in b"AQK":
            return ()
        mute = {b"L": 0x80, b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"R": 0x8000, b"T": 0x10000, b"N": 0x40000, b"B": 0x80000}
        return () if self.steps & mute.get(command, 0) else self.script(heard, command, data)


def index(number: int, name: bytes, value: bytes) -> bytes:
    """The data of a field that is inserted or changed."""
    return struct.pack("!I", number) + name + b"\0" + value + b"\0"
