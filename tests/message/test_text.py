from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.structure import scan
from postillon.message.text import header_text, html_text, messages, part_text, text_parts

from .corpus import FORWARDED, MIXED, PLAIN, crlf


def texts(data: bytes) -> list[str]:
    return [part_text(part, data[part.body_start : part.body_end]) for part in text_parts(scan(data))]


def test_text_parts_are_decoded_in_order():
    assert texts(MIXED) == ["café", "café"]
    assert texts(FORWARDED) == ["See below.", "first", "Text."]
    assert texts(PLAIN) == ["Are you hungry?\nSo am I.\n"]


def test_the_charset_may_be_written_in_any_way():
    assert texts(crlf("Content-Type: text/plain; charset*=us-ascii''iso-8859-1\nContent-Transfer-Encoding: base64\n\n6Q==")) == [
        "é"
    ]


def test_all_messages_in_a_message():
    assert [part.header_start for part in messages(scan(FORWARDED))] == [
        0,
        FORWARDED.index(b"From: Carol"),
        FORWARDED.index(b"Subject: A single"),
    ]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("a<b>b</b>c", "abc"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<td>a</td><td>b</td>", "a\nb"),
        ("a &amp; b &lt;c&gt; &eacute; &#233; &#xE9; &euro", "a & b <c> é é é €"),
        ("&nosuch; &#0; &#xD800; &#9999999999; &", "&nosuch; &"),
        ("<script>var a = '<p>';</script>x", "x"),
        ("<style>p { }</style >x<STYLE>y", "xy"),
        ("<script>never ends", "never ends"),
        ("<scripted>x</scripted>", "x"),
        ("a<!-- b <p> -->c<!-- d", "ac d"),
        ('<a href="x>y" title=\'>\'>z</a>', "z"),
        ("<img src=x alt='a picture'>!", "a picture !"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<!DOCTYPE html><?xml version='1'?>x", "x"),
        ("a\n  b\t c&nbsp;d", "a b c d"),
        ("<p>unclosed <b", "unclosed"),
        ("", ""),
    ],
)  # fmt: skip
def test_html_is_reduced_to_what_it_shows(markup: str, text: str):
    assert html_text(markup) == text


@given(
    st.lists(
        st.sampled_from(["<", ">", "<!--", "-->", "<p", "<script>", "</script>", '"', "'", "&", "#", "x1;", " ", "\n", "é", "/"])
    )
)
def test_any_markup_is_reduced(pieces: list[str]):
    html_text("".join(pieces))


HOSTILE = ["<", "<a ", "<a '", '<a "', "<!--", "<!-- -->", "<script>", "<style><script>", "&", "&#", "&#1", "&a"]
HOSTILE += [" ", "\n", " \n", "<p>", "<img alt", "</", '<img alt="']


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_megabyte_is_reduced_at_once(unit: str):
    html_text(unit * (1_000_000 // len(unit)))


class TestHeaderText:
    HEADER = crlf("Subject: =?utf-8?q?caf=C3=A9?=\n =?utf-8?q?s?=\nX-A: 1\ngarbage\nTo: b@x\nx-a: 2\n\n")

    def test_all_fields_are_decoded(self):
        assert header_text(self.HEADER) == "Subject: cafés\nX-A: 1\nTo: b@x\nx-a: 2"

    def test_only_those_named(self):
        assert header_text(self.HEADER, [b"x-A", b"cc"]) == "X-A: 1\nx-a: 2"
