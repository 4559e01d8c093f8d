"""Operations about what accounts send: limits, holding, releasing."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from ..directory.administration import canonical_address
from ..model.errors import NotFound, Refusal
from ..model.record import Record, Stage
from ..model.sending import SendingLimits
from .tools import Tools, operation, queue_number

LIMITS = tuple(field.name for field in fields(SendingLimits))


@operation("account.limit")
async def account_limit(
    tools: Tools, address: str, changes: dict[str, int] | None = None, default: bool = False
) -> dict[str, Any]:
    """Set limits by name, after dropping all of the account's own ones if *default*; what holds then, and what was used."""
    account = await tools.directory.find_account(address)
    wanted: dict[str, int | None] = {**(dict.fromkeys(LIMITS) if default else {}), **(changes or {})}
    for name, value in wanted.items():
        if name not in LIMITS or (value is not None and not 0 <= value < 1 << 31):
            raise Refusal(f"{name}: no such limit, or out of bounds", status="5.5.4")
    if wanted:
        await tools.allowance.limit(account.id, wanted)
    allowed = await tools.allowance.allowed(account.id)
    found: dict[str, Any] = {"address": account.name}
    for name, limit in asdict(allowed.limits).items():
        found[name] = {"limit": limit, "used": allowed.usage.of(name)}
    return found | ({"held_since": allowed.hold.at, "held_why": allowed.hold.why} if allowed.hold else {})


@operation("account.hold")
async def account_hold(tools: Tools, address: str) -> dict[str, Any]:
    account = await tools.directory.find_account(address)
    if not await tools.allowance.hold(account.id, []):
        raise Refusal(f"What {account.name} sends is held already")
    return {"address": account.name}


@operation("account.release")
async def account_release(tools: Tools, address: str) -> dict[str, Any]:
    account = await tools.directory.find_account(address)
    count = await tools.allowance.release(account.id)
    if count is None:
        raise Refusal(f"What {account.name} sends is not held")
    return {"address": account.name, "recipients": count}


@operation("account.suppressed")
async def account_suppressed(tools: Tools, address: str, add: str = "", remove: str = "") -> list[dict[str, Any]]:
    """Whom the account does not write to any more, after adding or removing one."""
    account = await tools.directory.find_account(address)
    if add:
        await tools.allowance.suppress(account.id, canonical_address(add))
    if remove and not await tools.allowance.unsuppress(account.id, canonical_address(remove)):
        raise NotFound(f"{remove} is not on the list of {account.name}")
    found = await tools.allowance.suppressed(account.id)
    return [{"address": one.address, "at": one.at, "cause": one.cause.name.lower(), "words": one.words} for one in found]


@operation("queue.recall")
async def queue_recall(tools: Tools, id: str) -> dict[str, Any]:  # noqa: A002
    """Take back a message that waits; those to whom it is under way may get it."""
    queue_id = queue_number(id)
    now = tools.clock.now()
    await tools.store.note_queued(queue_id, Record(Stage.DROPPED, now, {"detail": "taken back before it was sent"}))
    recalled, under_way = await tools.store.queue_recall(queue_id)
    if not recalled and not under_way:
        raise NotFound(f"Nothing is queued as {id}")
    return {"recalled": recalled, "under_way": under_way}
