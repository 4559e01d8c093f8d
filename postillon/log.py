"""Structured logs: one line an event, `time level area event key=value …`, written by a thread of its own.

A caller never waits for the sink. Values are quoted and escaped, so nothing that a remote says can forge a line. Secrets are
kept out by whoever calls: never pass a password, a token or a command line before authentication.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import threading
import time
import traceback
from functools import lru_cache
from typing import Any

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
GATHER_S = 0.05
_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}
LEVELS = {name: level for level, name in _NAMES.items()}
_PLAIN = re.compile(r"[A-Za-z0-9_.:@/+<>,\[\]-]+")


class _Sink:
    """One per process. Lines are gathered for a moment and written together, so that a busy server's loop is not interrupted
    for each. Lines beyond *bound* waiting are dropped and counted rather than held in memory.
    """

    def __init__(self, bound: int = 10_000) -> None:
        self.level = INFO
        self.fd = 2
        self._bound = bound
        self._dropped = 0
        self._lines: list[str] = []
        self._something = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        if self._thread is None:
            self._ended = False
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        if len(self._lines) >= self._bound:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._something.is_set():
            self._something.set()

    def _run(self) -> None:
        while not self._ended:
            self._something.wait()
            if not self._ended:
                time.sleep(GATHER_S)
            self._something.clear()
            lines, self._lines = self._lines, []
            if self._dropped:
                lines.append(f"{_stamp()} warning log lines dropped count={self._dropped}\n")
                self._dropped = 0
            try:
                os.write(self.fd, "".join(lines).encode("utf-8", "backslashreplace"))
            except OSError:  # nobody reads our log any more; mail goes on
                continue

    def close(self) -> None:
        if self._thread is not None:
            self._ended = True
            self._something.set()
            self._thread.join(2)
            self._thread = None


_sink = _Sink()


def configure(*, level: int | None = None, fd: int | None = None) -> None:
    """Set the least level that is written (DEBUG … ERROR) and the file descriptor it goes to (2 at first)."""
    if level is not None:
        _sink.level = level
    if fd is not None:
        _sink.fd = fd


def flush() -> None:
    """Write what waits; for the end of a process."""
    _sink.close()


def _stamp() -> str:
    now = time.time()
    return f"{_second(int(now))}.{int(now * 1000) % 1000:03d}Z"


@lru_cache(maxsize=2)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


_quoted = lru_cache(maxsize=1000)(json.dumps)
"""Of events, which are few."""


def _text(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text[:2000])


class Log:
    """A named source of events with fields that every line of it carries."""

    __slots__ = ("_area", "_fields")

    def __init__(self, area: str, **fields: Any) -> None:
        self._area = area
        self._fields = "".join(f" {key}={_text(value)}" for key, value in fields.items())

    def bind(self, **fields: Any) -> Log:
        """A log with more fields."""
        bound = Log(self._area, **fields)
        bound._fields = self._fields + bound._fields
        return bound

    def debug(self, event: str, **fields: Any) -> None:
        if _sink.level <= DEBUG:
            self._write(DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        if _sink.level <= INFO:
            self._write(INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        if _sink.level <= WARNING:
            self._write(WARNING, event, fields)

    def error(self, event: str, exc: BaseException | None = None, **fields: Any) -> None:
        """*exc*: a bug; its trace follows, one escaped field."""
        if exc is not None:
            fields["trace"] = "".join(traceback.format_exception(exc))[-4000:]
        self._write(ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        words = "".join(f" {key}={_text(value)}" for key, value in fields.items())
        _sink.write(f"{_stamp()} {_NAMES[level]} {self._area} {_quoted(event)}{self._fields}{words}\n")
