"""Random dialogues, right ones with a few octets wrong, against the running server: no bug may show, and nobody else notice."""

from __future__ import annotations

import base64
import os
import random
import socket
import threading
import time
from collections.abc import Callable

import pytest

from .canary import MEBIBYTE, bounded
from .conftest import ALICE, BOB
from .server import Server
from .wire import Imap, Smtp

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

SECONDS = float(os.environ.get("POSTILLON_FUZZ_S") or 20)
SEED = int(os.environ.get("POSTILLON_SEED") or 20260)
BUGS = (b" 4.3.0 ", b"SERVERBUG", b"Internal error")
Dialogue = list[bytes]
Chance = random.Random

PIECES = (
    *(bytes([octet]) for octet in b'\0\r\n()"\\{}*%<>@,:;= \t\x7f\x80\xff[]+&0'),
    b"\r\n", b"{5}", b"{5+}", b"{0}", b"~{3}", b"{4294967296}", b"\xc3\xa9", b"-1", b"4294967295", b"99999999999", b"NIL",
    b"&AOk-", b"=?utf-8?q?=C3=A9?=", b"..", b"\r\n.\r\n", b"A" * 300, b"A" * 3000,
)  # fmt: skip

MESSAGE = (
    b"From: Alice <alice@example.test>\r\nTo: bob@example.test, \"B, C\" <c@far.test>, group: d@e.test;\r\n"
    b"Subject: =?utf-8?q?f=C3=BCr?= you\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\nMessage-ID: <one@far.test>\r\n"
    b"References: <zero@far.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=C3=AFve\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n"
    b"--b\r\nContent-Type: image/png; name*0*=utf-8''a; name*1=b\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=\"x.png\"\r\n\r\nAAAA\r\n--b--\r\n"
)  # fmt: skip


def mutated(chance: Chance, octets: bytes, rate: float) -> bytes:
    """*octets* with some wrong in about *rate* of the cases."""
    while chance.random() < rate:
        at = chance.randrange(len(octets) + 1)
        till = min(len(octets), at + chance.choice((0, 0, 1, 1, 2, 10)))
        new = chance.choice((b"", chance.choice(PIECES), bytes([chance.randrange(256)]), octets[at:till] * 3))
        octets = octets[:at] + new + octets[till:]
    return octets


def plain(login: str, password: str) -> bytes:
    return base64.b64encode(f"\0{login}\0{password}".encode())


def smtp_dialogue(chance: Chance, server: Server, is_submission: bool) -> Dialogue:
    mail = (
        b"MAIL FROM:<a@far.test>",
        b"MAIL FROM:<> SIZE=100",
        b"MAIL FROM:<alice@example.test> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+3D",
    )
    rcpt = (
        b"RCPT TO:<bob@example.test>",
        b"RCPT TO:<alice+detail@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b",
        b"RCPT TO:<Postmaster>",
        b'RCPT TO:<"b ob"@example.test>',
        b"RCPT TO:<x@elsewhere.test>",
    )
    data = mutated(chance, MESSAGE, 0.5)
    content = (
        [b"DATA", data.replace(b"\r\n.", b"\r\n..") + b"\r\n."],
        [b"BDAT %d\r\n%b" % (len(data), data) + b"BDAT 0 LAST"],
        [b"BDAT %d LAST\r\n%b" % (len(data), data)],
        [b"BDAT 10\r\n" + data[:10], b"RSET"],
    )
    others = (
        b"NOOP",
        b"RSET",
        b"VRFY x",
        b"EXPN x",
        b"HELP",
        b"EHLO again.test",
        b"HELO again",
        b"STARTTLS",
        b"XYZZY",
        b"TURN",
        b"ETRN x",
    )
    lines = [b"EHLO client.test"]
    if is_submission and chance.random() < 0.8:
        lines += chance.choice(
            (
                [b"AUTH PLAIN " + plain(ALICE, server.accounts[ALICE])],
                [b"AUTH LOGIN", base64.b64encode(ALICE.encode()), base64.b64encode(server.accounts[ALICE].encode())],
                [
                    b"AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,n=alice@example.test,r=abcdef"),
                    base64.b64encode(b"c=biws,r=abcdef,p=AAAA"),
                ],
                [b"AUTH PLAIN", b"*"],
            )
        )
    for _ in range(chance.randint(1, 3)):
        lines += [chance.choice(mail), *chance.choices(rcpt, k=chance.randint(1, 4)), *chance.choice(content)]
        lines += chance.choices(others, k=chance.randint(0, 3))
    return [mutated(chance, line, 0.12) + b"\r\n" for line in [*lines, b"QUIT"]]


IMAP_COMMANDS = [
    line.replace(r"\r\n", "\r\n").encode()
    for line in r"""
CAPABILITY
NOOP
CHECK
CLOSE
UNSELECT
EXPUNGE
NAMESPACE
ID ("name" "fuzz" "x" NIL)
ENABLE CONDSTORE QRESYNC IMAP4rev2 UTF8=ACCEPT
SELECT INBOX
SELECT INBOX (CONDSTORE)
EXAMINE Archive
SELECT INBOX (QRESYNC (1 1 1:5 (1,2 1,2)))
SELECT "&AOk-"
STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE DELETED HIGHESTMODSEQ)
LIST "" *
LIST (SUBSCRIBED RECURSIVEMATCH) "" ("%" INBOX) RETURN (CHILDREN STATUS (MESSAGES) SPECIAL-USE)
LSUB "" "*"
CREATE fuzz/a/b
DELETE fuzz/a/b
RENAME fuzz/a fuzz/c
SUBSCRIBE fuzz
UNSUBSCRIBE fuzz
FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY)
FETCH 1 (BODY.PEEK[] BODY[TEXT]<2.5> BODY[1.MIME] BODY[2.HEADER.FIELDS (SUBJECT TO)] BODY[HEADER.FIELDS.NOT (X)])
FETCH * BINARY.PEEK[1]
FETCH 1:3 BINARY.SIZE[3]
UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
FETCH 1:* ALL
FETCH 1 (MODSEQ EMAILID THREADID SAVEDATE PREVIEW)
STORE 1:2 +FLAGS (\Seen $Fuzz)
STORE 1 -FLAGS.SILENT (\Deleted)
UID STORE 1:* (UNCHANGEDSINCE 5) FLAGS (\Flagged)
COPY 1 Archive
UID MOVE 1 Trash
UID EXPUNGE 1:*
MOVE 2 fuzz
SEARCH ALL
SEARCH RETURN (MIN MAX COUNT ALL SAVE) UNSEEN
SEARCH CHARSET UTF-8 OR (FROM a NOT TO "b") (SINCE 1-Jan-2020 LARGER 10)
UID SEARCH UID $ KEYWORD $Fuzz HEADER Subject x
SEARCH 1:* MODSEQ 5
SEARCH TEXT needle YOUNGER 100
SORT (REVERSE DATE SUBJECT) UTF-8 ALL
THREAD REFERENCES UTF-8 ALL
GETQUOTAROOT INBOX
GETMETADATA INBOX /private/comment
GETACL INBOX
UID SORT (SIZE) UTF-8 1:5
ESEARCH IN (mailboxes INBOX) ALL
REPLACE 1 INBOX {5+}\r\nhello
COMPRESS DEFLATE
STARTTLS
LOGOUT
XYZZY
AUTHENTICATE PLAIN
""".strip().split("\n")
]


def imap_dialogue(chance: Chance, server: Server) -> Dialogue:
    lines = []
    ways = [
        b"LOGIN bob@example.test " + server.accounts[BOB].encode(),
        b"AUTHENTICATE PLAIN " + plain(BOB, server.accounts[BOB]),
        b"LOGIN {15+}\r\nbob@example.test {%d+}\r\n%b" % (len(server.accounts[BOB]), server.accounts[BOB].encode()),
    ]
    if chance.random() < 0.9:
        lines.append(mutated(chance, chance.choice(ways), 0.05))
    if chance.random() < 0.7:
        lines.append(b"SELECT INBOX")
    for _ in range(chance.randint(2, 12)):
        kind = chance.random()
        if kind < 0.15:
            data = mutated(chance, MESSAGE, 0.5)
            lines.append(
                rb'APPEND INBOX (\Seen x) "02-Mar-2026 10:00:00 +0100" {%d+}' % len(data) + b"\r\n" + data
                if chance.random() < 0.7
                else b"APPEND Archive {%d}\r\n" % len(data) + data + b" {3+}\r\nabc"
            )
        elif kind < 0.2:
            lines.append(chance.choice((b"IDLE\r\nDONE", b"IDLE\r\nx NOOP", b"IDLE")))
        else:
            lines.append(mutated(chance, chance.choice(IMAP_COMMANDS), 0.35))
    return [mutated(chance, b"f%d " % number, 0.03) + line + b"\r\n" for number, line in enumerate(lines)]


POP3_COMMANDS = (
    b"CAPA, STAT, LIST, LIST 1, UIDL, UIDL 1, RETR 1, RETR 2, TOP 1 0, TOP 2 5, DELE 1, DELE 999, "
    b"RSET, NOOP, LANG, LANG *, UTF8, STLS, APOP a b, XYZZY, AUTH, USER x, PASS y"
).split(b", ")


def pop3_dialogue(chance: Chance, server: Server) -> Dialogue:
    lines = [b"CAPA"]
    if chance.random() < 0.9:
        lines += chance.choice(
            (
                [b"USER alice@example.test", b"PASS " + server.accounts[ALICE].encode()],
                [b"AUTH PLAIN " + plain(ALICE, server.accounts[ALICE])],
                [b"AUTH PLAIN", plain(ALICE, server.accounts[ALICE])],
                [b"AUTH LOGIN", b"*"],
            )
        )
    lines += chance.choices(POP3_COMMANDS, k=chance.randint(2, 15))
    return [mutated(chance, line, 0.25) + b"\r\n" for line in [*lines, b"QUIT"]]


class Fuzzer(threading.Thread):
    """Plays one dialogue after the other until *until*; keeps what must never be said."""

    def __init__(self, server: Server, service: str, seed: str, make: Callable[[Chance], Dialogue], until: float) -> None:
        super().__init__(daemon=True)
        self._server, self._service, self._make, self._until = server, service, make, until
        self._chance = random.Random(seed)
        self.played = self.octets = 0
        self.found: list[bytes] = []

    def run(self) -> None:
        while time.monotonic() < self._until:
            dialogue = self._make(self._chance)
            told = self._play(dialogue)
            self.played += 1
            self.octets += len(told)
            if any(words in told for words in BUGS):
                self.found.append(b"".join(dialogue)[-3000:] + b"\n--- said:\n" + told[-2000:])

    def _play(self, dialogue: Dialogue) -> bytes:
        """Send it, in one go or line by line with the answers between, in segments of chance; then read to the end."""
        chance, told = self._chance, b""
        together = chance.random() < 0.3
        try:
            with self._server.connect(self._service) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                told += self._answer(sock)
                for segment in [b"".join(dialogue)] if together else dialogue:
                    cut = chance.randrange(len(segment) + 1) if chance.random() < 0.2 else 0
                    for part in filter(None, (segment[:cut], segment[cut:])):
                        sock.sendall(part)
                    if not together:
                        told += self._answer(sock)
                if chance.random() < 0.9:
                    sock.shutdown(socket.SHUT_WR)
                    sock.settimeout(10)
                    while piece := sock.recv(65536):
                        told += piece
        except TimeoutError:
            self.found.append(b"no end of: " + b"".join(dialogue)[-3000:])
        except OSError:
            pass
        return told

    @staticmethod
    def _answer(sock: socket.socket) -> bytes:
        """What comes within a moment: up to the end of a line, and what follows at once."""
        told = b""
        sock.settimeout(0.03)
        try:
            while piece := sock.recv(65536):
                told += piece
                sock.settimeout(0.001 if told.endswith(b"\r\n") else 0.03)
        except TimeoutError:
            sock.settimeout(10)
        return told


def test_twenty_seconds_of_random_dialogues_show_no_bug(server: Server):
    for _ in range(3):
        with Smtp(server) as smtp:
            assert smtp.deliver("a@far.test", BOB, MESSAGE)[0] == 250
    makers: dict[str, Callable[[Chance], Dialogue]] = {
        "smtp": lambda chance: smtp_dialogue(chance, server, False),
        "submission": lambda chance: smtp_dialogue(chance, server, True),
        "imap": lambda chance: imap_dialogue(chance, server),
        "pop3": lambda chance: pop3_dialogue(chance, server),
    }
    print(f"POSTILLON_SEED={SEED}")
    # A long run leaves thousands of messages, and the caches of the database fill.
    with bounded(server, memory=(100 + int(SECONDS)) * MEBIBYTE, seconds=SECONDS + 40):
        until = time.monotonic() + SECONDS
        fuzzers = {
            f"{name} {number}": Fuzzer(server, name, f"{SEED} {name} {number}", make, until)
            for name, make in makers.items()
            for number in range(3)  # much of the time is waiting: a wrong password, say, is answered late
        }
        for fuzzer in fuzzers.values():
            fuzzer.start()
        for fuzzer in fuzzers.values():
            fuzzer.join(SECONDS + 30)
            assert not fuzzer.is_alive(), "a dialogue hangs"
    for name, fuzzer in fuzzers.items():
        assert not fuzzer.found, f"{name}: {fuzzer.found[0].decode('latin-1')}"
        assert fuzzer.played > SECONDS / 2, f"{name}: only {fuzzer.played} dialogues"
    print({name: (fuzzer.played, fuzzer.octets) for name, fuzzer in fuzzers.items()})
    with Imap(server, login=BOB) as imap:  # and the mail is as good as it was
        assert imap.ask("SELECT INBOX")[0].startswith(b"OK")
        assert imap.ask("FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE)")[0].startswith(b"OK")
    assert server.ask("check") == []
