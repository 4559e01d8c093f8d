"""The tests' DNS server in a thread, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

from ..net.dns_server import ZoneServer


class Zones:
    """Serves *zones* (origin -> text) between `with` and its end. `server` may be asked and changed meanwhile."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        self.server = ZoneServer(zones)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def option(self) -> str:
        """For `--dns`."""
        return f"{self.server.host}:{self.server.port}"

    def __enter__(self) -> Zones:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
