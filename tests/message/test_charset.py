from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.charset import CODECS, codec, decode


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"abc", "us-ascii", "abc"),
        ("é".encode(), "us-ascii", "é"),
        (b"\xe9", "us-ascii", "é"),
        (b"\xe9", "ISO-8859-1", "é"),
        (b"\x80", "iso-8859-1", "€"),
        (b"\xa4", "iso-8859-15", "€"),
        (b"\xc3", "utf-8", "\ufffd"),
        ("é".encode(), ' "UTF-8" ', "é"),
        (b"\xc6\xfc\xcb\xdc", "euc-jp", "日本"),
        (b"+AOk-", "utf-7", "é"),
        (b"+2AA-x", "utf-7", "\ufffdx"),
        (b"+2D3eAA-", "utf-7", "\U0001f600"),
        (b"\xff\xff", "utf-16", "\uffff"),
        (b"\x81", "no such charset", "\ufffd"),
        (b"x", "", "x"),
    ],
)
def test_decoding(octets: bytes, label: str, text: str):
    assert decode(octets, label) == text


@pytest.mark.parametrize(
    "label", ["idna", "punycode", "rot13", "zlib", "hex", "base64", "unicode_escape", "raw_unicode_escape", "mbcs", "../x"]
)
def test_codecs_that_are_no_charsets_are_unknown(label: str):
    assert codec(label) is None


def test_every_label_has_a_codec_of_python():
    for name in set(CODECS.values()):
        assert codecs.lookup(name)._is_text_encoding  # type: ignore[attr-defined]


@given(st.binary(max_size=60), st.sampled_from(sorted(CODECS)))
def test_any_octets_are_text_in_any_charset(octets: bytes, label: str):
    assert isinstance(decode(octets, label), str)
