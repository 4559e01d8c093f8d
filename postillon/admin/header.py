"""The header of a message that waits or is held, for the administrator's eye."""

from __future__ import annotations

from ..message.header import header_end
from ..model.printable import printable
from ..storage.store import Rope, Store

MAX_HEADER = 64 * 1024


async def header(store: Store, rope: Rope) -> str:
    """The header section as text: what is not UTF-8 or a control character is shown as `\\x..`."""
    data = await store.read_octets(rope, 0, min(rope.size, MAX_HEADER))
    text = data[: header_end(data, 0, len(data))].decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return printable(text, keep="\n\t")
