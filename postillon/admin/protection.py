"""The administrator's operations of protection: who is banned. They register themselves."""

from __future__ import annotations

import time
from typing import Any

from ..storage.store.bans import FOREVER, Ban
from .tools import Tools, operation

BY_HAND = "by the administrator"


def _at(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _row(ban: Ban) -> dict[str, Any]:
    return {
        "network": ban.network,
        "since": _at(ban.since),
        "ends": None if ban.ends >= FOREVER else _at(ban.ends),
        "bans_before": ban.level,
        "reason": ban.reason,
    }


@operation("ban.list")
async def ban_list(tools: Tools) -> list[dict[str, Any]]:
    return [_row(ban) for ban in await tools.bans.active()]


@operation("ban.add")
async def ban_add(tools: Tools, network: str, seconds: int | None = None, reason: str = "") -> dict[str, Any]:
    """For ever without *seconds*."""
    return _row(await tools.bans.add(network, seconds, reason or BY_HAND))


@operation("ban.remove")
async def ban_remove(tools: Tools, network: str) -> dict[str, Any]:
    return _row(await tools.bans.remove(network))
