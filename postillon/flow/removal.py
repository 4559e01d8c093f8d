"""Removing a queued message with a report to its sender, as if it had failed for good."""

from __future__ import annotations

from ..model.errors import InUse, NotFound
from ..model.queue import Outcome, OutcomeKind
from ..storage.store import Store
from .bounce import Reporter

WORDS = "The operator of the mail server has removed the message from its queue"


async def remove(store: Store, reporter: Reporter, queue_id: int, words: str = "") -> int:
    """Remove what waits of *queue_id* and tell its sender, in one commit; how many recipients. *words*: why.

    Raises NotFound, and InUse while an attempt is under way.
    """
    entries = await store.queue_entries(queue_id)
    if not entries:
        raise NotFound(f"Nothing is queued as {queue_id:x}")
    if any(entry.owner for entry in entries):
        raise InUse("A delivery of that message is under way at this moment; try again")
    outcome = Outcome(OutcomeKind.FAILED, "5.0.0", words or WORDS)
    report = await reporter.failure([(entry, outcome) for entry in entries])
    await store.queue_remove(entries, report)
    return len(entries)
