"""Commands of the extensions, mangled: each gets an answer, none a SERVERBUG, and the session goes on."""

from __future__ import annotations

import random

import pytest

from .house import SIMPLE, Client, House

COMMANDS = (
    b"NOTIFY SET STATUS (selected (MessageNew (UID PREVIEW) MessageExpunge)) (subtree (INBOX Archive) (MailboxName))",
    b"NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxMetadataChange ServerMetadataChange))",
    b"NOTIFY NONE",
    b'SETMETADATA INBOX (/private/comment "x" /shared/vendor/a/b NIL)',
    b"GETMETADATA (MAXSIZE 10 DEPTH infinity) INBOX (/private /shared/comment)",
    b'GETMETADATA "" /private/comment',
    b'LIST (SUBSCRIBED RECURSIVEMATCH) "" ("*" "%") RETURN (STATUS (MESSAGES DELETED-STORAGE) METADATA (/shared/comment))',
    b"GETQUOTAROOT INBOX",
    b'SETQUOTA "" (STORAGE 512)',
    b"SETACL Archive bob@example.test +lrswitekxa",
    b"SETACL Archive -anyone cd",
    b"DELETEACL Archive anyone",
    b"GETACL Archive",
    b"LISTRIGHTS Archive bob@example.test",
    b'MYRIGHTS "Other Users/bob@example.test/INBOX"',
    b'SELECT "Other Users/bob@example.test/INBOX"',
    b'LIST "Other Users/" "%" RETURN (MYRIGHTS)',
    b"UIDBATCHES 500 1:2",
    b'LANGUAGE "de" "en"',
    b"ENABLE UTF8=ACCEPT QRESYNC",
    b"STATUS INBOX (MESSAGES SIZE DELETED DELETED-STORAGE HIGHESTMODSEQ MAILBOXID APPENDLIMIT)",
    b"FETCH 1:* (UID PREVIEW (LAZY) FLAGS)",
    b"UID FETCH 1:* (PREVIEW BODY.PEEK[1]<0.10>) (CHANGEDSINCE 1 VANISHED)",
    b"REPLACE 1 INBOX (\\Seen) {14+}\r\nSubject: x\r\n\r\n\r\n",
    b"UID REPLACE 2 Archive {14+}\r\nSubject: x\r\n\r\n\r\n",
    b"SELECT INBOX (QRESYNC (1800000000 1 1:5 (1:2 1:2)))",
    b"COMPRESS LZW",
    b"ESEARCH IN (selected subtree-one (INBOX Archive) mailboxes Drafts) RETURN (ALL COUNT UPDATE) OR SUBJECT x UIDAFTER 2",
    b"ESEARCH RETURN (SAVE PARTIAL -1:-2) UIDBEFORE 3 YOUNGER 5",
    b'APPEND Archive (\\Seen) CATENATE (URL "/INBOX;UIDVALIDITY=1/;UID=1/;SECTION=1.HEADER/;PARTIAL=0.5" URL ";UID=2")',
    b'APPEND Archive CATENATE (URL "/INBOX/;UID=1") CATENATE (URL "/INBOX/;UID=2/;SECTION=TEXT")',
    b'GENURLAUTH "imap://alice%40example.test@localhost/INBOX/;uid=1;expire=2030-01-01T00:00:00Z;urlauth=user+bob" INTERNAL',
    b'URLFETCH ("imap://alice%40example.test@localhost/INBOX/;uid=1;urlauth=anonymous:internal:00" BODYPARTSTRUCTURE BINARY)',
    b"RESETKEY INBOX INTERNAL",
    b"UID SEARCH RETURN (UPDATE CONTEXT ALL) UNSEEN NOT UID 2:*",
    b"SORT RETURN (UPDATE PARTIAL 1:2) (REVERSE SUBJECT) UTF-8 ALL",
    b'CANCELUPDATE "f1" "f2"',
    b"UNSELECT",
    b"SELECT INBOX",
)


def mangled(rng: random.Random, command: bytes) -> bytes:
    """*command* with a few octets or words changed; literals and line ends are left alone."""
    if b"\r\n" in command or rng.random() < 0.3:
        return command
    text = bytearray(command)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text))
        act = rng.randrange(4)
        if act == 0:
            del text[at : at + rng.randint(1, 5)]
        elif act == 1:
            text[at:at] = rng.choice((b"(", b")", b'"', b" ", b"*", b"\\", b"0", b"4294967296", b"\xff", b"NIL", b"\x00"))
        elif act == 2:
            text[at] = rng.randrange(32, 127)
        else:
            word = rng.choice(COMMANDS).split(b"\r")[0].split(b" ")
            text[at:at] = b" " + rng.choice(word)
        if not text:
            return b"NOOP"
    # A broken announcement of a literal would swallow what follows.
    return bytes(text).replace(b"{", b"(").replace(b"}", b")").replace(b"\n", b" ").replace(b"\r", b" ")


@pytest.mark.parametrize("seed", range(4))
async def test_mangled_commands_are_answered_and_the_session_goes_on(seed: int, house: House):
    rng = random.Random(seed)
    await house.put(*[SIMPLE] * 3)
    client = await house.client(select="INBOX")
    for number in range(250):
        command = mangled(rng, rng.choice(COMMANDS))
        client.send(b"f%d " % number + command + b"\r\n")
        client.send(b"g%d NOOP\r\n" % number)
        answers = await heard_until(client, b"g%d " % number)
        assert answers[-1].startswith(b"g%d OK" % number), (command, answers)
        assert not any(b"SERVERBUG" in answer for answer in answers), (command, answers)
        assert any(answer.startswith((b"f%d " % number, b"* BAD")) for answer in answers), (command, answers)
    await client.ok("SELECT INBOX")


async def heard_until(client: Client, tag: bytes) -> list[bytes]:
    answers: list[bytes] = []
    while not answers or not (answers[-1].startswith(tag) or not answers[-1]):
        answers.append(await client.response())
    return answers
