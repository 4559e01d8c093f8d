"""Operations about mailboxes that others may use (RFC 4314)."""

from __future__ import annotations

from typing import Any, Literal

from ..model.access import ALL, letters, parse_rights
from ..model.account import SERVER
from ..model.errors import NotFound, Refusal
from ..model.mail import Mailbox
from .tools import Tools, operation

_OPERATIONS: dict[str, Literal["add", "remove"]] = {"+": "add", "-": "remove"}


async def _find(tools: Tools, account: str, mailbox: str) -> Mailbox:
    owner = await tools.directory.find_account(account)
    try:
        return await tools.store.find_mailbox(SERVER, owner.id, tuple(mailbox.split("/")))
    except NotFound as error:
        raise NotFound(f"{account} has no mailbox {mailbox}") from error


async def _list(tools: Tools, box: Mailbox) -> list[dict[str, Any]]:
    name = "/".join(box.path)
    entries = await tools.store.acl(SERVER, box.account, box.id)
    return [{"mailbox": name, "identifier": identifier, "rights": letters(rights)} for identifier, rights in entries]


@operation("acl.list")
async def acl_list(tools: Tools, account: str, mailbox: str = "") -> list[dict[str, Any]]:
    """Of one mailbox, the owner first; or of all mailboxes of the account that are shared, without the owner."""
    if mailbox:
        return await _list(tools, await _find(tools, account, mailbox))
    owner = await tools.directory.find_account(account)
    boxes = await tools.store.mailboxes(SERVER, owner.id)
    return [row for box in boxes for row in (await _list(tools, box))[1:]]


@operation("acl.set")
async def acl_set(tools: Tools, account: str, mailbox: str, identifier: str, rights: str) -> list[dict[str, Any]]:
    """*rights* `lrs`, or `+s`, `-s` to change what there is; what holds then."""
    box = await _find(tools, account, mailbox)
    how: Literal["add", "remove", "replace"] = _OPERATIONS.get(rights[:1], "replace")
    try:
        wanted = parse_rights(rights if how == "replace" else rights[1:])
    except ValueError as error:
        raise Refusal(f"{error}: they are {letters(ALL)}", status="5.5.4") from error
    await tools.store.set_acl(SERVER, box.account, box.id, identifier, how, wanted)
    return await _list(tools, box)


@operation("acl.remove")
async def acl_remove(tools: Tools, account: str, mailbox: str, identifier: str) -> list[dict[str, Any]]:
    box = await _find(tools, account, mailbox)
    await tools.store.set_acl(SERVER, box.account, box.id, identifier, "remove", ALL)
    return await _list(tools, box)
