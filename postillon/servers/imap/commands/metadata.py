"""GETMETADATA and SETMETADATA (RFC 5464), of mailboxes and, with an empty name, of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.errors import LimitReached, TooLarge
from ....model.ids import AccountId, MailboxId
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import GetMetadata, SetMetadata
from ....protocols.imap.extension_responses import metadata as metadata_line
from ....protocols.imap.response_codes import metadata_long_entries, metadata_max_size
from ....storage.store.metadata import MAX_VALUE, WHOLE_ACCOUNT
from ..answers import BadCommand, No
from .mailboxes import find

if TYPE_CHECKING:
    from ..session import Session

Values = list[tuple[str, bytes | None]]


def check_names(names: tuple[str, ...]) -> None:
    """RFC 5464 §3.2: every entry is private or shared. Raises BadCommand."""
    if not all(name.startswith(("/private/", "/shared/")) for name in names):
        raise BadCommand("Entries begin with /private/ or /shared/")


async def getmetadata(session: Session, command: Command, request: GetMetadata) -> bytes | None:
    if request.depth == "0":
        check_names(request.entries)
    account, mailbox, name = await _where(session, request.mailbox)
    found = await session.store.metadata(session.principal, account, mailbox)
    values = _asked(found, request)
    longest = 0
    if request.max_size is not None:
        limit = request.max_size
        sizes = [len(value) for _, value in values if value is not None]
        longest = max((size for size in sizes if size > limit), default=0)
        values = [(entry, value) for entry, value in values if value is None or len(value) <= limit]
    if values:
        session.dialogue.write(metadata_line(name, values, session.utf8))
    return b"[%b] Some are longer" % metadata_long_entries(longest) if longest else None


async def _where(session: Session, name: str) -> tuple[AccountId, MailboxId, str]:
    """(whose, id, our spelling)."""
    if not name:
        return session.owner.id, WHOLE_ACCOUNT, ""
    mailbox = await find(session, name)
    return mailbox.account, mailbox.id, "/".join(mailbox.path)


def _asked(found: dict[str, bytes], request: GetMetadata) -> Values:
    """RFC 5464 §4.2.2: with a depth also what lies below, only as far as there are values."""
    if request.depth == "0":
        return [(entry, found.get(entry)) for entry in request.entries]
    values: dict[str, bytes] = {}
    for entry in request.entries:
        for name in sorted(found):
            below = name.removeprefix(entry + "/")
            if name == entry or (below != name and (request.depth == "infinity" or "/" not in below)):
                values[name] = found[name]
    return list(values.items())


async def setmetadata(session: Session, command: Command, request: SetMetadata) -> bytes | None:
    check_names(tuple(entry for entry, _ in request.values))
    account, mailbox, _ = await _where(session, request.mailbox)
    if mailbox == WHOLE_ACCOUNT and any(entry.startswith("/shared/") for entry, _ in request.values):
        # RFC 5464 §6.2.1: what all users of the server share is the administrator's.
        raise No("Shared annotations of the server cannot be set", b"NOPERM")
    try:
        await session.store.set_metadata(session.principal, account, mailbox, request.values)
    except TooLarge:
        raise No("An annotation is too large", metadata_max_size(MAX_VALUE)) from None
    except LimitReached:
        raise No("Too many annotations", b"METADATA TOOMANY") from None
    return None
