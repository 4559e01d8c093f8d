"""The administrator's operations on the quarantine. They register themselves."""

from __future__ import annotations

from typing import Any

from ..model.errors import NotFound
from ..model.record import Record, Stage
from ..storage.store.quarantine import Held, Quarantine
from .header import header
from .tools import Tools, operation

PAGE = 500


def _row(held: Held) -> dict[str, Any]:
    return {
        "id": f"{held.hold_id:x}",
        "recipients": [str(one.address) for one in held.envelope.recipients],
        "sender": str(held.envelope.sender or "<>"),
        "since": held.made_at,
        "until": held.until,
        "size": held.size,
        "message": f"{held.blob:x}",
        **held.facts,
    }


def _facts(held: Held) -> dict[str, Any]:
    """For the records."""
    return {"hold": f"{held.hold_id:x}", "recipients": [str(one.address) for one in held.envelope.recipients]}


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise NotFound(f"{text!r} is no id of a message in the quarantine") from None


@operation("quarantine.list")
async def quarantine_list(tools: Tools) -> list[dict[str, Any]]:
    quarantine, rows, after = Quarantine(tools.store), [], 0
    while page := await quarantine.list(after, PAGE):
        rows += [_row(held) for held in page]
        after = page[-1].hold_id
    return rows


@operation("quarantine.show")
async def quarantine_show(tools: Tools, id: str) -> dict[str, Any]:  # noqa: A002
    quarantine = Quarantine(tools.store)
    held = await quarantine.find(_number(id))
    return _row(held) | {"header": await header(tools.store, await quarantine.octets(held))}


@operation("quarantine.release")
async def quarantine_release(tools: Tools, id: str) -> dict[str, Any]:  # noqa: A002
    now = tools.clock.now()
    held = await Quarantine(tools.store).release(_number(id), now)
    tools.store.note(Record(Stage.RELEASED, now, _facts(held)), held.blob)
    return _row(held)


@operation("quarantine.delete")
async def quarantine_delete(tools: Tools, id: str) -> dict[str, Any]:  # noqa: A002
    now = tools.clock.now()
    quarantine = Quarantine(tools.store)
    held = await quarantine.find(_number(id))
    await quarantine.delete(held.hold_id, now)
    tools.store.note(Record(Stage.DROPPED, now, _facts(held)), held.blob)
    return _row(held)
