"""Results go back to whoever waits, whatever else goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from postillon.storage.db.wait import Job, finish


async def test_callers_hear_of_their_commit_also_when_the_wake_fails():
    def broken(topics: Iterable[int]) -> None:
        raise OSError("no descriptors")

    loop = asyncio.get_running_loop()
    job = Job(lambda tx: None, (), loop.create_future(), loop, result="done", topics=(1,))
    with pytest.raises(OSError):
        finish([job], broken)
    assert await job.future == "done"
