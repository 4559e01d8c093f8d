"""IMAP measurements over one plain connection: literal aware, reads as fast as the kernel gives."""

from __future__ import annotations

import re
import socket
import time

_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class Imap:
    """A client for timing. `command` returns seconds and octets."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 20)
        self._tag = 0
        self._file.readline()

    def command(self, text: bytes) -> tuple[float, int]:
        """Send *text* and read to its tagged OK. Raises RuntimeError for NO and BAD."""
        self._tag += 1
        tag = b"a%d" % self._tag
        started = time.perf_counter()
        self._socket.sendall(tag + b" " + text + b"\r\n")
        octets = 0
        while True:
            line = self._file.readline()
            octets += len(line)
            if literal := _LITERAL.search(line):
                size = int(literal[1])
                octets += len(self._file.read(size))
            elif line.startswith(tag + b" "):
                if line[len(tag) + 1 : len(tag) + 3] != b"OK":
                    raise RuntimeError(line.decode(errors="replace"))
                return time.perf_counter() - started, octets
            elif not line:
                raise ConnectionError("closed by the server")

    def append(self, mailbox: bytes, messages: list[bytes]) -> float:
        """One APPEND each, pipelined with non-synchronizing literals (RFC 7888) in groups; seconds."""
        started = time.perf_counter()
        for at in range(0, len(messages), 100):
            part = messages[at : at + 100]
            out = []
            for message in part:
                self._tag += 1
                out.append(b"a%d APPEND %s {%d+}\r\n%s\r\n" % (self._tag, mailbox, len(message), message))
            self._socket.sendall(b"".join(out))
            for _ in part:
                while not (line := self._file.readline()).startswith(b"a"):
                    if not line:
                        raise ConnectionError("closed by the server")
                if b" OK" not in line[:20]:
                    raise RuntimeError(line.decode(errors="replace"))
        return time.perf_counter() - started

    def close(self) -> None:
        self._socket.close()
