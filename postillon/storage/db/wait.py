"""Handing works to database threads and their results back to the event loop: what both drivers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...model.ids import AccountId
from ...seams import Work

Publish = Callable[[Iterable[int]], None]
"""Called on the event loop, after a commit, with the topics that moved."""


BUMP = "UPDATE account_state SET modseq = modseq + ?, used = used + ? WHERE account_id = ? RETURNING modseq"
"""An account's one serial point moves on, and its use is counted."""


@dataclass(slots=True)
class Job:
    """A work that waits for its transaction, and what came of it."""

    work: Work[Any]
    accounts: Sequence[AccountId]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    heavy: bool = False
    result: Any = None
    error: BaseException | None = None
    topics: tuple[int, ...] = ()


def finish(jobs: Sequence[Job], publish: Publish) -> None:
    """On the loop: publish what moved, then tell each caller. Callers that were cancelled hear nothing; the work stands."""
    topics = {topic for job in jobs for topic in job.topics}
    try:
        if topics:
            publish(topics)
    finally:
        for job in jobs:
            _tell(job)


def _tell(job: Job) -> None:
    if job.future.done():
        return
    if job.error is not None:
        job.future.set_exception(job.error)
    else:
        job.future.set_result(job.result)
