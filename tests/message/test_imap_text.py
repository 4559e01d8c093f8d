from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.imap_text import bodystructure, envelope, nstring, string
from postillon.message.structure import scan

from .corpus import DIGEST, FORWARDED, MIXED, PLAIN, crlf, shuffled


class TestString:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (b"", b'""'),
            (b"a b", b'"a b"'),
            (b'a"b\\c', b'"a\\"b\\\\c"'),
            (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
            (b"a\r\nb\0c", b'"a  b c"'),
            (b"\xff\0", b"{2}\r\n\xff "),
            (b"\x01\x7f", b'"\x01\x7f"'),
        ],
    )
    def test_it_is_quoted_or_a_literal(self, value: bytes, text: bytes):
        assert string(value) == text

    def test_nothing_is_nil(self):
        assert nstring(None) == b"NIL"
        assert nstring(b"NIL") == b'"NIL"'


class TestEnvelope:
    def test_all_ten_fields(self):
        header = crlf(
            """Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.example.edu>
Sender: s@example.edu
Reply-To: "R, T" <r@example.edu>
Subject: IMAP4rev1 WG mtg summary
 and minutes
To: imap@example.edu
Cc: minutes@example.com, John Klensin <KLENSIN@example.com>
Bcc: b@example.edu
In-Reply-To: <0@example.edu>
Message-Id: <B27397@example.edu>

"""
        )
        assert envelope(header) == (
            b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
            b'(("Terry Gray" NIL "gray" "cac.example.edu")) ((NIL NIL "s" "example.edu")) '
            b'(("R, T" NIL "r" "example.edu")) ((NIL NIL "imap" "example.edu")) '
            b'((NIL NIL "minutes" "example.com")("John Klensin" NIL "KLENSIN" "example.com")) '
            b'((NIL NIL "b" "example.edu")) "<0@example.edu>" "<B27397@example.edu>")'
        )

    @pytest.mark.parametrize(
        ("header", "text"),
        [
            ("", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
            ("Subject:", b'(NIL "" NIL NIL NIL NIL NIL NIL NIL NIL)'),
            ("To: ", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
            ("To: root", b'(NIL NIL NIL NIL NIL ((NIL NIL "root" "")) NIL NIL NIL NIL)'),
            ("To: nobody:;", b'(NIL NIL NIL NIL NIL ((NIL NIL "nobody" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)'),
            (
                "To: G: a@b;, c@d",
                b'(NIL NIL NIL NIL NIL ((NIL NIL "G" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)(NIL NIL "c" "d")) NIL NIL NIL NIL)',
            ),
            ("To: <@x,@y:a@b>", b'(NIL NIL NIL NIL NIL ((NIL "@x,@y" "a" "b")) NIL NIL NIL NIL)'),
            ("Cc: a@b\nSubject: x\nCc: c@d", b'(NIL "x" NIL NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL)'),
            ("Subject: one\nSubject: two", b'(NIL "one" NIL NIL NIL NIL NIL NIL NIL NIL)'),
            ("Subject: =?utf-8?q?caf=C3=A9?=", b'(NIL "=?utf-8?q?caf=C3=A9?=" NIL NIL NIL NIL NIL NIL NIL NIL)'),
            ("Subject: café", b"(NIL {5}\r\ncaf\xc3\xa9 NIL NIL NIL NIL NIL NIL NIL NIL)"),
            ("From: a@b\nSender:", b'(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)'),
        ],
    )
    def test_cases(self, header: str, text: bytes):
        assert envelope(crlf(header + "\n\n")) == text


class TestBodystructure:
    def test_a_text(self):
        tree = scan(PLAIN)
        assert bodystructure(tree, False) == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 27 2)'
        assert bodystructure(tree) == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 27 2 NIL NIL NIL NIL)'

    def test_a_multipart(self):
        tree = scan(MIXED)
        assert bodystructure(tree, False) == (
            b'((("text" "plain" ("charset" "utf-8") NIL NIL "quoted-printable" 9 0)'
            b'("text" "html" ("charset" "utf-8") NIL NIL "7bit" 12 0) "alternative")'
            b'("application" "pdf" ("name" "r.pdf") "<pdf@example.org>" "the report" "base64" 12) "mixed")'
        )
        assert bodystructure(tree) == (
            b'((("text" "plain" ("charset" "utf-8") NIL NIL "quoted-printable" 9 0 NIL NIL NIL NIL)'
            b'("text" "html" ("charset" "utf-8") NIL NIL "7bit" 12 0 NIL NIL NIL NIL) '
            b'"alternative" ("boundary" "inner") NIL NIL NIL)'
            b'("application" "pdf" ("name" "r.pdf") "<pdf@example.org>" "the report" "base64" 12 '
            b'"Q2hlY2sgSW50ZWdyaXR5IQ==" ("attachment" ("filename" "r.pdf")) ("en" "de") "http://example.org/r.pdf") '
            b'"mixed" ("boundary" "outer") NIL NIL NIL)'
        )

    def test_an_embedded_message(self):
        text = bodystructure(scan(FORWARDED), False)
        assert (
            b'("message" "rfc822" NIL NIL NIL "7bit" 30 (NIL "A single one" NIL NIL NIL NIL NIL NIL NIL NIL) '
            b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 0) 2)'
        ) in text

    def test_a_digest(self):
        assert bodystructure(scan(DIGEST), False).startswith(b'(("message" "rfc822" NIL NIL NIL "7bit" ')

    def test_encoded_parameters_go_out_as_they_came(self):
        tree = scan(crlf("Content-Type: text/plain; name*0*=utf-8''caf%C3%A9; name*1=x\n\n"))
        assert b'("name*0*" "utf-8\'\'caf%C3%A9" "name*1" "x")' in bodystructure(tree)

    def test_one_language_is_a_string(self):
        assert bodystructure(scan(crlf("Content-Language: de\n\n"))).endswith(b' NIL NIL "de" NIL)')

    def test_a_disposition_without_parameters(self):
        assert bodystructure(scan(crlf("Content-Disposition: inline\n\n"))).endswith(b' NIL ("inline" NIL) NIL NIL)')


def parse(text: bytes) -> object:
    """A small reader of IMAP's parenthesised data: lists, atoms, strings; the whole text must be one value."""
    at = 0
    stack: list[list[object]] = [[]]
    while at < len(text):
        rest = text[at:]
        if rest.startswith(b"("):
            stack.append([])
            at += 1
        elif rest.startswith(b")"):
            done = stack.pop()
            stack[-1].append(done)
            at += 1
        elif rest.startswith(b" "):
            at += 1
        elif rest.startswith(b'"'):
            stop = at + 1
            while text[stop : stop + 1] != b'"':
                assert text[stop] < 128 and text[stop] not in b"\r\n\0"
                stop += 2 if text[stop : stop + 1] == b"\\" else 1
            stack[-1].append(text[at + 1 : stop])
            at = stop + 1
        elif rest.startswith(b"{"):
            size, _, _ = rest[1:].partition(b"}\r\n")
            start = at + len(size) + 4
            at = start + int(size)
            assert b"\0" not in text[start:at]
            assert len(text) > at
            stack[-1].append(text[start:at])
        else:
            atom = rest.replace(b")", b" ").split(b" ")[0]
            assert atom == b"NIL" or atom.isdigit(), atom
            stack[-1].append(atom)
            at += len(atom)
    assert len(stack) == 1 and len(stack[0]) == 1
    return stack[0][0]


class TestGrammar:
    ANY = shuffled(
        'CRLF CRLF CRLF --b --b-- Content-Type: multipart/mixed;boundary=b message/rfc822 From: To: Subject: " \\ ; a@b < > x=y '
        "Content-Language: Content-ID: Content-Disposition: NUL 8BIT CR SP ( ) , : text/html",
        size=80,
    )

    @given(ANY)
    def test_any_message_gives_well_formed_text(self, data: bytes):
        tree = scan(data)
        for extended in (True, False):
            assert isinstance(parse(bodystructure(tree, extended)), list)

    @given(ANY | st.binary(max_size=200))
    def test_any_header_gives_ten_fields(self, header: bytes):
        found = parse(envelope(header))
        assert isinstance(found, list)
        assert len(found) == 10
        for addresses in found[2:8]:
            assert addresses == b"NIL" or all(len(address) == 4 for address in addresses)
