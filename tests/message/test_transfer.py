from __future__ import annotations

import base64
import quopri
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.transfer import (
    decode,
    decoder,
    encode_base64,
    encode_quoted_printable,
)

from .corpus import shuffled

ENCODING = st.sampled_from([b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"])
ANY = st.binary(max_size=80) | shuffled("= == =3D =3 QUJD QQ CR CRLF LF SP TAB a A 8BIT NUL")


@pytest.mark.parametrize(
    ("encoding", "octets", "expected"),
    [
        (b"7bit", b"a=3D\r\n", b"a=3D\r\n"),
        (b"x-unknown", b"a=3D", b"a=3D"),
        (b"base64", b"aGVs\r\nbG8=\r\n", b"hello"),
        (b"base64", b"aGVsbG8", b"hello"),
        (b"base64", b"a G*V\0s!bG8=", b"hello"),
        (b"base64", b"aGk=aGk=", b"hihi"),
        (b"base64", b"aGVsb", b"hel"),
        (b"base64", b"====", b""),
        (b"quoted-printable", b"caf=C3=A9=\r\n!\r\n", "café!\r\n".encode()),
        (b"quoted-printable", b"a  \t\r\nb \nc", b"a\r\nb\nc"),
        (b"quoted-printable", b"a=  \r\nb", b"ab"),
        (b"quoted-printable", b"a=3db=zz=4", b"a=b=zz=4"),
        (b"quoted-printable", b"a==41=", b"a=A"),
        (b"quoted-printable", b"a=\rhidden\nb", b"a=\rhidden\nb"),
        (b"quoted-printable", b"end  ", b"end"),
        (b"quoted-printable", b"\xe9", b"\xe9"),
    ],
)
def test_decoding(encoding: bytes, octets: bytes, expected: bytes):
    assert decode(octets, encoding) == expected


@given(ENCODING, ANY, st.lists(st.integers(0, 80), max_size=6))
def test_the_pieces_do_not_matter(encoding: bytes, octets: bytes, cuts: list[int]):
    one = decoder(encoding)
    ends = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    pieces = [one.feed(octets[start:stop]) for start, stop in pairwise(ends)]
    assert b"".join(pieces) + one.finish() == decode(octets, encoding)


@given(st.binary(max_size=300))
def test_encoded_octets_come_back(octets: bytes):
    assert encode_base64(octets).replace(b"\r\n", b"") == base64.b64encode(octets)
    assert decode(encode_base64(octets), b"base64") == octets


@given(st.text(alphabet="ab =é\t\n.", max_size=200))
def test_encoded_text_comes_back(text: str):
    octets = text.replace("\n", "\r\n").encode()
    encoded = encode_quoted_printable(octets)
    assert decode(encoded, b"quoted-printable") == octets
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))


@given(st.text(alphabet="ab =é\n", max_size=100))
def test_what_others_encoded_is_decoded(text: str):
    assert decode(quopri.encodestring(text.encode()), b"quoted-printable") == text.encode()


def test_an_unknown_encoding_has_no_decoder():
    with pytest.raises(ValueError):
        decoder(b"x-uuencode")


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable"])
@pytest.mark.parametrize("unit", [b"=", b" ", b"\r", b"\n", b"= \r", b" \r\n", b"QQ==", b"=3D", b"==\r"])
def test_ten_megabytes_in_small_pieces(encoding: bytes, unit: bytes):
    one = decoder(encoding)
    chunk = unit * (4096 // len(unit))
    for _ in range(2500):
        one.feed(chunk)
        assert len(one._kept) <= 80_000  # type: ignore[attr-defined]
    one.finish()
