"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). An account has one quota root, for its octets and its mailboxes: one's own is
named by the empty string, another's by the prefix of his mailboxes.

Quotas are the administrator's, so QUOTASET is not advertised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.access import Rights
from ....model.ids import AccountId
from ....model.mail import OTHER_USERS
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import GetQuota, GetQuotaRoot, SetQuota
from ....protocols.imap.extension_responses import quota, quota_root
from ....storage.store.mailboxes import MAX_MAILBOXES
from ..answers import No
from .mailboxes import find

if TYPE_CHECKING:
    from ..session import Session

ROOT = ""
UNIT = 1024
"""RFC 9208 §5.1: STORAGE counts these."""


async def getquota(session: Session, command: Command, request: GetQuota) -> bytes | None:
    await _tell(session, request.root, await _owner_of(session, request.root))
    return None


async def getquotaroot(session: Session, command: Command, request: GetQuotaRoot) -> bytes | None:
    mailbox = await find(session, request.mailbox)
    root = "/".join(mailbox.path[:2]) if mailbox.is_shared else ROOT
    session.dialogue.write(quota_root("/".join(mailbox.path), [root], session.utf8))
    await _tell(session, root, mailbox.account)
    return None


async def setquota(session: Session, command: Command, request: SetQuota) -> bytes | None:
    await _owner_of(session, request.root)
    raise No("Quotas are set by the administrator", b"NOPERM")


async def _owner_of(session: Session, root: str) -> AccountId:
    """Whose quota it is. That of another is told to who may read some of his mailboxes (RFC 9208 §4.1.3). Raises No."""
    if root == ROOT:
        return session.owner.id
    if root.startswith(OTHER_USERS + "/"):
        for box in await session.store.visible_mailboxes(session.principal, session.owner.id):
            if box.is_shared and "/".join(box.path[:2]) == root and box.rights & Rights.READ:
                return box.account
    raise No("There is no such quota root", b"NONEXISTENT")


async def _tell(session: Session, root: str, owner: AccountId) -> None:
    account = await session.server.directory.account(owner)
    resources = [("STORAGE", -(-account.used // UNIT), account.quota // UNIT)]
    if owner == session.owner.id:
        boxes = await session.store.mailboxes(session.principal, owner)
        resources.append(("MAILBOX", len(boxes), MAX_MAILBOXES))  # RFC 9208 §5.4
    session.dialogue.write(quota(root, resources))
