"""What the server says: RFC 3501 §7, §9, RFC 4315, 4731, 5162, 5258, 5530."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.protocols.imap import response_codes, responses
from postillon.protocols.imap.commands import StatusAttribute as S
from postillon.protocols.imap.dates import date_time
from postillon.protocols.imap.grammar import dates
from postillon.protocols.imap.grammar.reader import Reader


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"", b'""'),
        (b"abc", b'"abc"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xc3\xa9", b"{2}\r\n\xc3\xa9"),
        (b"x" * 2000, b"{2000}\r\n" + b"x" * 2000),
    ],
)
def test_strings(data, written):
    assert responses.string(data) == written


@given(st.binary(max_size=30))
def test_every_string_is_read_back(data):
    written = responses.string(data)
    if b"\0" not in data:
        assert Reader(written).string() == data
    assert Reader(b"~" + responses.literal(data)).nstring8() == data


@given(st.text(max_size=30).filter(lambda text: "\0" not in text))
def test_every_text_is_read_back_as_utf8(text):
    data = text.encode()
    assert Reader(responses.string(data, utf8=True), utf8=True).string() == data
    assert Reader(responses.astring(data, utf8=True), utf8=True).astring() == data


def test_atoms_nil_and_names():
    assert responses.astring(b"INBOX") == b"INBOX"
    assert responses.astring(b"a]b") == b"a]b"
    assert responses.astring(b"nil") == b'"nil"'
    assert responses.astring(b"") == b'""'
    assert responses.astring(b"a b") == b'"a b"'
    assert responses.nstring(None) == b"NIL"
    assert responses.mailbox("Entwürfe") == b"Entw&APw-rfe"
    assert responses.mailbox("Entwürfe", utf8=True) == '"Entwürfe"'.encode()
    assert responses.mailbox("R&D") == b"R&-D"
    assert responses.mailbox("R&D", utf8=True) == b"R&D"
    assert responses.mailbox("a%b") == b'"a%b"'


def test_status_responses():
    assert responses.ok(b"a1", "done") == b"a1 OK done\r\n"
    assert responses.no(b"a1", "is full", response_codes.OVERQUOTA) == b"a1 NO [OVERQUOTA] is full\r\n"
    assert responses.bad(b"*", "what?") == b"* BAD what?\r\n"
    assert responses.bye("until later") == b"* BYE until later\r\n"
    assert responses.continuation() == b"+ go ahead\r\n"


def test_text_cannot_break_out_of_its_line_or_look_like_a_code():
    assert responses.ok(b"a", "x\r\n* BYE\0 é") == b"a OK x * BYE  ?\r\n"
    assert responses.ok(b"a", "[ALERT] x") == b"a OK - [ALERT] x\r\n"
    assert responses.ok(b"a", "") == b"a OK .\r\n"


def test_server_data():
    assert responses.capability(["IMAP4rev1", "IDLE"]) == b"* CAPABILITY IMAP4rev1 IDLE\r\n"
    assert responses.enabled(["CONDSTORE"]) == b"* ENABLED CONDSTORE\r\n"
    assert responses.enabled([]) == b"* ENABLED\r\n"
    assert responses.identification([("name", "Postillon"), ("os", None)]) == b'* ID ("name" "Postillon" "os" NIL)\r\n'
    assert responses.identification([]) == b"* ID NIL\r\n"
    assert responses.exists(23) == b"* 23 EXISTS\r\n"
    assert responses.recent(5) == b"* 5 RECENT\r\n"
    assert responses.expunge(44) == b"* 44 EXPUNGE\r\n"
    assert responses.vanished(b"405,407") == b"* VANISHED 405,407\r\n"
    assert responses.vanished(b"1:5", earlier=True) == b"* VANISHED (EARLIER) 1:5\r\n"
    assert responses.flags([b"\\Seen", b"$Junk"]) == b"* FLAGS (\\Seen $Junk)\r\n"
    assert responses.fetch(3, [b"FLAGS (\\Seen)", b"UID 7"]) == b"* 3 FETCH (FLAGS (\\Seen) UID 7)\r\n"


def test_mailbox_data():
    assert responses.list_line([b"\\HasNoChildren"], "a b") == b'* LIST (\\HasNoChildren) "/" "a b"\r\n'
    assert responses.list_line([], "Entwürfe", utf8=True, verb=b"LSUB") == '* LSUB () "/" "Entwürfe"\r\n'.encode()
    assert responses.list_line([], "Foo", child_info=[b"SUBSCRIBED"]) == b'* LIST () "/" Foo ("CHILDINFO" ("SUBSCRIBED"))\r\n'
    assert responses.list_line([], "new", old_name="old") == b'* LIST () "/" new ("OLDNAME" (old))\r\n'
    assert (
        responses.status("x", [(S.MESSAGES, 231), (S.APPENDLIMIT, None), (S.MAILBOXID, b"(F1)")])
        == b"* STATUS x (MESSAGES 231 APPENDLIMIT NIL MAILBOXID (F1))\r\n"
    )
    assert responses.namespace([("", "/")]) == b'* NAMESPACE (("" "/")) NIL NIL\r\n'
    assert (
        responses.namespace([("", "/")], [("Other Users/", "/")], [("a", "/"), ("b", "/")])
        == b'* NAMESPACE (("" "/")) (("Other Users/" "/")) (("a" "/")("b" "/"))\r\n'
    )


def test_search_results():
    assert responses.search([]) == b"* SEARCH\r\n"
    assert responses.search([2, 84, 882]) == b"* SEARCH 2 84 882\r\n"
    assert responses.search([2, 5], modseq=917162500) == b"* SEARCH 2 5 (MODSEQ 917162500)\r\n"
    assert responses.sort([5, 3]) == b"* SORT 5 3\r\n"
    assert (
        responses.esearch(b"A285", True, [(b"MIN", 7), (b"MAX", 3800), (b"ALL", b"7:9")])
        == b'* ESEARCH (TAG "A285") UID MIN 7 MAX 3800 ALL 7:9\r\n'
    )
    assert responses.esearch(b"a", False, []) == b'* ESEARCH (TAG "a")\r\n'


def test_response_codes():
    assert response_codes.append_uid(38505, [3955]) == b"APPENDUID 38505 3955"
    assert response_codes.append_uid(38505, [3955, 3956, 3957]) == b"APPENDUID 38505 3955:3957"
    assert response_codes.copy_uid(38505, [(304, 3956), (319, 3957), (320, 3958)]) == b"COPYUID 38505 304,319:320 3956:3958"
    assert response_codes.copy_uid(1, [(3, 10), (1, 12), (2, 11)]) == b"COPYUID 1 1:3 12,11,10"
    assert response_codes.copy_uid(1, [(1, 12), (2, 13), (3, 10), (4, 11)]) == b"COPYUID 1 1:4 12:13,10:11"
    assert response_codes.permanent_flags([b"\\Seen", b"\\*"]) == b"PERMANENTFLAGS (\\Seen \\*)"
    assert response_codes.modified(b"7,9") == b"MODIFIED 7,9"
    assert response_codes.mailbox_id(b"F1") == b"MAILBOXID (F1)"


@pytest.mark.parametrize(
    ("at", "zone", "written"),
    [
        (837596665, -420, b'"17-Jul-1996 02:44:25 -0700"'),
        (0, 0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (-1, 330, b'" 1-Jan-1970 05:29:59 +0530"'),
        (951_782_400, 0, b'"29-Feb-2000 00:00:00 +0000"'),
    ],
)
def test_dates(at, zone, written):
    assert date_time(at, zone) == written
    assert dates.date_time(Reader(written)) == (at, zone)


@given(st.integers(-(2**35), 2**37), st.integers(-1439, 1439))
def test_every_date_is_read_back(at, zone):
    assert dates.date_time(Reader(date_time(at, zone))) == (at, zone)


def test_dates_out_of_range_do_not_fail():
    assert date_time(2**62, 0).endswith(b'+0000"')
    assert date_time(-(2**62), 0).endswith(b'+0000"')
