"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). An account has one quota root, named by the empty string, for its octets.

Quotas are the administrator's, so QUOTASET is not advertised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import GetQuota, GetQuotaRoot, SetQuota
from ....protocols.imap.extension_responses import quota, quota_root
from ..answers import No
from .mailboxes import find

if TYPE_CHECKING:
    from ..session import Session

ROOT = ""
UNIT = 1024
"""RFC 9208 §5.1: STORAGE counts these."""


async def getquota(session: Session, command: Command, request: GetQuota) -> bytes | None:
    _check(request.root)
    await _tell(session)
    return None


async def getquotaroot(session: Session, command: Command, request: GetQuotaRoot) -> bytes | None:
    mailbox = await find(session, request.mailbox)
    session.dialogue.write(quota_root("/".join(mailbox.path), [ROOT], session.utf8))
    await _tell(session)
    return None


async def setquota(session: Session, command: Command, request: SetQuota) -> bytes | None:
    _check(request.root)
    raise No("Quotas are set by the administrator", b"NOPERM")


def _check(root: str) -> None:
    if root != ROOT:
        raise No("There is no such quota root", b"NONEXISTENT")


async def _tell(session: Session) -> None:
    account = await session.server.directory.account(session.owner.id)
    session.dialogue.write(quota(ROOT, [("STORAGE", -(-account.used // UNIT), account.quota // UNIT)]))
