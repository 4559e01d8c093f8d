"""Operations about what accounts send: limits, holding, releasing."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from ..model.errors import Refusal
from ..model.sending import SendingLimits
from .tools import Tools, operation

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
