"""ACL (RFC 4314) and QUOTA (RFC 9208)."""

from __future__ import annotations

import re
from typing import Literal

from ..extension_commands import DeleteAcl, GetAcl, GetQuota, GetQuotaRoot, ListRights, MyRights, SetAcl, SetQuota
from .reader import MAX_63, Bad, Reader

_RIGHTS = re.compile(rb"([+-]?)([a-z0-9]*)")
_OPERATIONS: dict[bytes, Literal["add", "remove", "replace"]] = {b"+": "add", b"-": "remove", b"": "replace"}


def setacl(reader: Reader) -> SetAcl:
    mailbox, identifier = _whose(reader)
    reader.space()
    # RFC 4314 §2.1: capital letters are not rights.
    found = _RIGHTS.fullmatch(reader.astring("rights"))
    if found is None:
        raise Bad("rights are small letters and digits")
    return SetAcl(mailbox, identifier, _OPERATIONS[found[1]], "".join(dict.fromkeys(found[2].decode("ascii"))))


def deleteacl(reader: Reader) -> DeleteAcl:
    return DeleteAcl(*_whose(reader))


def listrights(reader: Reader) -> ListRights:
    return ListRights(*_whose(reader))


def _whose(reader: Reader) -> tuple[str, str]:
    mailbox = _mailbox(reader)
    reader.space()
    return mailbox, reader.text(reader.astring("identifier"))


def _mailbox(reader: Reader) -> str:
    reader.space()
    return reader.mailbox()


def getquota(reader: Reader) -> GetQuota:
    reader.space()
    return GetQuota(reader.text(reader.astring("quota root")))


def setquota(reader: Reader) -> SetQuota:
    reader.space()
    root = reader.text(reader.astring("quota root"))
    reader.expect(b" (")
    limits: dict[str, int] = {}
    while not reader.skip(b")"):
        if limits:
            reader.space()
        resource = reader.word("quota resource").decode("ascii")
        reader.space()
        limits[resource] = reader.number("limit", 0, MAX_63)
    return SetQuota(root, tuple(limits.items()))


PARSERS = {
    b"SETACL": setacl,
    b"DELETEACL": deleteacl,
    b"LISTRIGHTS": listrights,
    b"GETACL": lambda reader: GetAcl(_mailbox(reader)),
    b"MYRIGHTS": lambda reader: MyRights(_mailbox(reader)),
    b"GETQUOTA": getquota,
    b"GETQUOTAROOT": lambda reader: GetQuotaRoot(_mailbox(reader)),
    b"SETQUOTA": setquota,
}
