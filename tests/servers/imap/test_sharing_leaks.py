"""Whoever may not see a mailbox cannot tell it from one that is not there, whatever he asks (RFC 4314 §6)."""

from __future__ import annotations

import pytest

from postillon.model.access import parse_rights
from postillon.model.account import SERVER

from .house import SIMPLE, Client, House

HIDDEN = "Other Users/alice@example.test/Secret"
NOT_THERE = (
    "Other Users/alice@example.test/Absent",
    "Other Users/nobody@example.test/Secret",
    "Other Users/alice@example.org/Secret",
)
COMMANDS = (
    'SELECT "<>"',
    'EXAMINE "<>"',
    'SELECT "<>" (QRESYNC (1 1))',
    'STATUS "<>" (MESSAGES UIDNEXT HIGHESTMODSEQ)',
    'CREATE "<>"',
    'CREATE "<>/below"',
    'DELETE "<>"',
    'RENAME "<>" mine',
    'RENAME "<>" "<>2"',
    'RENAME Archive "<>"',
    'RENAME "Other Users/alice@example.test/Open" "<>"',
    'APPEND "<>" {5}',
    'COPY 1 "<>"',
    'MOVE 1 "<>"',
    'REPLACE 1 "<>" {5}',
    'SETACL "<>" bob@example.test lr',
    'SETACL "<>" nobody@example.test lr',
    'DELETEACL "<>" bob@example.test',
    'GETACL "<>"',
    'LISTRIGHTS "<>" bob@example.test',
    'MYRIGHTS "<>"',
    'GETQUOTAROOT "<>"',
    'GETQUOTA "<>"',
    'GETMETADATA "<>" /shared/comment',
    'SETMETADATA "<>" (/private/comment "x")',
    'LIST "" "<>*" RETURN (MYRIGHTS STATUS (MESSAGES))',
    'ESEARCH IN (mailboxes "<>") ALL',
    'ESEARCH IN (subtree "<>") ALL',
    'NOTIFY SET STATUS (mailboxes "<>" (MessageNew MessageExpunge))',
    'RESETKEY "<>" INTERNAL',
    'GENURLAUTH "imap://bob@127.0.0.1/<>/;UID=1;URLAUTH=anonymous" INTERNAL',
    'SUBSCRIBE "<>"',
    'LIST (SUBSCRIBED) "" "<>"',
    'LSUB "" "<>"',
    'UNSUBSCRIBE "<>"',
)


@pytest.mark.parametrize("rights", ["", "sw", "pte"])
async def test_a_hidden_mailbox_answers_like_one_that_is_not_there(rights: str, house: House):
    """Rights that do not let one know of it change nothing: they only count where one may."""
    alice = house.alice.id
    for name, given in (("Secret", rights), ("Open", "lrswitex")):
        box = await house.store.create_mailbox(SERVER, alice, (name,))
        await house.store.set_acl(SERVER, alice, box.id, "bob@example.test", "replace", parse_rights(given))
    await house.store.set_acl(SERVER, alice, box.id, "-bob@example.test", "add", parse_rights("k"))
    await house.put(SIMPLE, mailbox="Secret")
    await house.put(SIMPLE, mailbox="Open")
    client = await house.client(name="bob")
    await client.ok("ENABLE QRESYNC")
    for command in COMMANDS:
        answers = [await answer(client, command, name) for name in (HIDDEN, *NOT_THERE)]
        assert answers[0] == answers[1], command
        # What is alice's cannot become another's: that tells of no mailbox, and of no account.
        assert answers[2] == answers[3] and (answers[0] == answers[2] or "alice" in command), command
        assert not answers[0][-1].startswith((b"BAD", b"NO [SERVERBUG]")), (command, answers[0])


async def answer(client: Client, command: str, name: str) -> list[bytes]:
    """What is said, with *name* called NAME."""
    await client.ok('SELECT "Other Users/alice@example.test/Open"')
    owner = name.split("/")[1]
    heard = await client.command(command.replace("<>", name.replace(" ", "%20") if "URLAUTH" in command else name), b"hello")
    await client.command("NOTIFY NONE")
    return [
        one.replace(name.encode(), b"NAME").replace(name.replace(" ", "%20").encode(), b"NAME").replace(owner.encode(), b"OWNER")
        for one in heard
    ]
