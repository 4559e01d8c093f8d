"""Operations about IMAP: which capabilities an account is told of."""

from __future__ import annotations

import difflib
from typing import Any

from ..model.errors import Refusal
from ..servers.imap.capability import FIXED, SETTING, known_words
from .tools import Tools, operation


@operation("account.hide")
async def account_hide(
    tools: Tools,
    address: str,
    capabilities: list[str] | None = None,
    offer: list[str] | None = None,
    default: bool = False,
) -> dict[str, Any]:
    """Hide *capabilities* from the account, show it those of *offer* though others do not see them; what holds then.

    *default*: drop what was set for it before.
    """
    account = await tools.directory.find_account(address)
    before = {} if default else await tools.store.account_setting(account.id, SETTING) or {}
    hidden, offered = set(before.get("hide", ())), set(before.get("offer", ()))
    for word in map(_known, capabilities or ()):
        hidden.add(word)
        offered.discard(word)
    for word in map(_known, offer or ()):
        offered.add(word)
        hidden.discard(word)
    if capabilities or offer or default:
        value = {"hide": sorted(hidden), "offer": sorted(offered)} if hidden or offered else None
        await tools.store.set_account_setting(account.id, SETTING, value)
    return {"address": account.name, "hidden": sorted(hidden), "offered": sorted(offered)}


def _known(word: str) -> str:
    """In capitals. Raises Refusal for one that there is not, with the nearest that there is."""
    name, known = word.upper(), known_words()
    if name in FIXED:
        raise Refusal(f"{name} cannot be hidden", status="5.5.4")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise Refusal(f"{word} is no capability{f'; is it {near[0]}?' if near else ''}", status="5.5.4")
    return name
