"""Password work in threads: few at a time, and no long queue before them.

argon2 and PBKDF2 release the interpreter's lock, so this costs the event loop nothing. A flood of logins fills the queue and
is refused with a temporary error instead of making everybody wait.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from postillon.model.account import Credential
from postillon.model.errors import AuthenticationDelayed, Unavailable

from . import passwords

T = TypeVar("T")

BUSY = "Too many logins at this moment; try again later"


class PasswordPool:
    """At most *threads* verifications at a time (19 MiB each), *waiting* more in line, none of them longer than *patience_s*."""

    def __init__(self, *, threads: int | None = None, waiting: int = 100, patience_s: float = 15) -> None:
        self._threads = threads or min(os.cpu_count() or 1, 4)
        self._bound = self._threads + waiting
        self._patience_s = patience_s
        self._pending = 0
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="password")

    async def verify(self, text: str, password: str) -> bool:
        """See `passwords.verify`. Raises AuthenticationDelayed when too many wait."""
        return await self._run(lambda: passwords.verify(text, password))

    async def waste(self) -> None:
        """As long as a verification takes. Raises as `verify`."""
        await self._run(passwords.waste)

    async def make(self, password: str) -> Credential:
        """See `passwords.make_credential`."""
        return await self._run(lambda: passwords.make_credential(password))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._bound:
            raise AuthenticationDelayed(BUSY)
        future = self._executor.submit(work)
        self._pending += 1
        future.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise Unavailable(BUSY, detail="password thread did not answer") from error

    def _finished(self, _: object) -> None:
        # Called in a thread or, when cancelled, on the loop; an int under the interpreter's lock needs no other lock for this
        # bound to hold within one or two.
        self._pending -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
