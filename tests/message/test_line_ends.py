from __future__ import annotations

import pytest

from postillon.message.line_ends import LineEnds


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([b"a\r\nb\r\n"], b"a\r\nb\r\n"),
        ([b"a\r", b"\nb\n", b"c"], b"a\r\nb\r\nc"),
        ([b"a\r", b"b\r"], b"a\r\nb\r\n"),
        ([b"\n\n\r\r\n"], b"\r\n\r\n\r\n\r\n"),
        ([b"", b"\r", b"", b"\n"], b"\r\n"),
    ],
)
def test_line_ends_become_crlf(pieces: list[bytes], whole: bytes):
    ends = LineEnds()
    assert b"".join([*map(ends.feed, pieces), ends.finish()]) == whole
    assert ends.is_clean is (b"".join(pieces) == whole)
