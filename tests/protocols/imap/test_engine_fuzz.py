"""Whatever comes, in whatever pieces: no exception, bounded memory, the same events for the same octets."""

import random
import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postillon.protocols.imap.events import (
    AppendStart,
    AuthResponse,
    Command,
    Continue,
    IdleDone,
    LiteralChunk,
    LiteralEnd,
    LiteralStart,
    ProtocolError,
)
from postillon.protocols.imap.grammar.append import NAMES
from postillon.protocols.imap.grammar.table import PARSERS
from postillon.protocols.imap.limits import ImapLimits
from postillon.protocols.imap.server import ServerEngine

from .driver import events_of

EVENTS = (AppendStart, AuthResponse, Command, Continue, IdleDone, LiteralChunk, LiteralEnd, LiteralStart, ProtocolError)
SMALL = ImapLimits(
    early_command=200, early_literal=50, early_discard=500, command=400, discard=2000, append_lines=600, auth_line=300
)

DIALOGUE = (
    b"a1 LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n"
    b'a2 SELECT "INBOX" (CONDSTORE)\r\n'
    b"a3 UID FETCH 1:*,7 (FLAGS BODY.PEEK[HEADER.FIELDS (From {2+}\r\nTo)])\r\n"
    b"a4 FOO\r\n"
    b"a5 SELECT {100000+}\r\n" + b"x" * 100000 + b"\r\n"
    b'a6 APPEND Sent (\\Seen) " 7-Feb-1994 21:52:25 -0800" {12+}\r\nA: b\r\n\r\ncd\r\n ~{3+}\r\na\0b\r\n'
    b"a7 SEARCH CHARSET UTF-8 OR FROM {2+}\r\n\xc3\xa9 (SEEN)\r\n"
    b'a8 APPEND x CATENATE (URL "u" TEXT {2+}\r\nab URL v)\r\n'
    b"bare\nline feed\r\n"
    b"a9 APPEND y {3+}\r\nabc oops\r\n"
    b"b1 LOGOUT\r\n"
)

_WORDS = [
    *PARSERS,
    *NAMES,
    b"FLAGS",
    b"BODY[",
    b"]",
    b"<0.5>",
    b"1:*",
    b"$",
    b"RETURN (",
    b"CHARSET UTF-8",
    b"NOT",
    b"OR",
    b"(",
    b")",
]
_WORDS += [
    b"{3}",
    b"{3+}\r\n",
    b"~{2+}\r\n",
    b"{0}",
    b"{99999}",
    b"{60+}\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b'"',
    b"\\",
]
_WORDS += [
    b" ",
    b" ",
    b" ",
    b" ",
    b"a",
    b"b",
    b"1",
    b"*",
    b"%",
    b"&AOk-",
    b"&",
    b"INBOX",
    b"DONE",
    b"CATENATE (",
    b"TEXT ",
    b"URL ",
]
_biased = st.lists(st.sampled_from(_WORDS), max_size=40).map(b"".join)
_lines = st.lists(_biased.map(lambda text: b"t " + text + b"\r\n") | _biased, max_size=5).map(b"".join)
_streams = st.binary(max_size=200) | _lines


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(places)]


def prepared(state: str) -> ServerEngine:
    engine = ServerEngine(SMALL, authenticated=state not in ("early", "login"))
    engine.utf8 = state == "utf8"
    if state == "login":
        events_of(engine, b"a AUTHENTICATE PLAIN\r\n")
        engine.challenge()
    elif state == "idle":
        events_of(engine, b"a IDLE\r\n")
        engine.idle_go()
    elif state == "literal":
        events_of(engine, b"a APPEND x {5+}\r\nab")
    elif state == "collecting":
        events_of(engine, b"a SELECT {5}\r\nab")
    elif state == "skipping":
        events_of(engine, b"a SELECT {500+}\r\nab")
    elif state == "catenate":
        events_of(engine, b"a APPEND x CATENATE (URL y TEXT {1+}\r\nx")
    return engine


STATES = ["early", "login", "late", "utf8", "idle", "literal", "collecting", "skipping", "catenate"]


@given(st.lists(st.integers(0, len(DIALOGUE)), max_size=30))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_split_of_a_stream_gives_the_same_events(cuts):
    whole = events_of(ServerEngine(authenticated=True), DIALOGUE)
    assert events_of(ServerEngine(authenticated=True), *pieces(DIALOGUE, cuts)) == whole
    assert [event.tag for event in whole if isinstance(event, Command)] == [b"a1", b"a2", b"a3", b"a6", b"a7", b"a8", b"b1"]


def test_octet_by_octet_gives_the_same_events():
    data = DIALOGUE.replace(b"x" * 100000, b"x" * 100).replace(b"{100000+}", b"{100+}")
    assert events_of(ServerEngine(SMALL, authenticated=True), *[data[at : at + 1] for at in range(len(data))]) == events_of(
        ServerEngine(SMALL, authenticated=True), data
    )


@pytest.mark.parametrize("state", STATES)
@given(data=_streams, cuts=st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_octets_in_any_state(state, data, cuts):
    engine = prepared(state)
    events = events_of(engine, *pieces(data, cuts))
    for event in events:
        assert isinstance(event, EVENTS)
        if isinstance(event, ProtocolError):
            assert event.response.endswith(b"\r\n") and b"\0" not in event.response
            assert all(b" BAD " in line or b" NO " in line or line.startswith(b"* BYE ") for line in event.response.splitlines())
    closing = [event for event in events if isinstance(event, ProtocolError) and event.close]
    assert len(closing) <= 1 and (not closing or events[-1] == closing[0])
    if not any(isinstance(event, Command) and event.name in ("STARTTLS", "COMPRESS") for event in events):
        assert engine.pending <= SMALL.command + 2
    else:
        assert engine.pending <= len(data)
    if not any(b"without leave" in event.response for event in events if isinstance(event, ProtocolError)):
        again = events_of(prepared(state), data)
        if not any(b"without leave" in event.response for event in again if isinstance(event, ProtocolError)):
            assert again == events


_VALID = [
    b't LOGIN "alice" {6+}\r\nsecret\r\n',
    b"t SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211 (1:3,5 41:43,45)))\r\n",
    b't LIST (SUBSCRIBED RECURSIVEMATCH) "" ("a%" Entw&APw-rfe) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))\r\n',
    b't UID FETCH 1:4,* (UID BODY.PEEK[1.2.HEADER.FIELDS ("From" To)]<0.100> BINARY.SIZE[1] PREVIEW (LAZY)) (CHANGEDSINCE 5)\r\n',
    b"t UID STORE 1,2:4 (UNCHANGEDSINCE 17) +FLAGS.SILENT (\\Seen $Junk)\r\n",
    b't SEARCH RETURN (MIN PARTIAL 1:5) CHARSET UTF-8 OR NOT FROM "x" (SINCE 1-Feb-2024 UID 5:*) MODSEQ "/flags/a" all 5\r\n',
    b"t SORT (REVERSE DATE SUBJECT) UTF-8 HEADER X {1+}\r\ny $\r\n",
    b't APPEND "x" (\\Seen a) " 7-Feb-1994 21:52:25 -0800" {5+}\r\nhello (b) CATENATE (URL u TEXT {2+}\r\nab)\r\n',
    b't ID ("name" "x" "version" NIL)\r\n',
]


def test_damaged_commands_never_raise():
    chance = random.Random(5)
    for _ in range(6000):
        line = bytearray(chance.choice(_VALID))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(line))
            match chance.randrange(4):
                case 0:
                    line[at] = chance.choice(b' ()[]{}"\\<>*%:,.$+-&~\0\r\n\xff0aZ')
                case 1:
                    del line[at : at + chance.randint(1, 6)]
                case 2:
                    line[at:at] = chance.choice(_WORDS)
                case _:
                    line[at:at] = line[at : at + 10]
            if not line:
                break
        for event in events_of(ServerEngine(SMALL, authenticated=True), bytes(line)):
            assert isinstance(event, EVENTS)


@pytest.mark.parametrize(
    "line",
    [
        b'a LOGIN "' + b"\\\\" * 32000,
        b"a LOGIN " + b'"' * 64000,
        b"a SELECT " + b"&" * 64000,
        b"a SELECT " + b"&AOk-" * 12000,
        b"a FETCH " + b"1," * 32000,
        b"a FETCH " + b"1:" * 32000,
        b"a FETCH " + b"9" * 64000,
        b"a FETCH 1 (" + b"FLAGS " * 10000,
        b"a FETCH 1 BODY[" + b"1." * 30000,
        b"a FETCH 1 BODY[HEADER.FIELDS (" + b"a " * 30000,
        b"a SEARCH " + b"(" * 64000,
        b"a SEARCH " + b"OR " * 20000,
        b"a SEARCH " + b"NOT " * 15000,
        b"a SEARCH " + b"SEEN " * 12000,
        b"a STORE 1 FLAGS (" + b"a " * 30000,
        b"a STORE 1 FLAGS " + b"\\" * 60000,
        b"a APPEND x (" + b"\\Seen " * 10000,
        b"a APPEND x " + b"CATENATE (URL u) " * 3500,
        b"a LIST (" + b"SUBSCRIBED " * 5000,
        b'a LIST "" (' + b"a " * 30000,
        b'a ID ("' + b'a" "' * 15000,
        b"a" * 64000,
        b" " * 64000,
        b"GET " + b"/" * 60000,
        b"a SEARCH" + b" TEXT {1+}\r\nx" * 490,
    ],
    ids=lambda line: line[:24].decode("latin-1"),
)
def test_no_line_takes_long(line):
    """Every pattern is linear: the largest command allowed, made to hurt, is judged in a fraction of a second."""
    engine = ServerEngine(authenticated=True)
    started = time.process_time()
    events_of(engine, line + b"\r\n")
    assert time.process_time() - started < 4


def answer(engine: ServerEngine, event: object, chance: random.Random) -> None:
    """Do what a session might do at *event*, sensible or not."""
    dice = chance.random()
    if isinstance(event, LiteralStart) and dice < 0.4:
        engine.literal_go()
    elif isinstance(event, LiteralStart | AppendStart | LiteralChunk | LiteralEnd | ProtocolError) and dice < 0.6:
        engine.literal_refuse(b"t NO no\r\n")
    elif isinstance(event, AuthResponse) and dice < 0.3:
        engine.challenge(b"more")
    elif isinstance(event, Command) and dice < 0.1:
        engine.idle_go()
    elif isinstance(event, Command) and dice < 0.2:
        engine.challenge()
    elif isinstance(event, Command) and dice < 0.3:
        engine.authenticated = not engine.authenticated
    elif isinstance(event, Command) and dice < 0.4:
        engine.utf8 = not engine.utf8
    elif isinstance(event, Command) and dice < 0.5:
        engine.resume()


def test_whatever_the_session_answers_nothing_raises_and_nothing_follows_the_end():
    chance = random.Random(11)
    for _ in range(3000):
        engine = prepared(chance.choice(STATES))
        closed = False
        for _ in range(chance.randint(1, 4)):
            data = b"".join(chance.choice(_VALID if chance.random() < 0.5 else _WORDS) for _ in range(chance.randint(1, 10)))
            for event in engine.receive(data):
                assert not closed
                closed = isinstance(event, ProtocolError) and event.close
                answer(engine, event, chance)
