"""Paths, parameters, xtext and replies."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.model.address import Address
from postillon.model.envelope import Envelope, Notify, Recipient
from postillon.protocols.smtp.grammar import (
    GrammarError,
    decode_base64,
    decode_xtext,
    encode_orcpt,
    encode_xtext,
    parse_auth,
    parse_bdat,
    parse_burl,
    parse_hello,
    parse_mail,
    parse_rcpt,
)
from postillon.protocols.smtp.reply import MAX_LINE, Reply, ReplyError, ReplyLine, assemble, parse_line

LIMIT = 1000


def mail(text: str) -> Envelope:
    return parse_mail(text.encode(), LIMIT)


def rcpt(text: str, smtputf8: bool = False) -> Recipient | None:
    return parse_rcpt(text.encode(), smtputf8)


def refusal(call, *arguments) -> tuple[int, str]:  # type: ignore[no-untyped-def]
    with pytest.raises(GrammarError) as raised:
        call(*arguments)
    return raised.value.reply.code, raised.value.reply.status


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("FROM:<>", None),
        ("from:<a@example.org>", Address("a", "example.org")),
        ("From: <a@Example.ORG>", Address("a", "example.org")),
        ("FROM:<a@example.org>  ", Address("a", "example.org")),
        ('FROM:<"a> b"@example.org>', Address("a> b", "example.org")),
        ('FROM:<"a\\"@b"@example.org>', Address('a"@b', "example.org")),
        ("FROM:<a@[192.0.2.1]>", Address("a", "[192.0.2.1]")),
        ("FROM:<a@[IPv6:2001:DB8::1]>", Address("a", "[IPv6:2001:db8::1]")),
        ("FROM:<@relay.example,@b.example:a@example.org>", Address("a", "example.org")),
        ("FROM:<@[192.0.2.1]:a@example.org>", Address("a", "example.org")),
        ("FROM:<a%b.example@example.org>", Address("a%b.example", "example.org")),
        ("FROM:<b.example!a@example.org>", Address("b.example!a", "example.org")),
    ],
)
def test_reverse_paths(text: str, address: Address | None) -> None:
    assert mail(text).sender == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM",
        "FROM:",
        "FROM:a@example.org",
        "FROM:<a@example.org",
        "FROM:a@example.org>",
        "FROM <a@example.org>",
        "TO:<a@example.org>",
        "FROM:<a@example.org>SIZE=1",
        "FROM:<<a@example.org>>",
        "FROM:<a>",
        "FROM:<Postmaster>",
        "FROM:<a@>",
        "FROM:<@example.org>",
        "FROM:<a b@example.org>",
        "FROM:<a..b@example.org>",
        'FROM:<""@example.org>',
        "FROM:<a@-.example>",
        "FROM:<a@b@example.org>",
        "FROM:<@:a@example.org>",
        "FROM:<@b.example a@example.org>",
        "FROM:<@b.example,:a@example.org>",
        "FROM:<@b..example:a@example.org>",
        "FROM:<a@[300.0.0.1]>",
    ],
)
def test_bad_reverse_paths_are_501(text: str) -> None:
    assert refusal(mail, text)[0] == 501


def test_mail_parameters() -> None:
    envelope = mail("FROM:<a@example.org> size=7 BODY=8BITMIME SMTPUTF8 RET=hdrs ENVID=a+2Bb+20c AUTH=<>")
    assert envelope == Envelope(Address("a", "example.org"), body="8BITMIME", smtputf8=True, size=7, ret="HDRS", envid="a+b c")


@pytest.mark.parametrize(
    ("parameter", "verdict"),
    [
        ("SIZE=1000", None),
        ("SIZE=1001", (552, "5.3.4")),
        ("SIZE=99999999999999999999", (552, "5.3.4")),
        ("SIZE=999999999999999999999", (501, "5.5.4")),
        ("SIZE", (501, "5.5.4")),
        ("SIZE=-1", (501, "5.5.4")),
        ("SIZE=1 SIZE=2", (501, "5.5.4")),
        ("BODY=BINARYMIME", None),
        ("BODY", (501, "5.5.4")),
        ("SMTPUTF8=1", (501, "5.5.4")),
        ("RET=ALL", (501, "5.5.4")),
        ("ENVID=", (501, "5.5.4")),
        ("ENVID=+0D+0Ax", (501, "5.5.4")),
        ("ENVID=+4", (501, "5.5.4")),
        ("ENVID=" + "x" * 101, (501, "5.5.4")),
        ("AUTH=<>", None),
        ("AUTH=+", (501, "5.5.4")),
        ("REQUIRETLS=1", (501, "5.5.4")),
        ("NOTIFY=NEVER", (555, "5.5.4")),
        ("=x", (501, "5.5.4")),
    ],
)
def test_mail_parameters_are_judged(parameter: str, verdict: tuple[int, str] | None) -> None:
    if verdict is None:
        mail(f"FROM:<> {parameter}")
    else:
        assert refusal(mail, f"FROM:<> {parameter}") == verdict


def test_rcpt_parameters() -> None:
    recipient = rcpt("TO:<b@example.org> NOTIFY=success,FAILURE ORCPT=rfc822;B+2Bx@example.org")
    assert recipient == Recipient(
        Address("b", "example.org"), frozenset({Notify.SUCCESS, Notify.FAILURE}), "rfc822;B+x@example.org"
    )


@pytest.mark.parametrize("text", ["TO:<Postmaster>", "to: <POSTMASTER>", "TO:<postmaster> NOTIFY=NEVER"])
def test_bare_postmaster_needs_no_domain(text: str) -> None:
    assert rcpt(text) is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("TO:<>", (501, "5.1.3")),
        ("TO:<b>", (501, "5.1.3")),
        ("TO:<b..c@example.org>", (501, "5.1.3")),
        ("TO:<b@example.org> NOTIFY=NEVER,DELAY", (501, "5.5.4")),
        ("TO:<b@example.org> NOTIFY=", (501, "5.5.4")),
        ("TO:<b@example.org> NOTIFY=SOMETIMES", (501, "5.5.4")),
        ("TO:<b@example.org> ORCPT=b@example.org", (501, "5.5.4")),
        ("TO:<b@example.org> ORCPT=rfc822;a+00", (501, "5.5.4")),
        ("TO:<b@example.org> ORCPT=utf-8;a\\x{D800}", (501, "5.5.4")),
        ("TO:<b@example.org> ORCPT=utf-8;a\\x{0A}", (501, "5.5.4")),
        ("TO:<b@example.org> SIZE=1", (555, "5.5.4")),
        ("TO:<bücher@example.org>", (553, "5.6.7")),
        ("TO:<b@bücher.example>", (553, "5.6.7")),
    ],
)
def test_bad_recipients(text: str, verdict: tuple[int, str]) -> None:
    assert refusal(rcpt, text) == verdict


def test_international_addresses_need_smtputf8() -> None:
    assert rcpt("TO:<bücher@bücher.example>", True) == Recipient(Address("bücher", "xn--bcher-kva.example"))
    assert mail("FROM:<é@example.org> SMTPUTF8").sender == Address("é", "example.org")
    assert refusal(mail, "FROM:<é@example.org>") == (553, "5.6.7")
    assert refusal(parse_mail, b"FROM:<\xe9@example.org>", LIMIT)[0] == 501


def test_international_orcpt_in_both_forms() -> None:
    for written in ("utf-8;é\\x{3D}@b", "utf-8;\\x{E9}\\x{3D}@b"):
        recipient = rcpt(f"TO:<b@example.org> ORCPT={written}", True)
        assert recipient is not None and recipient.original == "utf-8;é=@b"
        assert encode_orcpt(recipient.original) == "utf-8;\\x{E9}\\x{3D}@b"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_goes_both_ways(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text


@given(st.binary(max_size=60))
def test_any_argument_is_taken_or_refused(argument: bytes) -> None:
    for call in (
        lambda a: parse_mail(b"FROM:" + a, 9),
        lambda a: parse_rcpt(b"TO:" + a, True),
        parse_auth,
        parse_bdat,
        parse_hello,
    ):
        try:
            call(argument)
        except GrammarError as error:
            assert error.reply.encode().endswith(b"\r\n")


@pytest.mark.parametrize("text", ['FROM:<"\\"', "FROM:<@a", "FROM:<a", 'FROM:<"a"', "FROM:<@a,", "FROM:<@a:"])
def test_the_path_is_read_in_linear_time(text: str) -> None:
    def seconds(times: int) -> float:
        hostile = "FROM:<" + text[6:] * times
        began = time.process_time()
        for _ in range(5):
            refusal(mail, hostile)
        return time.process_time() - began

    few, many = (min(seconds(times) for _ in range(3)) for times in (2_000, 40_000))
    assert many < 60 * max(few, 2e-3)  # linear is 20, quadratic 400


def test_auth_arguments() -> None:
    assert parse_auth(b"plain") == ("PLAIN", None)
    assert parse_auth(b"PLAIN =") == ("PLAIN", b"")
    assert parse_auth(b"PLAIN AGEAYg==") == ("PLAIN", b"\0a\0b")
    assert refusal(parse_auth, b"PLAIN AGEAYg=") == (501, "5.5.2")
    assert refusal(parse_auth, b"PLAIN a b") == (501, "5.5.4")
    assert refusal(parse_auth, b"") == (501, "5.5.4")
    assert refusal(decode_base64, b"AGEA\nYg==") == (501, "5.5.2")


def test_bdat_arguments() -> None:
    assert parse_bdat(b"0 last") == (0, True)
    assert parse_bdat(b"86") == (86, False)
    for wrong in (b"", b"-1", b"1x", b"1 LAST LAST", b"1" * 20, b"LAST"):
        assert refusal(parse_bdat, wrong) == (501, "5.5.4")


def test_hello_takes_nearly_anything() -> None:
    for name in ("example.org", "[192.0.2.1]", "WIN-7_PC", "localhost", "a b", "-"):
        assert parse_hello(name.encode()) == name
    assert refusal(parse_hello, b" ")[0] == 501


def test_a_reply_has_its_status_on_each_line() -> None:
    assert Reply(250, ("one", "two"), "2.1.0").encode() == b"250-2.1.0 one\r\n250 2.1.0 two\r\n"
    assert Reply(354, "go").encode() == b"354 go\r\n"


def test_a_reply_cannot_be_forged_by_its_text() -> None:
    assert Reply(550, "no\r\n250 yes\0\x85é", "5.1.1").encode() == b"550 5.1.1 no??250 yes???\r\n"


@given(st.text(max_size=2000), st.booleans())
def test_long_replies_are_folded_below_the_limit(text: str, spaced: bool) -> None:
    lines = Reply(550, "word " * (400 if spaced else 0) + text, "5.7.1").encode().split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) <= MAX_LINE - 2 for line in lines)
    assert [line[3:4] for line in lines] == [b"-"] * (len(lines) - 1) + [b" "]


def test_reply_lines_are_read() -> None:
    assert parse_line(b"250 2.1.0 Ok") == ReplyLine(250, True, "2.1.0", "Ok")
    assert parse_line(b"250-SIZE 10") == ReplyLine(250, False, "", "SIZE 10")
    assert parse_line(b"220") == ReplyLine(220, True, "", "")
    assert parse_line(b"550 4.1.1 odd") == ReplyLine(550, True, "", "4.1.1 odd")
    assert parse_line(b"550 5.1.1") == ReplyLine(550, True, "5.1.1", "")
    assert parse_line(b"550 a\x1bb\xff") == ReplyLine(550, True, "", "a?b\N{REPLACEMENT CHARACTER}")
    for wrong in (b"", b"25", b"250x", b"150 no", b"hello", b"2500 x"):
        with pytest.raises(ReplyError):
            parse_line(wrong)


def test_lines_make_a_reply() -> None:
    assert assemble([parse_line(b"250 2.0.0 Ok")]) == Reply(250, "Ok", "2.0.0")
    lines = [parse_line(line) for line in (b"550-5.7.1 No", b"550 5.7.1 never")]
    assert assemble(lines) == Reply(550, ("No", "never"), "5.7.1")


@pytest.mark.parametrize(
    ("argument", "meaning"),
    [
        (b"imap://a@b/INBOX/;uid=1 LAST", (b"imap://a@b/INBOX/;uid=1", True)),
        (b"imap://a@b/INBOX/;uid=1", (b"imap://a@b/INBOX/;uid=1", False)),
        (b"http://x  last ", (b"http://x", True)),
    ],
)
def test_burl_names_a_url(argument: bytes, meaning: tuple[bytes, bool]):
    assert parse_burl(argument) == meaning


@pytest.mark.parametrize(
    "argument", [b"", b"LAST", b"imap://x FIRST", b"imap://x y LAST", b"imap:", b"//x", b"imap://" + b"x" * 5000]
)
def test_burl_without_a_url_is_refused(argument: bytes):
    with pytest.raises(GrammarError):
        parse_burl(argument)
