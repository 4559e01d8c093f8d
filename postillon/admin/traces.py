"""A message's way as the store remembers it, with names for ids, and what is still to come: `postillon trace`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..directory.local import LocalDirectory
from ..model.account import SERVER
from ..model.errors import Refusal
from ..model.ids import AccountId, MailboxId
from ..model.printable import printable
from ..model.queue import QueueState, QueueView
from ..model.record import Record, Traced
from ..storage.store import Store
from .story import sentence

MAX_TRAILS = 200


async def trace(
    directory: LocalDirectory, store: Store, name: str, since: int, until: int, limit: int = 20, follow: bool = True
) -> list[dict[str, Any]]:
    """Trails that *name* (a Message-ID, an address, an id) names, the oldest first; with *follow* their reports, too."""
    found = await store.find_records(name, since, until, min(max(limit, 1), MAX_TRAILS))
    known = {traced.trail for traced in found}
    reports = [str(record.facts["report"]) for traced in found for record in traced.records if "report" in record.facts]
    for report in reports if follow else ():
        found += [traced for traced in await store.find_records(report, 0, until, 1) if traced.trail not in known]
        known.update(traced.trail for traced in found)
    return [await _told(directory, store, traced) for traced in sorted(found, key=lambda traced: traced.trail)]


async def _told(directory: LocalDirectory, store: Store, traced: Traced) -> dict[str, Any]:
    records = [await _named(directory, store, record) for record in traced.records]
    waiting = [line for queue_id in _queue_ids(traced) for line in await _waiting(store, queue_id)]
    first = next((record.facts for record in records if "message_id" in record.facts), {})
    return {
        "message": f"{traced.trail:x}",
        "message_id": first.get("message_id", ""),
        "records": [
            {"at": record.at, "stage": record.stage.value, "facts": dict(record.facts), "words": sentence(record)}
            for record in records
        ],
        "waiting": waiting,
    }


async def _named(directory: LocalDirectory, store: Store, record: Record) -> Record:
    """The record with names of its account and mailbox, as they are called today."""
    if "account" not in record.facts:
        return record
    account = AccountId(record.facts["account"])
    facts = dict(record.facts)
    try:
        facts["account_name"] = (await directory.account(account)).name
        mailbox = await store.mailbox(SERVER, account, MailboxId(record.facts["mailbox"]))
        facts["mailbox_name"] = "/".join(mailbox.path)
    except (Refusal, KeyError):
        facts.setdefault("account_name", "an account that is gone")
        facts.setdefault("mailbox_name", "a mailbox that is gone")
    return replace(record, facts=facts)


def _queue_ids(traced: Traced) -> list[int]:
    found = dict.fromkeys(str(record.facts["queue"]) for record in traced.records if "queue" in record.facts)
    return [int(text, 16) for text in found]


async def _waiting(store: Store, queue_id: int) -> list[dict[str, Any]]:
    return [
        {
            "queue": f"{view.queue_id:x}",
            "recipient": view.recipient,
            "state": view.state.name.lower(),
            "due": view.due,
            "attempts": view.attempts,
            "last_answer": view.last_answer,
            "words": _waits(view),
        }
        for view in await store.queue_views(queue_id)
    ]


def _waits(view: QueueView) -> str:
    if view.state is QueueState.ACCOUNT_HELD:
        return f"<{printable(view.recipient)}> is held with all that its account sends"
    if view.state is QueueState.HELD:
        return f"<{printable(view.recipient)}> is held until somebody releases it"
    said = f"; last answer: {printable(view.last_answer)}" if view.last_answer else ""
    return f"<{printable(view.recipient)}> still waits after {view.attempts} attempts{said}"
