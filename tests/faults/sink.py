"""Another mail server that takes everything and keeps every octet as it came."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType

ANSWERS = {b"QUIT": b"221 bye\r\n", b"EHLO": b"250-sink.test\r\n250 8BITMIME\r\n"}


class Sink:
    """On a port of its own, in threads. *streams*: what came after each DATA, with the end of data."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.streams: list[bytes] = []
        self.connections = 0
        self.commands: list[bytes] = []

    def __enter__(self) -> Sink:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.close()

    def wait(self, count: int, limit_s: float = 30) -> None:
        """Until so many messages came."""
        deadline = time.monotonic() + limit_s
        while len(self.streams) < count:
            assert time.monotonic() < deadline, f"{len(self.streams)} messages came, not {count}"
            time.sleep(0.02)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._until_gone, args=(sock,), daemon=True).start()

    def _until_gone(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):  # they may be killed
            self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            sock.sendall(b"220 sink.test\r\n")
            received = b""
            while True:
                while (end := received.find(b"\r\n")) < 0:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    received += piece
                line, received = received[:end], received[end + 2 :]
                self.commands.append(line)
                verb = line[:4].upper()
                if verb != b"DATA":
                    sock.sendall(
                        {b"QUIT": b"221 bye\r\n", b"EHLO": b"250-sink.test\r\n250 8BITMIME\r\n"}.get(verb, b"250 ok\r\n")
                    )
                    if verb == b"QUIT":
                        return
                    continue
                sock.sendall(b"354 go\r\n")
                received = b"\r\n" + received
                while (end := received.find(b"\r\n.\r\n")) < 0:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    received += piece
                self.streams.append(received[2 : end + 5])
                received = received[end + 5 :]
                sock.sendall(b"250 taken\r\n")
