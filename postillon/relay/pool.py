"""Kept connections: a session that has done its work waits a while for the next message to the same hop.

Sessions are taken and put back by one task at a time; who waits longest is closed first, with QUIT.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

from .hop import Hop
from .session import Session

MAX_IDLE = 200
"""Idle sessions in all; beyond that the oldest goes."""

Opener = Callable[[Hop], Awaitable[Session]]


class Pool:
    """Idle sessions by hop. *idle_s*: seconds that one may wait; *messages*: how many it may carry in its life."""

    def __init__(self, opener: Opener, *, idle_s: float, messages: int) -> None:
        self._open = opener
        self._idle_s = idle_s
        self._messages = messages
        self._idle: dict[Hop, deque[Session]] = {}
        self._since: OrderedDict[Session, float] = OrderedDict()
        """Idle sessions, oldest first, with when they became idle."""
        self._timer: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def has_idle(self, hop: Hop) -> bool:
        return hop in self._idle

    async def take(self, hop: Hop, *, fresh: bool = False) -> Session:
        """An idle session, the last one used, or a new one. *fresh*: only a new one. Raises Trouble."""
        while not fresh and (waiting := self._idle.get(hop)):
            session = waiting.pop()
            self._forget(session)
            if session.is_usable:
                return session
            session.abort()
        return await self._open(hop)

    def put(self, session: Session) -> None:
        """Give a session back. One that is of no more use is closed."""
        if not session.is_usable:
            session.abort()
        elif self._is_closed or session.is_spent or session.sent >= self._messages:
            self._say_goodbye(session)
        else:
            loop = asyncio.get_running_loop()
            self._idle.setdefault(session.hop, deque()).append(session)
            self._since[session] = loop.time()
            if len(self._since) > MAX_IDLE:
                self._retire(next(iter(self._since)))
            if self._timer is None:
                self._timer = loop.call_later(self._idle_s, self._sweep)

    def _forget(self, session: Session) -> None:
        del self._since[session]
        if not self._idle[session.hop]:
            del self._idle[session.hop]

    def _retire(self, session: Session) -> None:
        self._idle[session.hop].remove(session)
        self._forget(session)
        self._say_goodbye(session)

    def _sweep(self) -> None:
        """Close who has waited long enough, and come again when the next one will have."""
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._since:
            session, since = next(iter(self._since.items()))
            left = since + self._idle_s - loop.time()
            if left > 0.01:
                self._timer = loop.call_later(left, self._sweep)
                return
            self._retire(session)

    def _say_goodbye(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.quit())
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def close(self, within_s: float = 1) -> None:
        """Say goodbye to all that are idle, for *within_s* seconds at most; sessions in use are closed when they are put back."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._since:
            self._retire(next(iter(self._since)))
        if self._goodbyes:
            _, slow = await asyncio.wait(self._goodbyes, timeout=within_s)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
