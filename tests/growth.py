"""How long something computes, for tests that more input takes no more than its share of time."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

ROUNDS = 3


def cost(work: Callable[[], object]) -> float:
    """Seconds of this thread's CPU, the best of some rounds: what else the process does has no part in it."""
    found = []
    for _ in range(ROUNDS):
        with _alone():
            before = time.thread_time()
            work()
            found.append(time.thread_time() - before)
    return min(found)


async def cost_of(work: Callable[[], Awaitable[object]]) -> float:
    """The same for what is awaited."""
    found = []
    for _ in range(ROUNDS):
        with _alone():
            before = time.thread_time()
            await work()
            found.append(time.thread_time() - before)
    return min(found)


@contextmanager
def _alone() -> Iterator[None]:
    """Without the garbage collector, whose time grows with all that other tests have left."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
