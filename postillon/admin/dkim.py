"""The administrator's operations on DKIM keys. They register themselves."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from ..app import dkim_rotation
from ..app.data import Layout
from ..app.dkim import DkimKey, DkimKeys, record_text
from ..model.errors import NotFound
from .tools import Tools, operation


def _key(key: DkimKey) -> dict[str, Any]:
    """A key with the record that publishes it."""
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state,
        "since": time.strftime("%Y-%m-%d", time.gmtime(key.since)) if key.since else "",
        "name": key.record_name,
        "value": record_text(key.path),
    }


def _dkim(tools: Tools) -> DkimKeys:
    return DkimKeys(Layout(Path(tools.data)).dkim)


def keys_of(tools: Tools, domain: str) -> list[DkimKey]:
    """All keys of *domain*. Raises Refusal."""
    return _dkim(tools).of(domain)


@operation("dkim.list")
async def dkim_list(tools: Tools) -> list[dict[str, Any]]:
    keys = _dkim(tools)
    return [_key(key) for domain in keys.domains() for key in keys.of(domain)]


@operation("dkim.records")
async def dkim_records(tools: Tools, domain: str) -> list[dict[str, Any]]:
    keys = _dkim(tools).of(domain)
    if not keys:
        await _check_local(tools, domain)
    return [_key(key) for key in keys]


@operation("dkim.add")
async def dkim_add(tools: Tools, domain: str) -> list[dict[str, Any]]:
    await _check_local(tools, domain)
    month = dkim_rotation.month(tools.clock.now())
    return [_key(key) for key in await asyncio.to_thread(_dkim(tools).add, domain, month)]


@operation("dkim.rotate")
async def dkim_rotate(tools: Tools, domain: str, force: bool = False) -> list[dict[str, Any]]:
    """New keys sign only if DNS has their records, unless *force*."""
    keys = await dkim_rotation.rotate(_dkim(tools), tools.resolver, domain, tools.clock.now(), force=force)
    return [_key(key) for key in keys]


@operation("dkim.retire")
async def dkim_retire(tools: Tools, selector: str, domain: str = "", force: bool = False) -> dict[str, Any]:
    """A week after a key was retired, unless *force*."""
    key = _dkim(tools).retire(selector, domain, 0 if force else tools.clock.now())
    return {"domain": key.domain, "selector": key.selector, "name": key.record_name}


async def _check_local(tools: Tools, domain: str) -> None:
    if not await tools.directory.is_local_domain(domain):
        raise NotFound(f"{domain} is no domain of this server; `postillon domain add` makes it one", status="5.1.2")
