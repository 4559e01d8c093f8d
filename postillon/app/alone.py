"""An administrator's operation on the data itself, when no server runs. The caller holds the data directory's lock."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ..admin.operations import perform
from ..admin.tools import Tools
from ..config import Config
from ..relay.probe import Prober
from ..supervisor.privileges import become
from .data import Layout, opened
from .prepare import make_schema
from .relaying import make_transport
from .reports import make_heard
from .resolver import make_resolver
from .sending import make_allowance


async def alone(config: Config, operation: str, arguments: dict[str, Any]) -> Any:
    """Perform *operation*, as the owner of the data: files that root made would lock the server out. Raises Refusal."""
    owner = os.stat(config.data)
    if os.geteuid() == 0 and owner.st_uid != 0:
        become(owner.st_uid, owner.st_gid)
    await make_schema(Layout(Path(config.data)))
    now = int(time.time())
    async with opened(config, instance=now, checkpoints=False) as data:
        allowance = make_allowance(config, data)

        def prober() -> Prober:
            return make_transport(config, data, make_resolver(config)).prober()

        resolver = make_resolver(config)
        heard = make_heard(data, resolver)
        tools = Tools(
            data.directory,
            data.store,
            data.bus,
            data.clock,
            config.data,
            now,
            list,
            allowance,
            data.bans,
            prober,
            resolver,
            heard,
        )
        return await perform(tools, operation, arguments)
