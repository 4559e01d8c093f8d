from __future__ import annotations

import pytest
from hypothesis import given

from postillon.message.parameters import MAX_PARAMS, content_type, disposition, without_comments

from .corpus import shuffled


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/plain", (b"text", b"plain", ())),
        (b"TEXT/Plain; CHARSET=UTF-8", (b"text", b"plain", ((b"charset", b"UTF-8"),))),
        (b'text/plain;charset="utf-8" ; format=flowed', (b"text", b"plain", ((b"charset", b"utf-8"), (b"format", b"flowed")))),
        (b"text / plain ; a = b", (b"text", b"plain", ((b"a", b"b"),))),
        (b"text/plain; charset=us-ascii (Plain text)", (b"text", b"plain", ((b"charset", b"us-ascii"),))),
        (b"text/plain (a (b) \\) c); x=y", (b"text", b"plain", ((b"x", b"y"),))),
        (b"text/plain charset=utf-8", (b"text", b"plain", ((b"charset", b"utf-8"),))),
        (b'a/b; n="x\\"y\\\\z; q=1"', (b"a", b"b", ((b"n", b'x"y\\z; q=1'),))),
        (b'a/b; n="not closed; x=y', (b"a", b"b", ((b"n", b"not closed; x=y"),))),
        (b'a/b; n="ends so\\', (b"a", b"b", ((b"n", b"ends so"),))),
        (b"a/b; =x; ;;junk; \"q;\" ; c=d", (b"a", b"b", ((b"c", b"d"),))),
        (b"a/b; n=my file.txt; c=d", (b"a", b"b", ((b"n", b"my file.txt"), (b"c", b"d")))),
        (b"a/b; name=report (1).pdf", (b"a", b"b", ((b"name", b"report (1).pdf"),))),
        (b"a/b; name*0*=utf-8''x; name*1=y", (b"a", b"b", ((b"name*0*", b"utf-8''x"), (b"name*1", b"y")))),
        (b"a/b; n=", (b"a", b"b", ((b"n", b""),))),
        (b"a/b; n=\xe9", (b"a", b"b", ((b"n", b"\xe9"),))),
        (b"text", None),
        (b"", None),
        (b"/plain", None),
        (b"text/", None),
        (b"; a=b", None),
        (b'"text"/plain', None),
    ],
)  # fmt: skip
def test_content_types(value: bytes, expected: object):
    assert content_type(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"inline", (b"inline", ())),
        (b"Attachment; FileName=a.txt", (b"attachment", ((b"filename", b"a.txt"),))),
        (b"attachment (not shown); filename=a", (b"attachment", ((b"filename", b"a"),))),
        (b'attachment; filename="a (1).txt"', (b"attachment", ((b"filename", b"a (1).txt"),))),
        (b"filename=a", (b"filename=a", ())),
        (b"", (b"", ())),
        (b"; filename=a", (b"", ((b"filename", b"a"),))),
    ],
)
def test_dispositions(value: bytes, expected: object):
    assert disposition(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a (b) c", b"a   c"),
        (b'a "(b)" c', b'a "(b)" c'),
        (b"a (it's \"x) c", b"a   c"),
        (b"a (b", b"a (b"),
        (b"a (b (c)", b"a (b (c)"),
        (b"\\(a (b)", b"\\(a  "),
        (b")", b")"),
    ],
)
def test_comments_go(value: bytes, expected: bytes):
    assert without_comments(value) == expected


@given(shuffled('text/plain ; = " \\ ( ) a SP * 8BIT NUL x=y'))
def test_anything_may_be_read(value: bytes):
    content_type(value)
    disposition(value)
    without_comments(value)


@pytest.mark.parametrize("unit", ["; a=b", ';a="', ";a", "(", "\\", ' "', "=", "; ", "a=(", ";(", '"\\'])
def test_a_megabyte_is_read_at_once(unit: str):
    found = content_type(b"a/b" + unit.encode() * (1_000_000 // len(unit)))
    assert found is not None
    assert len(found[2]) <= MAX_PARAMS
    disposition(unit.encode() * 300_000)
