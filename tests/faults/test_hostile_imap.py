"""What an IMAP port says to nonsense, before login and after, and what nonsense costs."""

from __future__ import annotations

import base64
import contextlib
import random
import re
import time
import zlib

import pytest

from .canary import MEBIBYTE, Canary, bounded
from .conftest import ALICE, BOB
from .server import Server
from .wire import Closed, Imap, Smtp

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

HUGE = 2_147_483_647
BROKEN = [
    b"\r\n",
    b"\0\r\n",
    b"a NOOP\n",
    b"a NO\0OP\r\n",
    b"a\r\n",
    b"* NOOP\r\n",
    b"+ NOOP\r\n",
    b"a " + b"X" * 300 + b"\r\n",
    b"a NOOP extra\r\n",
    b"\xff\xfe a NOOP\r\n",
    b"t" * 300 + b" NOOP\r\n",
    b"a LOGIN\r\n",
    b'a LOGIN "unclosed\r\n',
    b'a LOGIN "a\\x" b\r\n',
    b"a LOGIN {-1}\r\n",
    b"a LOGIN {99999999999999999999}\r\n",
    b"a LOGIN {18446744073709551616}\r\n",
    b"a LOGIN {3\r\n",
    b"a LOGIN {}\r\n",
    b"a UID\r\n",
    b"a UID UID NOOP\r\n",
    b"a SELECT &Jjo!\r\n",
    b"a FETCH 0 FLAGS\r\n",
    b"a FETCH 4294967296 FLAGS\r\n",
    b"a FETCH 1 BODY[" + b"1." * 500 + b"\r\n",
    b"a SEARCH " + b"NOT " * 2000 + b"\r\n",
    b"a SEARCH " + b"(" * 3000 + b"ALL" + b")" * 3000 + b"\r\n",
    b"a SEARCH " + b"OR " * 1500 + b"ALL\r\n",
    b"a STORE 1 FLAGS " + b"(" * 4000 + b"\r\n",
    b"a LIST (" + b"(" * 4000 + b'"" *\r\n',
    b"a FETCH 1 " + b"(" * 4000 + b"\r\n",
    b"a STATUS INBOX (" + b"MESSAGES " * 400 + b"X)\r\n",
]


def is_error(answer: bytes) -> bool:
    return re.match(rb"(?:[^ ]+|\*) (?:BAD|NO|BYE)\b", answer) is not None


@pytest.mark.parametrize("login", ["", ALICE], ids=["before login", "after login"])
def test_a_broken_command_is_an_error_and_the_next_one_counts(server: Server, login: str):
    with bounded(server, memory=16 * MEBIBYTE, seconds=60):
        for line in BROKEN:
            with Imap(server, login=login) as imap:
                imap.send(line)
                answer = imap.line()
                assert is_error(answer), (line[:80], answer)
                if not line.endswith(b"\r\n"):
                    imap.send(b"\r\n")  # a line ends with both, the rest of a broken one is read over
                if not answer.startswith(b"* BYE"):
                    assert imap.ask("NOOP")[0].startswith(b"OK"), line[:80]


def test_deep_parentheses_after_login_are_an_error(server: Server):
    with Canary(server), Imap(server, login=ALICE) as imap:
        imap.ask("SELECT INBOX")
        for command in (
            b"SEARCH " + b"(" * 30_000 + b"ALL" + b")" * 30_000,
            b"SEARCH " + b"NOT " * 15_000 + b"ALL",
            b"SEARCH " + b"OR " * 9_000 + b"ALL " * 9_001,
            b"FETCH 1 (" + b"FLAGS " * 10_000 + b")",
            b"UID STORE 1 +FLAGS (" + b" ".join(b"k%d" % number for number in range(9_000)) + b")",
            b"FETCH " + b",".join(b"%d" % number for number in range(1, 12_000)) + b" FLAGS",
        ):
            began = time.monotonic()
            done, _ = imap.ask(command)
            assert done.startswith((b"BAD", b"NO", b"OK")), done
            assert time.monotonic() - began < 5, command[:40]


def test_two_thousand_literals_of_2_gib_before_login_cost_nothing(server: Server):
    commands = (
        b"a LOGIN {%d}\r\n",
        b"a LOGIN {%d+}\r\n",
        b'a LOGIN "name" {%d}\r\n',
        b"a APPEND INBOX {%d}\r\n",
        b"a APPEND INBOX {%d+}\r\n",
        b"a AUTHENTICATE PLAIN {%d}\r\n",
        b"{%d}\r\n",
        b"a {%d}\r\n",
    )
    open_ones: list[Imap] = []
    try:
        with bounded(server, memory=20 * MEBIBYTE, seconds=60):
            for number in range(2000):
                imap = Imap(server, timeout_s=30)
                imap.send(commands[number % len(commands)] % HUGE)
                open_ones.append(imap)
            for imap in open_ones:
                answer = imap.line()
                assert is_error(answer), answer
        with bounded(server, memory=16 * MEBIBYTE, seconds=60):
            for imap in open_ones[::7]:  # whatever they send of it is not kept
                with contextlib.suppress(Closed):
                    imap.send(b"x" * 200_000)
    finally:
        for imap in open_ones:
            imap.close()


def test_what_does_not_log_in_may_not_send_much(server: Server):
    with bounded(server, memory=16 * MEBIBYTE, seconds=60):
        for begin in (b"a LOGIN {4096+}\r\n", b"a LOGIN {2000000000+}\r\n", b"a NOOP " + b"x" * 9000, b'a LOGIN "'):
            with Imap(server) as imap:
                sent = 0
                with pytest.raises((Closed, TimeoutError)):
                    imap.send(begin)
                    while sent < 200 * MEBIBYTE:
                        imap.send(b"y" * 65_536)
                        sent += 65_536
                    imap.rest()
                assert sent < 40 * MEBIBYTE, begin  # what is read over in closing, and what lies in the kernel's buffers


def test_a_command_of_100_mb_after_login_is_an_error_or_the_end(server: Server):
    with bounded(server, memory=24 * MEBIBYTE, seconds=60), Imap(server, login=ALICE, timeout_s=60) as imap:
        try:
            imap.send(b"big SEARCH TEXT ")
            for _ in range(100):
                imap.send(b"z" * MEBIBYTE)
            imap.send(b"\r\n")
            assert imap.line().startswith((b"big BAD", b"* BYE", b"* BAD"))
        except Closed:
            pass


def test_an_append_of_2_gib_is_refused_before_it_comes(server: Server):
    with bounded(server, memory=16 * MEBIBYTE, seconds=30), Imap(server, login=ALICE) as imap:
        for size in (HUGE, 101 * MEBIBYTE, 10**18):
            imap.send(b"a APPEND INBOX {%d}\r\n" % size)
            answer = imap.line()
            assert re.match(rb"a (NO \[(TOOBIG|OVERQUOTA|LIMIT)\]|BAD)", answer), answer
        assert imap.ask("NOOP")[0].startswith(b"OK")
        # Without leave, so that the octets come all the same: the end, or all of them read over.
        imap.send(b"a APPEND INBOX {%d+}\r\n" % HUGE)
        answer = imap.line()
        assert is_error(answer), answer


def test_an_append_that_breaks_off_leaves_nothing(server: Server):
    for size, sent in ((1000, 10), (1000, 1000), (300_000, 200_000), (300_000, 300_000)):
        with Imap(server, login=BOB) as imap:
            imap.send(b"a APPEND INBOX {%d}\r\n" % size)
            assert imap.line().startswith(b"+")
            imap.send((b"X: y\r\n\r\n" + b"z" * size)[:sent])
    deadline = time.monotonic() + 10
    while list((server.data / "spool").iterdir()):
        assert time.monotonic() < deadline, "a spool file is left over"
        time.sleep(0.05)
    with Imap(server, login=BOB) as imap:
        assert b"MESSAGES 0" in imap.ask("STATUS INBOX (MESSAGES)")[1][0]


def test_a_header_of_10_mb_is_taken_by_append_and_fetched_without_harm(server: Server):
    header = b"From: a@far.test\r\nSubject: long\r\n" + (b"X-Pad: " + b"p" * 900 + b"\r\n") * 11_000
    addresses = b"To: " + b",\r\n ".join(b"a%d@far.test" % number for number in range(100_000)) + b"\r\n"
    with bounded(server, memory=220 * MEBIBYTE, seconds=60), Imap(server, login=BOB, timeout_s=60) as imap:
        for octets in (header + b"\r\nbody\r\n", b"Subject: many\r\n" + addresses + b"\r\nbody\r\n"):
            done = imap.append("Drafts", octets)
            assert done.startswith((b"OK", b"NO")), done
        imap.ask("SELECT Drafts")
        done, _ = imap.ask("FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert done.startswith(b"OK"), done
        assert imap.ask("SEARCH HEADER X-Pad ppp")[0].startswith(b"OK")


def nested(depth: int) -> bytes:
    """Multiparts inside each other, each with a boundary of its own."""
    lines = [b"Subject: deep", b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=b0", b""]
    for level in range(depth):
        lines += [b"--b%d" % level, b"Content-Type: multipart/mixed; boundary=b%d" % (level + 1), b""]
    return b"\r\n".join(lines) + b"\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        nested(10_000),
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 200_000,
        b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
        b"Content-Type: multipart/mixed; boundary=" + b'"' * 5000 + b"\r\n\r\n",
        b"Content-Type: text/plain" + b"; a=b" * 50_000 + b"\r\n\r\nx\r\n",
        b"To: " + b"(" * 100_000 + b"\r\n\r\nx\r\n",
        b"To: " + b"<" * 100_000 + b"\r\n\r\nx\r\n",
        b"Subject: " + b"=?utf-8?q?" * 50_000 + b"\r\n\r\nx\r\n",
        b"References: " + b"<a@b> " * 100_000 + b"\r\n\r\nx\r\n",
        b"Date: " + b"9" * 100_000 + b"\r\n\r\nx\r\n",
        b"\r\n",
        b":\r\n:\r\n\r\n",
        b"\xff" * 5000,
    ],
    ids=["deep", "many parts", "messages in messages", "boundary", "parameters", "comments", "angles", "words", "references",
         "date", "empty", "colons", "binary"],
)  # fmt: skip
def test_a_message_made_to_hurt_is_stored_and_read_quickly(server: Server, octets: bytes):
    with bounded(server, memory=100 * MEBIBYTE, seconds=30), Imap(server, login=BOB, timeout_s=30) as imap:
        assert imap.append("Junk", octets).startswith(b"OK")
        imap.ask("SELECT Junk")
        done, _ = imap.ask("FETCH * (ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[1] BODY.PEEK[1.1.1.MIME] BODY.PEEK[TEXT]<0.10>)")
        assert done.startswith(b"OK"), done
        for search in ("TEXT needle", "SUBJECT x", "HEADER To y", "SENTSINCE 1-Jan-2000"):
            assert imap.ask(f"SEARCH {search}")[0].startswith(b"OK")
    if len(octets) < 500_000:
        with Smtp(server, timeout_s=30) as smtp:
            code, text = smtp.deliver("a@far.test", BOB, octets if octets.endswith(b"\r\n") else octets + b"\r\n")
            assert code in (250, 550, 552), (code, text)


def test_a_client_that_does_not_read_a_long_fetch_holds_little(server: Server):
    body = b"Subject: big\r\n\r\n" + (b"q" * 70 + b"\r\n") * 14_000  # a megabyte
    with Imap(server, login=ALICE) as imap:
        for _ in range(20):
            assert imap.append("Sent", body).startswith(b"OK")
    slow: list[Imap] = []
    with bounded(server, memory=160 * MEBIBYTE, seconds=60):  # 8 GB are asked for; the indexer reads them meanwhile
        for _ in range(20):
            imap = Imap(server, login=ALICE)
            imap.ask("EXAMINE Sent")
            imap.send(b"f FETCH 1:* (BODY.PEEK[])\r\n" * 20)  # 400 MB each
            slow.append(imap)
        time.sleep(2)
        for imap in slow[1:]:
            imap.sock.settimeout(5)
            imap.octets(1000)
    # They are not cut for it: one of them gets its whole answer.
    done, told = slow[0].answer(b"f")
    assert done.startswith(b"OK") and len(told) == 20
    for imap in slow:
        imap.close()


def test_a_large_part_is_decoded_piece_by_piece(server: Server):
    plain = random.Random(1).randbytes(12 * MEBIBYTE)
    encoded = base64.encodebytes(plain).replace(b"\n", b"\r\n")
    header = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    with Imap(server, login=ALICE, timeout_s=60) as imap:
        assert imap.append("Drafts", header + encoded).startswith(b"OK")
        imap.ask("EXAMINE Drafts")
        _, told = imap.ask("FETCH * (BINARY.SIZE[1] BINARY.PEEK[1]<5000000.3000000> BINARY.PEEK[1]<12582910.9> UID)")
        size, part, end = re.match(
            rb"\* \d+ FETCH \(BINARY.SIZE\[1\] (\d+) BINARY\[1\]<5000000> ~\{3000000\}\r\n(.{3000000})"
            rb" BINARY\[1\]<12582910> ~\{2\}\r\n(..) UID",
            told[0],
            re.DOTALL,
        ).groups()  # type: ignore[union-attr]
        assert (int(size), part, end) == (len(plain), plain[5_000_000:8_000_000], plain[-2:])
    slow: list[Imap] = []
    with bounded(server, memory=8 * 3 * MEBIBYTE, seconds=60):
        for _ in range(8):
            slow.append(Imap(server, login=ALICE, timeout_s=60))
            slow[-1].ask("EXAMINE Drafts")
            slow[-1].send(b"f FETCH * (BINARY.PEEK[1])\r\n")
        time.sleep(1)
    done, told = slow[0].answer(b"f")
    assert done.startswith(b"OK") and plain in told[0]
    for imap in slow:
        imap.close()


def test_a_gibibyte_of_zeros_deflated_is_not_unpacked_into_memory(server: Server):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
    with bounded(server, memory=24 * MEBIBYTE, seconds=60):
        for begin in (b"a SEARCH TEXT ", b"a APPEND INBOX {1000000000+}\r\n", b""):
            with Imap(server, login=ALICE, timeout_s=60) as imap:
                assert imap.ask("COMPRESS DEFLATE")[0].startswith(b"OK")
                first = zlib.compressobj(9, zlib.DEFLATED, -15)
                with contextlib.suppress(Closed):
                    imap.send(first.compress(begin) + first.flush(zlib.Z_SYNC_FLUSH) + packed)
                    imap.rest()


def test_many_and_deep_and_endless_things_after_login_are_bounded(server: Server):
    with Canary(server), Imap(server, login=ALICE, timeout_s=60) as imap:
        imap.ask("SELECT Drafts")
        for command in (
            "CREATE " + "/".join("a" * 30_000),
            "CREATE " + "b" * 60_000,
            'LIST "" "' + "*a" * 20 + '*b"',
            'LIST "" "' + "%a" * 3000 + '*b"',
            "SEARCH " + "TEXT zzz " * 3000,
            "FETCH 1:* (" + " ".join(f"BODY.PEEK[HEADER.FIELDS (X{number})]" for number in range(1500)) + ")",
            "FETCH " + ",".join(["1:*"] * 12_000) + " FLAGS",
            "UID FETCH 1:4294967295 FLAGS",
            "STORE 1:* +FLAGS (" + " ".join(f"$k{number}" for number in range(3000)) + ")",
        ):
            began = time.monotonic()
            done, _ = imap.ask(command)
            assert done.startswith((b"OK", b"NO", b"BAD")), done
            assert time.monotonic() - began < 20, command[:60]


def test_broken_sasl_exchanges_end_in_an_error_each(server: Server):
    def b64(data: bytes) -> bytes:
        return base64.b64encode(data)

    for exchange in (
        [b"PLAIN !!!!"],
        [b"PLAIN A"],
        [b"PLAIN " + b64(b"no nuls")],
        [b"PLAIN " + b64(b"\0" * 60)],
        [b"PLAIN", b"*"],
        [b"PLAIN", b"\0\xff"],
        [b"PLAIN", b"A" * 13_000],
        [b"LOGIN", b"*"],
        [b"LOGIN", b64(b"x"), b"=="],
        [b"SCRAM-SHA-256 " + b64(b"n,,n=,r=")],
        [b"SCRAM-SHA-256", b64(b"n,,n=x,r=abc"), b"*"],
        [b"SCRAM-SHA-256", b64(b"n,,n=x,r=abc"), b64(b"c=biws,r=other,p=AAAA")],
        [b"NONSENSE"],
        [b"PLAIN A B C"],
    ):
        with Imap(server) as imap:
            imap.send(b"a AUTHENTICATE " + exchange[0] + b"\r\n")
            answer = imap.line()
            for line in exchange[1:]:
                assert answer.startswith(b"+"), (exchange, answer)
                imap.send(line + b"\r\n")
                answer = imap.line()
            assert is_error(answer), (exchange, answer)
            assert imap.ask("NOOP")[0].startswith(b"OK")
            assert imap.ask("SELECT INBOX")[0].startswith((b"BAD", b"NO"))


def test_twenty_broken_commands_before_login_are_enough(server: Server):
    with Imap(server) as imap:
        imap.send(b"a NONSENSE\r\n" * 1000)
        told = imap.rest()
    assert told.count(b"BAD") <= 20 and b"* BYE" in told


def test_idle_that_never_ends_properly_hurts_nobody(server: Server):
    with Canary(server):
        for words in (b"DONE", b"DONT\r\n", b"x NOOP\r\n", b"\0\r\n", b"D" * 100_000, b"\r\n" * 10_000):
            with Imap(server, login=ALICE) as imap:
                imap.send(b"i IDLE\r\n")
                assert imap.line().startswith(b"+")
                imap.send(words)
                time.sleep(0.05)
