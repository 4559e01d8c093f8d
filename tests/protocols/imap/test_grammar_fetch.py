"""FETCH: RFC 3501 §6.4.5, RFC 9051 §6.4.5, RFC 3516, 7162, 8474, 8514, 8970, 9394."""

import pytest

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.fetch_attributes import ALL, FAST, FULL, Attribute, Kind, Section
from postillon.protocols.imap.grammar.fetch import MAX_ATTRIBUTES
from postillon.protocols.imap.sequence import SAVED, STAR, SequenceSet

from .driver import complaint, is_bad, request

ONE = SequenceSet(((1, 1),))


def attributes(text: bytes) -> tuple:
    value = request(b"FETCH 1 " + text)
    assert isinstance(value, c.Fetch) and value.numbers == ONE and not value.uid
    return value.attributes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"ALL", ALL),
        (b"fast", FAST),
        (b"FULL", FULL),
        (b"FLAGS", (Attribute.FLAGS,)),
        (b"(FLAGS)", (Attribute.FLAGS,)),
        (b"(flags UID flags)", (Attribute.FLAGS, Attribute.UID)),
        (b"(INTERNALDATE RFC822.SIZE ENVELOPE)", (Attribute.INTERNALDATE, Attribute.RFC822_SIZE, Attribute.ENVELOPE)),
        (b"(BODY BODYSTRUCTURE)", (Attribute.BODY, Attribute.BODYSTRUCTURE)),
        (b"(MODSEQ EMAILID THREADID SAVEDATE)", (Attribute.MODSEQ, Attribute.EMAILID, Attribute.THREADID, Attribute.SAVEDATE)),
        (b"(PREVIEW UID)", (Attribute.PREVIEW, Attribute.UID)),
        (b"(PREVIEW (LAZY) UID)", (Attribute.PREVIEW_LAZY, Attribute.UID)),
    ],
)
def test_attributes_without_parameters(text, expected):
    assert attributes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"BODY[]", Section(b"BODY[]", peek=False)),
        (b"body.peek[]", Section(b"BODY[]")),
        (b"BODY[TEXT]", Section(b"BODY[TEXT]", kind=Kind.TEXT, peek=False)),
        (b"BODY.PEEK[HEADER]", Section(b"BODY[HEADER]", kind=Kind.HEADER)),
        (b"BODY[1]", Section(b"BODY[1]", (1,), peek=False)),
        (b"BODY[4.2.2.1]", Section(b"BODY[4.2.2.1]", (4, 2, 2, 1), peek=False)),
        (b"BODY[4.1.MIME]", Section(b"BODY[4.1.MIME]", (4, 1), Kind.MIME, peek=False)),
        (b"BODY[3.HEADER]", Section(b"BODY[3.HEADER]", (3,), Kind.HEADER, peek=False)),
        (b"BODY[3.text]", Section(b"BODY[3.TEXT]", (3,), Kind.TEXT, peek=False)),
        (
            b"BODY.PEEK[HEADER.FIELDS (Date From DATE)]",
            Section(b"BODY[HEADER.FIELDS (Date From DATE)]", kind=Kind.FIELDS, fields=(b"date", b"from")),
        ),
        (
            b'BODY.PEEK[2.header.fields.not ("Received" {2}\r\nTo)]',
            Section(b"BODY[2.HEADER.FIELDS.NOT (Received To)]", (2,), Kind.FIELDS_NOT, (b"received", b"to")),
        ),
        (
            b'BODY.PEEK[HEADER.FIELDS ("X-(odd)")]',
            Section(b'BODY[HEADER.FIELDS ("X-(odd)")]', kind=Kind.FIELDS, fields=(b"x-(odd)",)),
        ),
        (b"BODY[]<0.2048>", Section(b"BODY[]<0>", partial=(0, 2048), peek=False)),
        (b"BODY.PEEK[1]<1024.1>", Section(b"BODY[1]<1024>", (1,), partial=(1024, 1))),
        (b"BINARY[1.2]", Section(b"BINARY[1.2]", (1, 2), peek=False, binary=True)),
        (b"BINARY.PEEK[1]<10.20>", Section(b"BINARY[1]<10>", (1,), partial=(10, 20), binary=True)),
        (b"BINARY.PEEK[]", Section(b"BINARY[]", binary=True)),
        (b"BINARY.SIZE[3]", Section(b"BINARY.SIZE[3]", (3,), binary=True, size_only=True)),
        (b"RFC822", Section(b"RFC822", peek=False)),
        (b"RFC822.HEADER", Section(b"RFC822.HEADER", kind=Kind.HEADER)),
        (b"RFC822.TEXT", Section(b"RFC822.TEXT", kind=Kind.TEXT, peek=False)),
    ],
)
def test_sections(text, expected):
    assert attributes(text) == (expected,)
    assert attributes(b"(UID " + text + b" FLAGS)") == (Attribute.UID, expected, Attribute.FLAGS)


def test_numbers_and_modifiers():
    flags = (Attribute.FLAGS,)
    assert request(b"FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])").numbers == SequenceSet(((2, 4),))
    assert request(b"UID FETCH 1:* (FLAGS)") == c.Fetch(True, SequenceSet(((1, STAR),)), flags)
    assert request(b"FETCH $ FLAGS") == c.Fetch(False, SAVED, flags)
    assert request(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)") == c.Fetch(True, SequenceSet(((1, STAR),)), flags, 12345)
    assert request(b"UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)").vanished
    assert request(b"UID FETCH 25900:26600 (FLAGS) (PARTIAL -1:-30)").partial == c.Partial(-1, -30)
    assert request(b"UID FETCH 1:* FLAGS (PARTIAL 30:1 CHANGEDSINCE 9)").partial == c.Partial(1, 30)


def test_what_was_remembered_is_the_same_the_second_time():
    line = b"UID FETCH 5 (FLAGS BODY.PEEK[HEADER.FIELDS (From)])"
    assert request(line) == request(line)
    is_bad([b"UID FETCH 5 (FLAGS FOO)"] * 2)


def test_broken_ones_are_bad():
    is_bad(
        [
            b"FETCH",
            b"FETCH 1",
            b"FETCH 1 ",
            b"FETCH 0 FLAGS",
            b"FETCH a FLAGS",
            b"FETCH 1,a FLAGS",
            b"FETCH 4294967296 FLAGS",
            b"FETCH 1 FOO",
            b"FETCH 1 ()",
            b"FETCH 1 (FLAGS",
            b"FETCH 1 (FLAGS ALL)",
            b"FETCH 1 (FLAGS  UID)",
            b"FETCH 1 FLAGS UID",
            b"FETCH 1 ALLES",
            b"FETCH 1 BODY[",
            b"FETCH 1 BODY[FOO]",
            b"FETCH 1 BODY[1.]",
            b"FETCH 1 BODY[0]",
            b"FETCH 1 BODY[1.0]",
            b"FETCH 1 BODY[01]",
            b"FETCH 1 BODY[MIME]",
            b"FETCH 1 BODY[1MIME]",
            b"FETCH 1 BODY[HEADER.FIELDS]",
            b"FETCH 1 BODY[HEADER.FIELDS ()]",
            b'FETCH 1 BODY[HEADER.FIELDS ("a b")]',
            b'FETCH 1 BODY[HEADER.FIELDS ("a:")]',
            b"FETCH 1 BODY[HEADER (a)]",
            b"FETCH 1 BODY[]<1>",
            b"FETCH 1 BODY[]<1.0>",
            b"FETCH 1 BODY[]<-1.5>",
            b"FETCH 1 BODY[]<0.9223372036854775808>",
            b"FETCH 1 BODY.SIZE[1]",
            b"FETCH 1 BINARY[HEADER]",
            b"FETCH 1 BINARY[1.HEADER]",
            b"FETCH 1 BINARY.SIZE[1]<0.5>",
            b"FETCH 1 BODY[" + b"1." * 100 + b"1]",
            b"FETCH 1 PREVIEW (NOW)",
            b"FETCH 1 FLAGS ()",
            b"FETCH 1 FLAGS (CHANGEDSINCE)",
            b"FETCH 1 FLAGS (CHANGEDSINCE 0)",
            b"FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)",
            b"UID FETCH 1 FLAGS (VANISHED)",
            b"UID FETCH 1 FLAGS (PARTIAL 0:5)",
            b"UID FETCH 1 FLAGS (PARTIAL -1:5)",
            b"UID FETCH 1 FLAGS (FOO)",
            b"UID  FETCH 1 FLAGS",
            b"FETCH 1 fl\0ags",
        ]
    )


def test_one_fetch_has_a_bounded_number_of_attributes():
    parts = b" ".join(b"BODY[%d]" % number for number in range(1, MAX_ATTRIBUTES + 2))
    assert b"too many" in complaint(b"FETCH 1 (" + parts + b")")
