"""The administrator's own filter: a file with a function `examine(incoming: Examined) -> Opinion`, in a process of its own.

A filter that hangs is killed when its time is over, one that breaks is told to the log; in both cases the message goes on with a
finding. The process is started with the first message, and again when the file has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import struct
import sys
from typing import Any

import msgspec

from ..log import Log
from ..model.errors import Refusal
from ..model.verdict import Opinion, finding
from .examined import Examined

log = Log("filter")

MOST = 1 << 20
"""Octets of an answer."""
_LENGTH = struct.Struct("!I")
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class OwnFilterError(Exception):
    """The filter's file cannot be used, or it raised; the words are the traceback."""


class OwnFilter:
    """*path* of the file, *time_s* for one message, its process' start included."""

    name = "own"
    is_local = True
    """It runs last, when it is known who sent the message, which it may want to know."""

    def __init__(self, path: str, *, time_s: float = 5.0) -> None:
        self._path = path
        self._time_s = time_s
        self._process: asyncio.subprocess.Process | None = None
        self._version: tuple[int, int] = (0, 0)
        self._turn = asyncio.Lock()

    async def examine(self, examined: Examined) -> Opinion:
        try:
            return await self.ask(examined)
        except OwnFilterError as error:
            log.error("own filter failed", file=self._path, reason=str(error))
            return Opinion((finding("filter.failed", filter=self.name),))

    async def ask(self, examined: Examined) -> Opinion:
        """Its opinion. Raises OwnFilterError; TimeoutError is one, too: it was killed."""
        question = pickle.dumps((examined.incoming, examined.header, examined.verdict))
        async with self._turn:
            try:
                async with asyncio.timeout(self._time_s):
                    reply = await self._asked(question)
            except TimeoutError as error:
                await self.close()
                raise OwnFilterError(f"it took more than {self._time_s:g} seconds and was ended") from error
            except FileNotFoundError as error:
                raise OwnFilterError(f"{self._path}: {error.strerror}") from error
            except (OSError, EOFError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
                await self.close()
                raise OwnFilterError(f"its process ended: {type(error).__name__}") from error
            except asyncio.CancelledError:
                await self.close()  # its answer would be taken for that to the next question
                raise
        if "error" in reply:
            raise OwnFilterError(str(reply["error"]))
        return _opinion(reply)

    async def _asked(self, question: bytes) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(_LENGTH.pack(len(question)) + question)
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        if length > MOST:
            raise EOFError
        return _decode(await process.stdout.readexactly(length))

    async def _running(self) -> asyncio.subprocess.Process:
        found = os.stat(self._path)
        version = (found.st_mtime_ns, found.st_ino)
        if self._process is not None and (self._process.returncode is not None or version != self._version):
            await self.close()
        if self._process is None:
            self._version = version
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"{__package__}.own_child",
                self._path,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd="/",
                env={key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG")},
                start_new_session=True,
            )
        return self._process

    async def close(self) -> None:
        """End its process, at once."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


def _opinion(reply: dict[str, Any]) -> Opinion:
    refusal = reply["refusal"]
    return Opinion(
        findings=tuple(finding(code, score, **dict(facts)) for code, score, facts in reply["findings"]),
        refusal=Refusal(refusal[0], status=refusal[1]) if refusal else None,
        junk=reply["junk"],
        quarantine=reply["quarantine"],
    )
