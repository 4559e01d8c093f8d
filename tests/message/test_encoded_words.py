from __future__ import annotations

import email.header
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.encoded_words import MAX_WORD, decode, decode_parameters, encode, encode_parameter
from postillon.message.parameters import content_type

from .corpus import shuffled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 2047 §8
        (b"(=?ISO-8859-1?Q?a?=)", "(a)"),
        (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
        (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
        (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
        (b"=?iso-8859-1?q?caf=E9?=", "café"),
        (b"=?UTF-8?B?Y2Fmw6k=?= !", "café !"),
        (b"=?utf-8*en?q?x?=", "x"),
        (b"=?utf-8?b?Y2Fmw6k?=", "café"),
        (b"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "café"),
        (b"=?utf-8?b?Y2Fm?= =?UTF-8?Q?=C3=A9?=", "café"),
        (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?utf-8?q?a b?=", "a b"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?a", "=?utf-8?q?a"),
        (b"=?unknown?q?caf=C3=A9?=", "café"),
        (b"=?hex_codec?q?41?=", "41"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"=?utf-8?q?a=0D=0ABcc:_b=00?=", "a  Bcc: b "),
        (b"", ""),
    ],
)
def test_decoding(value: bytes, text: str):
    assert decode(value) == text


class TestEncoding:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("plain text", b"plain text"),
            ("café", b"=?utf-8?q?caf=C3=A9?="),
            ("日本", b"=?utf-8?b?5pel5pys?="),
            ("=?utf-8?q?x?=", b"=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?="),
            ("a\r\nBcc: b", b"a  Bcc: b"),
        ],
    )
    def test_cases(self, text: str, value: bytes):
        assert encode(text) == value

    @given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
    def test_it_is_read_back(self, text: str):
        value = encode(text)
        assert decode(value) == text
        assert value.isascii()
        assert all(len(word) <= MAX_WORD for word in value.split(b" ") if word.startswith(b"=?"))

    @given(st.text(alphabet="aé日 ", min_size=1, max_size=100).filter(lambda text: not text.isascii()))
    def test_others_read_it(self, text: str):
        found = email.header.make_header(email.header.decode_header(encode(text).decode()))
        assert str(found) == text


class TestParameters:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (b"a/b; x=y; X=z", {"x": "y"}),
            (b"a/b; name*=utf-8''caf%C3%A9", {"name": "café"}),
            (b"a/b; name*=iso-8859-1'fr'caf%E9", {"name": "café"}),
            (b"a/b; name*0*=utf-8''caf%C3; name*1*=%A9; name*2=\"%41.txt\"", {"name": "café%41.txt"}),
            (b"a/b; name*1=b; name*0=a; name*3=d", {"name": "ab"}),
            (b"a/b; name*1=b", {}),
            (b"a/b; name=plain; name*=utf-8''extended", {"name": "extended"}),
            (b'a/b; name="=?utf-8?q?caf=C3=A9?="', {"name": "café"}),
            (b"a/b; name*=caf%C3%A9", {"name": "café"}),
            (b"a/b; name*=utf-8''a%0D%0Ab%00", {"name": "a  b "}),
            (b"a/b; name**=x; *=y; name*x=z", {}),
            (b"a/b; name*0*=utf-8''a; name*=utf-8''b", {"name": "a"}),
        ],
    )
    def test_decoding(self, value: bytes, found: dict[str, str]):
        parsed = content_type(value)
        assert parsed is not None
        assert decode_parameters(parsed[2]) == found

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("a.txt", b"filename=a.txt"),
            ("a b.txt", b'filename="a b.txt"'),
            ('a"b\\', b'filename="a\\"b\\\\"'),
            ("café", b"filename*=utf-8''caf%C3%A9"),
            ("a\r\nb", b'filename="a  b"'),
            ("", b'filename=""'),
        ],
    )
    def test_encoding(self, value: str, text: bytes):
        assert encode_parameter("filename", value) == text

    @given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=150))
    def test_what_is_written_is_read_back(self, value: str):
        parsed = content_type(b"a/b; " + encode_parameter("name", value))
        assert parsed is not None
        assert decode_parameters(parsed[2]).get("name", "").strip(" ") == value.strip(" ")


@given(shuffled("=? ?= ? utf-8 q b Q * ' % =C3 =A9 QUJD SP TAB CRLF NUL 8BIT _ x"))
def test_anything_is_decoded_to_one_line(value: bytes):
    assert not re.search(r"[\r\n\0]", decode(value))


@given(st.lists(st.tuples(shuffled("name * 0 1 99 '", 6), shuffled("utf-8 ' ' % %41 8BIT x", 6)), max_size=8))
def test_any_parameters_are_decoded(params: list[tuple[bytes, bytes]]):
    decode_parameters(params)


@pytest.mark.parametrize("unit", ["=?", "=?a?q?", "=?utf-8?q?x?= ", "=?utf-8?b?QQ?=", "=?utf-8", " ", "?=", "=?a*b?q?"])
def test_a_megabyte_is_decoded_at_once(unit: str):
    decode(unit.encode() * (1_000_000 // len(unit)))
