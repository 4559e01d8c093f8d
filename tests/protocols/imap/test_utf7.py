import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postillon.protocols.imap.utf7 import Utf7Error, decode, encode

PAIRS = [
    ("", b""),
    ("INBOX", b"INBOX"),
    ("Entwürfe", b"Entw&APw-rfe"),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
    ("R&D", b"R&-D"),
    ("&&", b"&-&-"),
    ("é&", b"&AOk-&-"),
    ("😀", b"&2D3eAA-"),
    ("a\tb", b"a&AAk-b"),
]


@pytest.mark.parametrize(("text", "octets"), PAIRS)
def test_both_ways(text, octets):
    assert encode(text) == octets
    assert decode(octets) == text


@given(st.text())
@example("&-")
@example("\x00\x7f")
def test_every_text_comes_back(text):
    octets = encode(text)
    assert octets.isascii() and (not octets or octets.decode().isprintable())
    assert decode(octets) == text


@given(st.binary(max_size=40) | st.text("&-+,AaZz09/ \x7fé", max_size=20).map(lambda text: text.encode()))
@example(b"&AAAA-")
def test_each_name_has_one_spelling(octets):
    try:
        text = decode(octets)
    except Utf7Error:
        return
    assert encode(text) == octets


@pytest.mark.parametrize(
    "octets",
    [
        b"&",  # not closed
        b"&AOk",
        b"a&b",
        b"&Jjo!",  # RFC 3501 §5.1.3: this one and the next are its examples of what is not valid
        b"&U,BTFw-&ZeVnLIqe-",
        b"&AGE-",  # printable ASCII in base64
        b"&AO-",  # half a character
        b"&AOl-",  # padding bits that are not zero
        b"&AOk=-",
        b"&2D0-",  # half a surrogate pair
        b"caf\xc3\xa9",
        b"a\tb",
        b"a\x7fb",
        b"\0",
    ],
)
def test_wrong_spellings_are_refused(octets):
    with pytest.raises(Utf7Error):
        decode(octets)


def test_a_lone_surrogate_has_no_spelling():
    with pytest.raises(Utf7Error):
        encode("\ud83d")
