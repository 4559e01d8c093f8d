"""A worker's side of the admin socket. Only root and the user we run as may ask, by the kernel's word (SO_PEERCRED)."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from ..log import Log
from ..model.errors import NotPermitted, Refusal
from ..net.stream import Stream
from .wire import MAX_LINE, refusal, result

Perform = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""(operation, arguments) → result; raises Refusal."""

log = Log("admin")


class AdminServer:
    """Answers the questions of one connection after the other's; see `wire`."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def session(self, stream: Stream) -> None:
        uid = stream.peer_credentials().uid
        received = bytearray()
        while data := await stream.receive(timeout_s=600):
            received += data
            while (end := received.find(b"\n")) >= 0:
                line = bytes(received[:end])
                del received[: end + 1]
                await stream.send(await self._answer(line, uid))
            if len(received) > MAX_LINE:
                return

    async def _answer(self, line: bytes, uid: int) -> bytes:
        try:
            if uid not in (0, os.geteuid()):
                raise NotPermitted("Only root and the server's own user may do this")
            asked = json.loads(line)
            log.info("admin operation", operation=asked["operation"], uid=uid)
            return result(await self._perform(asked["operation"], asked["arguments"]))
        except Refusal as error:
            return refusal(error)
        except (ValueError, KeyError, TypeError) as error:
            log.error("admin question was not understood", exc=error)
            return refusal(Refusal(f"The question was not understood: {error}", status="5.5.4"))
        except Exception as error:
            log.error("admin operation failed", exc=error)
            return refusal(Refusal("Internal error; the server's log has its trace", status="5.3.0"))
