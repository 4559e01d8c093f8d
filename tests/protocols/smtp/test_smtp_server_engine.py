"""The server engine by bytes: any split, smuggled ends, limits, fuzz."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postillon.protocols.lines import LineBuffer, LineTooLong
from postillon.protocols.smtp.content import MAX_BODY_LINE, Content, DotReader
from postillon.protocols.smtp.events import Chunk, DataEnd, Event, Mail, ProtocolError, StartTls
from postillon.protocols.smtp.server import ServerEngine, SmtpLimits, State

from .dialogue import Dialogue, ToySession, dialogues

BEGIN = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"


def started(submission: bool = False, limits: SmtpLimits | None = None) -> ToySession:
    session = ToySession(ServerEngine(limits or SmtpLimits(), submission=submission))
    session.receive(b"EHLO client.example\r\n")
    return session


def in_data(submission: bool = False, limits: SmtpLimits | None = None) -> ToySession:
    session = started(submission, limits)
    assert session.receive(BEGIN + b"DATA\r\n").endswith(b"\r\n354 End data with <CR><LF>.<CR><LF>\r\n")
    session.events.clear()
    return session


def whole(events: list[Event]) -> list[Event]:
    """*events* with neighbouring chunks as one, and without those of refused messages."""
    joined: list[Event] = []
    for event in events:
        if isinstance(event, Chunk) and joined and isinstance(joined[-1], Chunk):
            event = Chunk(joined.pop().data + event.data)  # type: ignore[union-attr]
        if isinstance(event, DataEnd) and event.refusal is not None:
            joined = [other for other in joined if not isinstance(other, Chunk)]
        joined.append(event)
    return joined


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)] or [data]


# Any split of the octets


@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: dialogue.name)
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 5000), max_size=40))
def test_a_dialogue_may_arrive_in_any_pieces(dialogue: Dialogue, cuts: list[int]) -> None:
    if dialogue.name.startswith("early"):
        return  # octets that come later are not too early
    together, apart = dialogue.session(), dialogue.session()
    for segment, _, _ in dialogue.turns:
        answer = together.receive(segment)
        assert b"".join(apart.receive(piece) for piece in pieces(segment, cuts)) == answer
    assert whole(apart.events) == whole(together.events)
    assert apart.messages == together.messages == dialogue.messages


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"x", b"\0", b"\r\n..", b"\r\n.\r\n"]), max_size=25),
    st.booleans(),
)
def test_content_may_arrive_octet_by_octet(parts: list[bytes], submission: bool) -> None:
    data = b"".join(parts) + b"\r\n.\r\n"
    together, apart = in_data(submission), in_data(submission)
    answer = together.receive(data)
    if b"554 5.5.0" not in answer:
        assert b"".join(apart.receive(data[i : i + 1]) for i in range(len(data))) == answer
        assert whole(apart.events) == whole(together.events)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"x", b"\0"]), max_size=12),
    st.lists(st.integers(0, 20)),
    st.booleans(),
)
def test_bdat_octets_may_be_cut_anywhere(parts: list[bytes], cuts: list[int], submission: bool) -> None:
    data = b"".join(parts)
    one, many = started(submission), started(submission)
    one.receive(BEGIN + b"BDAT %d LAST\r\n" % len(data) + data)
    chunks = pieces(data, cuts)
    many.receive(BEGIN + b"".join(b"BDAT %d\r\n" % len(chunk) + chunk for chunk in chunks) + b"BDAT 0 LAST\r\n")
    assert whole(one.events)[-1] == whole(many.events)[-1]
    assert one.messages == many.messages


@given(st.lists(st.sampled_from([b"..", b".", b"", b"text", b".text", b"..text."]), max_size=8))
def test_dots_come_and_go(lines: list[bytes]) -> None:
    session = in_data()
    message = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    session.receive(stuffed + b".\r\n")
    assert session.messages == [message]


# Ends of DATA that are none

_NEWLINES = (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\r\0\n", b"\0\r\n", b"\x0b", b"\x0c", b"\x85", b"\xe2\x80\xa8")
VARIANTS = sorted(
    {before + dot + after for before in _NEWLINES for dot in (b".", b"..") for after in _NEWLINES[:7]}
    - {b"\r\n.\r\n", b"\r\n..\r\n"}
)
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: evil\r\n\r\nevil"


def test_there_are_many_variants() -> None:
    assert len(VARIANTS) > 40


# Whatever ends with CR LF and begins at a line that CR LF ended is the true end, so these stand apart.
_TRUE = {variant for variant in VARIANTS if b"\r\n.\r\n" in variant}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.hex())
@pytest.mark.parametrize("way", ["mx", "submission", "bdat", "bdat submission"])
def test_no_other_end_lets_a_message_in(variant: bytes, way: str) -> None:
    session = started("submission" in way)
    content = b"Subject: first\r\n\r\nfirst" + variant + SMUGGLED
    if "bdat" in way:
        answer = session.receive(BEGIN + b"BDAT %d LAST\r\n" % len(content) + content)
    else:
        session.receive(BEGIN + b"DATA\r\n")
        answer = session.receive(content + b"\r\n.\r\n")
    assert all("evil" not in envelope[0] for envelope in session.envelopes)
    if variant not in _TRUE:
        assert len(session.messages) <= 1
        assert sum(isinstance(event, DataEnd) for event in session.events) == 1
    for message in session.messages:
        assert message.count(b"\n") == message.count(b"\r") == message.count(b"\r\n") and b"\0" not in message
    bare = variant.replace(b"\r\n", b"")
    if "submission" not in way and (b"\r" in bare or b"\n" in bare or b"\0" in variant) and variant not in _TRUE:
        assert b"550 5.6.0" in answer and not session.messages


# What follows STARTTLS


@pytest.mark.parametrize("count", [1, 6, 100, 4096])
def test_octets_behind_starttls_are_never_commands(count: int) -> None:
    session = started()
    injected = (b"MAIL FROM:<evil@example.org>\r\n" * 200)[:count]
    assert session.receive(b"STARTTLS\r\n" + injected) == b"554 5.5.0 Commands sent before their time\r\n"
    assert session.engine.pending == count and session.closed
    assert list(session.engine.receive(b"NOOP\r\n")) == []


def test_after_starttls_the_engine_is_at_its_end() -> None:
    engine = started().engine
    for event in engine.receive(b"STARTTLS\r\n"):
        assert event == StartTls() and engine.pending == 0
        engine.accepted(event)
    assert list(engine.receive(b"MAIL FROM:<evil@example.org>\r\n")) == []
    assert engine.pending == 30


def test_starttls_is_offered_only_where_it_is() -> None:
    engine = ServerEngine(SmtpLimits(), starttls=False)
    session = ToySession(engine)
    assert b"STARTTLS" not in session.receive(b"EHLO client.example\r\n")
    assert session.receive(b"STARTTLS\r\n").startswith(b"502 5.5.1")


# Order and refusals


def test_a_refused_command_moves_nothing() -> None:
    engine = ServerEngine(SmtpLimits())
    for event in engine.receive(b"HELO a\r\n"):
        engine.accepted(event)
    # and nothing more is accepted
    events = engine.receive(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nBDAT 2 LAST\r\nx\nNOOP\r\n")
    verdicts = [type(event).__name__ for event in events]
    assert verdicts == ["Mail", "ProtocolError", "ProtocolError", "Noop"]
    assert engine.state is State.READY


def test_a_bdat_that_failed_needs_rset() -> None:
    engine = ServerEngine(SmtpLimits())
    for data in (b"HELO a\r\n", BEGIN):
        for event in engine.receive(data):
            engine.accepted(event)
    events = list(engine.receive(b"BDAT 2\r\nxyBDAT 4 LAST\r\nabcdMAIL FROM:<a@example.org>\r\n"))
    assert [type(event).__name__ for event in events] == ["Bdat", "Chunk", "BdatEnd", "ProtocolError", "ProtocolError"]
    assert all(event.reply.code == 503 for event in events[3:] if isinstance(event, ProtocolError))
    for event in engine.receive(b"RSET\r\n"):
        engine.accepted(event)
    assert engine.state is State.READY


def test_tls_on_a_plain_port_is_sent_away() -> None:
    session = ToySession(ServerEngine(SmtpLimits()))
    assert session.receive(b"\x16\x03\x01\x02\x00\x01\x00").startswith(b"554 5.5.0")
    assert session.closed


@pytest.mark.parametrize("verb", ["GET", "POST", "CONNECT", "PUT", "OPTIONS", "PRI"])
def test_http_is_sent_away_in_any_state(verb: str) -> None:
    session = started()
    assert session.receive(f"{verb} / HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == b"554 5.5.0 This is an SMTP server\r\n"
    assert session.closed


# Limits


def test_a_command_line_has_a_limit() -> None:
    session = started()
    assert session.receive(b"NOOP " + b"x" * 2041 + b"\r\n").startswith(b"250")
    assert session.receive(b"NOOP " + b"x" * 2042 + b"\r\n") == b"500 5.5.2 Command line is too long\r\n"
    for _ in range(100):
        assert session.receive(b"x" * 65536) == b""
        assert session.engine.pending <= 2048
    assert session.receive(b"\r\nNOOP\r\n").splitlines() == [b"500 5.5.2 Command line is too long", b"250 2.0.0 Ok"]


def test_auth_lines_may_be_longer() -> None:
    session = started(submission=True)
    long = b"A" * 12000
    assert session.receive(b"NOOP " + long + b"\r\n").startswith(b"500 5.5.2")
    assert session.receive(b"AUTH PLAIN " + long + b"\r\n").startswith(b"535")
    assert session.receive(b"AUTH PLAIN\r\n") == b"334 \r\n"
    assert session.receive(long + b"\r\n").startswith(b"535")
    assert session.receive(b"AUTH PLAIN\r\n") == b"334 \r\n"
    assert session.receive(long + long) == b""
    assert session.receive(b"\r\nNOOP\r\n").splitlines() == [
        b"500 5.5.6 Authentication exchange line is too long",
        b"250 2.0.0 Ok",
    ]


def test_a_message_far_beyond_its_size_ends_the_connection() -> None:
    limits = SmtpLimits(size=1000)
    session = in_data(limits=limits)
    sent = 0
    while not session.closed:
        session.receive(b"x" * 65536)
        sent += 65536
    assert sent <= 17 << 20
    session = started(limits=limits)
    assert session.receive(BEGIN + b"BDAT 9999999999999999999 LAST\r\n").splitlines()[-1] == b"552 5.3.4 Message is too large"
    assert session.closed


def test_lines_of_a_body_may_be_long_but_not_endless() -> None:
    for length, taken in ((MAX_BODY_LINE, True), (MAX_BODY_LINE + 1, False)):
        for step in (1 << 16, 1 << 22):
            session = in_data()
            data = b"short\r\n" + b"x" * length + b"\r\n.\r\n"
            answer = b"".join(session.receive(data[at : at + step]) for at in range(0, len(data), step))
            assert answer.startswith(b"250" if taken else b"550 5.6.0"), (length, step)


def test_nothing_is_kept_of_a_refused_message() -> None:
    session = in_data()
    session.receive(b"a\nb\r\n")
    for _ in range(10):
        session.receive(b"x" * 65536)
    assert session.events == [] and session.engine.pending == 0


def test_time_is_linear_in_pipelined_commands_and_in_hostile_content() -> None:
    def seconds(data: bytes, times: int, session: ToySession) -> float:
        began = time.process_time()
        session.receive(data * times)
        return time.process_time() - began

    for make, data in ((started, b"NOOP\r\n"), (in_data, b"\r\n.\r"), (in_data, b"\r\n.x")):
        seconds(data, 1000, make())
        few, many = seconds(data, 20_000, make()), seconds(data, 200_000, make())
        assert many < 60 * max(few, 2e-3)  # linear is 10, quadratic 100


# Anything at all

_WORDS = [
    b"EHLO a\r\n", b"HELO a\r\n", b"LHLO a\r\n", b"MAIL FROM:<>\r\n", b"MAIL FROM:<a@b.example> SMTPUTF8\r\n",
    b"RCPT TO:<Postmaster>\r\n", b"RCPT TO:<unknown@b.example>\r\n", b"DATA\r\n", b"BDAT 3\r\n", b"BDAT 5 LAST\r\n", b"RSET\r\n",
    b"STARTTLS\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN =\r\n", b"*\r\n", b"AAA=\r\n", b".\r\n", b"\r\n", b"\r", b"\n", b".", b"\0",
    b"x" * 3000, b"GET / HTTP/1.1\r\n", b"VRFY x\r\n", b"NOOP\r\n", b"\xff\xfe",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(_WORDS), st.binary(max_size=20)), max_size=30), st.booleans(), st.booleans())
def test_no_octets_in_any_state_are_an_exception(words: list[bytes], submission: bool, lmtp: bool) -> None:
    session = ToySession(ServerEngine(SmtpLimits(size=100, recipients=3), submission=submission, lmtp=lmtp))
    for word in words:
        if session.closed or session.engine.state is State.CLOSED:
            break
        answer = session.receive(word)
        assert answer == b"" or answer.endswith(b"\r\n")
        assert session.engine.pending <= 12288


# The pieces


def test_a_line_buffer_cuts_and_drops() -> None:
    buffer = LineBuffer()
    buffer.feed(b"one\r\ntwo\nth")
    assert [buffer.line(10), buffer.line(10), buffer.line(10)] == [b"one\r\n", b"two\n", None]
    buffer.feed(b"ree\r\n" + b"x" * 20)
    assert buffer.line(10) == b"three\r\n" and buffer.line(10) is None and buffer.pending == 0
    buffer.feed(b"y\nend\n")
    with pytest.raises(LineTooLong):
        buffer.line(10)
    assert buffer.take(2) == b"en" and buffer.line(10) == b"d\n" and buffer.take(5) == b""


def test_the_end_of_data_is_found_over_a_cut() -> None:
    for cut in range(5):
        buffer, dots = LineBuffer(), DotReader()
        buffer.feed(b"text\r\n.\r\n"[: 4 + cut])
        assert dots.read(buffer) == (b"text", False) and buffer.pending == cut
        buffer.feed(b"text\r\n.\r\nNOOP"[4 + cut :])
        assert dots.read(buffer) == (b"\r\n", True) and buffer.pending == 4


def test_content_knows_its_worst_fault() -> None:
    content = Content(6, normalise=False)
    assert content.refusal is None
    content.take(b"a\nb")
    assert content.refusal is not None and content.refusal.code == 550
    content.take(b"\0cd\r")
    assert content.finish() == b"" and content.refusal is not None and content.refusal.code == 552


def test_requiretls_is_for_encrypted_connections():
    for is_encrypted in (True, False):
        engine = ServerEngine(SmtpLimits(), requiretls=is_encrypted)
        assert ("REQUIRETLS" in engine.extensions()) is is_encrypted
        (hello,) = engine.receive(b"EHLO a.test\r\n")
        engine.accepted(hello)
        (event,) = engine.receive(b"MAIL FROM:<a@b.test> REQUIRETLS\r\n")
        if is_encrypted:
            assert isinstance(event, Mail) and event.envelope.require_tls
        else:
            assert isinstance(event, ProtocolError) and (event.reply.code, event.reply.status) == (555, "5.7.10")
