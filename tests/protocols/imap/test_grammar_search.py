"""SEARCH, SORT, THREAD: RFC 3501 §6.4.4, RFC 4731, 5032, 5182, 5256, 6203, 7162, 8474, 8514, 9394."""

import datetime

import pytest

from postillon.protocols.imap import commands as c
from postillon.protocols.imap import search_keys as k
from postillon.protocols.imap.grammar.search import MAX_DEPTH, MAX_PARENTHESES
from postillon.protocols.imap.search_keys import Moment, Side
from postillon.protocols.imap.sequence import SAVED, STAR, SequenceSet

from .driver import complaint, is_bad, request

DAY = datetime.date(1994, 2, 1)
SEEN = k.HasFlag(b"\\Seen")


def key(text: bytes, utf8: bool = False) -> k.SearchKey:
    value = request(b"SEARCH " + text, utf8)
    assert isinstance(value, c.Search) and value.returns is None
    return value.key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"ALL", k.All()),
        (b"ANSWERED", k.HasFlag(b"\\Answered")),
        (b"unseen", k.HasFlag(b"\\Seen", False)),
        (b"UNDRAFT", k.HasFlag(b"\\Draft", False)),
        (b"RECENT", k.Recent()),
        (b"OLD", k.Recent(False)),
        (b"NEW", k.And((k.Recent(), k.HasFlag(b"\\Seen", False)))),
        (b"KEYWORD $Junk", k.HasFlag(b"$Junk")),
        (b"UNKEYWORD Work", k.HasFlag(b"Work", False)),
        (b"FROM Smith", k.Header(b"from", "Smith")),
        (b'SUBJECT "two words"', k.Header(b"subject", "two words")),
        (b'HEADER List-ID ""', k.Header(b"list-id", "")),
        (b"BODY a", k.Body("a")),
        (b'TEXT "b"', k.Text("b")),
        (b"TEXT {6}\r\nb\r\nb c", k.Text("b\r\nb c")),
        (b"BEFORE 1-Feb-1994", k.Dated(Moment.RECEIVED, Side.BEFORE, DAY)),
        (b'ON "01-feb-1994"', k.Dated(Moment.RECEIVED, Side.ON, DAY)),
        (b"SINCE 1-Feb-1994", k.Dated(Moment.RECEIVED, Side.SINCE, DAY)),
        (b"SENTSINCE 1-Feb-1994", k.Dated(Moment.SENT, Side.SINCE, DAY)),
        (b"SAVEDON 1-Feb-1994", k.Dated(Moment.SAVED, Side.ON, DAY)),
        (b"SAVEDATESUPPORTED", k.SaveDateSupported()),
        (b"LARGER 4096", k.Larger(4096)),
        (b"SMALLER 6000000000", k.Smaller(6000000000)),
        (b"YOUNGER 86400", k.Younger(86400)),
        (b"OLDER 1", k.Older(1)),
        (b"UID 5:*", k.Uids(SequenceSet(((5, STAR),)))),
        (b"UID $", k.Uids(SAVED)),
        (b"$", k.Numbers(SAVED)),
        (b"2:4,*", k.Numbers(SequenceSet(((2, 4), (STAR, STAR))))),
        (b"MODSEQ 620162338", k.ModSeqFrom(620162338)),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', k.ModSeqFrom(620162338, b"/flags/\\\\draft", b"all")),
        (b"EMAILID M6d99ac3275bb4e", k.HasEmailId(b"M6d99ac3275bb4e")),
        (b"THREADID T64b478a75b7ea9", k.HasThreadId(b"T64b478a75b7ea9")),
        (b"NOT SEEN", k.Not(SEEN)),
        (b"OR SEEN FROM x", k.Or(SEEN, k.Header(b"from", "x"))),
        (b"FUZZY SUBJECT x", k.Fuzzy(k.Header(b"subject", "x"))),
        (b"(SEEN)", SEEN),
        (b"SEEN (FROM x (TO y))", k.And((SEEN, k.Header(b"from", "x"), k.Header(b"to", "y")))),
        (
            b'FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"',
            k.And((k.HasFlag(b"\\Flagged"), k.Dated(Moment.RECEIVED, Side.SINCE, DAY), k.Not(k.Header(b"from", "Smith")))),
        ),
        (b"OR (SEEN FROM x) NOT (TO y)", k.Or(k.And((SEEN, k.Header(b"from", "x"))), k.Not(k.Header(b"to", "y")))),
    ],
)
def test_keys(text, expected):
    assert key(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"RETURN (MIN COUNT) FLAGGED", c.SearchReturn(min=True, count=True)),
        (b"RETURN () SEEN", c.SearchReturn(all=True)),
        (b"return (SAVE) SEEN", c.SearchReturn(save=True)),
        (b"RETURN (PARTIAL 23500:24000) UNDELETED", c.SearchReturn(partial=c.Partial(23500, 24000))),
        (b"RETURN (UPDATE COUNT) ALL", c.SearchReturn(update=True, count=True)),
        (b"RETURN (ALL RELEVANCY) FUZZY TEXT x", c.SearchReturn(all=True, relevancy=True)),
        (b"RETURN (COUNT) CHARSET UTF-8 TEXT x", c.SearchReturn(count=True)),
    ],
)
def test_return_options(text, expected):
    assert request(b"UID SEARCH " + text).returns == expected


def test_charsets():
    assert key(b"CHARSET UTF-8 TEXT {6}\r\n\xd1\x82\xd0\xb5\xd1\x81") == k.Text("тес")
    assert key(b"CHARSET koi8-r TEXT {3}\r\n\xd4\xc5\xd3") == k.Text("тес")
    assert key(b'CHARSET "ISO-8859-1" TEXT {1}\r\n\xe9') == k.Text("é")
    assert key('SUBJECT "ü"'.encode(), utf8=True) == k.Header(b"subject", "ü")
    assert key(b"SUBJECT {2}\r\n\xc3\xbc") == k.Header(b"subject", "ü")
    response = complaint(b"SEARCH CHARSET X-KLINGON TEXT x")
    assert response.startswith(b"t NO [BADCHARSET (") and b"UTF-8" in response
    for name in (b"rot13", b"unicode_escape", b"../../etc/passwd", b"idna", b"punycode", b"utf-16"):
        assert complaint(b'SEARCH CHARSET "%b" TEXT x' % name).startswith(b"t NO [BADCHARSET (")


def test_a_needle_that_is_not_in_its_charset_is_bad():
    is_bad([b"SEARCH TEXT {1+}\r\n\xff", b"SEARCH CHARSET US-ASCII TEXT {1+}\r\n\xe9"])


def test_sort_and_thread():
    assert request(b"SORT (SUBJECT REVERSE DATE) UTF-8 ALL") == c.Sort(
        False, (c.SortKey("SUBJECT"), c.SortKey("DATE", True)), k.All()
    )
    assert request(b"UID SORT RETURN (MIN) (DISPLAYFROM) UTF-8 SEEN") == c.Sort(
        True, (c.SortKey("DISPLAYFROM"),), SEEN, c.SearchReturn(min=True)
    )
    assert request(b"THREAD references UTF-8 SEEN") == c.Thread(False, "REFERENCES", SEEN)
    assert request(b"UID THREAD ORDEREDSUBJECT US-ASCII SEEN") == c.Thread(True, "ORDEREDSUBJECT", SEEN)


def test_nesting_is_bounded():
    deep = MAX_PARENTHESES
    assert key(b"(" * deep + b"SEEN" + b")" * deep) == SEEN
    assert b"nested" in complaint(b"SEARCH " + b"(" * (deep + 1) + b"SEEN" + b")" * (deep + 1))
    assert b"nested" in complaint(b"SEARCH " + b"NOT " * MAX_DEPTH + b"SEEN")
    assert b"nested" in complaint(b"SEARCH " + b"(" * 8000)
    key(b"OR SEEN " * (MAX_DEPTH - 2) + b"SEEN")
    key(b" ".join([b"(SEEN)"] * 5000))


def test_broken_ones_are_bad():
    is_bad(
        [
            b"SEARCH",
            b"SEARCH ",
            b"SEARCH FOO",
            b"SEARCH SEEN ",
            b"SEARCH SEEN  FROM x",
            b"SEARCH ()",
            b"SEARCH (SEEN",
            b"SEARCH SEEN)",
            b"SEARCH FROM",
            b"SEARCH NOT",
            b"SEARCH OR SEEN",
            b"SEARCH SINCE yesterday",
            b"SEARCH SINCE 30-Feb-2024",
            b"SEARCH SINCE 1-Foo-2024",
            b'SEARCH SINCE "1-Feb-2024',
            b"SEARCH SINCE 1-Feb-0000",
            b"SEARCH LARGER -1",
            b"SEARCH LARGER x",
            b"SEARCH YOUNGER 0",
            b"SEARCH UID",
            b"SEARCH 0",
            b"SEARCH 1:",
            b'SEARCH MODSEQ "/flags/x" 5',
            b"SEARCH KEYWORD \\Seen",
            b"SEARCH EMAILID a.b",
            b"SEARCH RETURN ALL SEEN",
            b"SEARCH RETURN (FOO) SEEN",
            b"SEARCH RETURN (PARTIAL 0:1) SEEN",
            b"SEARCH RETURN (PARTIAL 1:2 ALL) SEEN",
            b"SEARCH RETURN (ALL)",
            b"SEARCH CHARSET UTF-8",
            b"SORT () UTF-8 ALL",
            b"SORT (FOO) UTF-8 ALL",
            b"SORT (REVERSE) UTF-8 ALL",
            b"SORT (DATE) ALL",
            b"THREAD REFERENCES UTF-8",
        ]
    )
