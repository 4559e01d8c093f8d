"""New addresses that look like ones that are there: nobody could tell their mail apart (UTS #39)."""

from __future__ import annotations

from ..filters.shapes import skeleton
from ..model.address import Address, AddressError
from ..model.errors import AlreadyExists
from .tools import Tools


async def check_look(tools: Tools, address: str) -> None:
    """Raises AlreadyExists if *address* has letters beyond ASCII and looks like another one of its domain.

    ASCII alone is let through: `user1` and `userl` are both names that people have. What is no address is refused elsewhere.
    """
    try:
        wanted = Address.parse(address)
    except AddressError:
        return
    if wanted.is_ascii:
        return
    look = skeleton(wanted.local)
    names = [one.name for one in await tools.directory.accounts(wanted.domain)]
    names += [one.key for one in await tools.directory.aliases(wanted.domain)]
    for name in names:
        if name != wanted.key and skeleton(name.rpartition("@")[0]) == look:
            raise AlreadyExists(f"<{address}> looks like <{name}>, which is there: nobody could tell them apart")
