from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.header import (
    MAX_FIELD,
    MAX_HEADER,
    Field,
    fields,
    first,
    header_end,
    header_fields,
    unfold,
    values,
)

from .corpus import shuffled

HEADER = b"From: a@x\r\nSubject : Hello\r\n\tworld\r\nno field\r\nX-A: 1\r\nTo:\r\n b@y\r\nx-a:2\r\n\r\n"
ANY = shuffled("CRLF LF CR SP TAB A: From: : x NUL 8BIT")


class TestFields:
    def test_they_come_with_their_octets(self):
        found = fields(HEADER)
        assert [field.name for field in found] == [b"From", b"Subject", b"", b"X-A", b"To", b"x-a"]
        assert [HEADER[field.start : field.stop] for field in found] == [
            b"From: a@x\r\n",
            b"Subject : Hello\r\n\tworld\r\n",
            b"no field\r\n",
            b"X-A: 1\r\n",
            b"To:\r\n b@y\r\n",
            b"x-a:2\r\n",
        ]
        assert found[1].value == b" Hello\r\n\tworld"

    def test_a_last_line_without_its_end_is_a_field(self):
        assert fields(b"A: b\r\nC: d") == [Field(b"A", b" b", 0, 6), Field(b"C", b" d", 6, 10)]

    @pytest.mark.parametrize("line", [b"From alice Mon Jan 1 00:00:00 2024", b"a b: c", b": x", b"\xe9: x", b" x", b"nothing"])
    def test_garbage_has_no_name(self, line: bytes):
        assert [field.name for field in fields(line + b"\r\nA: b\r\n")] == [b"", b"A"]

    def test_values_are_collected_by_name(self):
        assert values(HEADER)[b"x-a"] == [b" 1\r", b"2\r"]
        assert values(HEADER)[b"subject"] == [b" Hello\r\n\tworld\r"]

    def test_the_first_of_a_name(self):
        assert first(HEADER, b"x-a") == b"1"
        assert first(HEADER, b"subject") == b"Hello\tworld"
        assert first(HEADER, b"cc") is None

    @given(ANY)
    def test_fields_lie_side_by_side(self, header: bytes):
        ends = [0]
        for field in fields(header):
            assert ends[-1] <= field.start < field.stop <= len(header)
            assert not header[ends[-1] : field.start].strip(b"\r\n")
            ends.append(field.stop)
        assert not header[ends[-1] :].strip(b"\r\n")

    def test_nothing_past_the_limits_is_looked_at(self):
        assert len(fields(b"A: b\r\n" * 1_700_000)) <= MAX_HEADER // 6 + 1
        assert len(values(b"A: " + b"x" * 10_000_000)[b"a"][0]) == MAX_FIELD


class TestUnfold:
    @pytest.mark.parametrize(
        ("raw", "line"),
        [
            (b" a\r\n b\r\n\tc\r", b"a b\tc"),
            (b" a\n b", b"a b"),
            (b" a\r\r\n b", b"a  b"),
            (b"a\rb\nc", b"a b c"),
            (b"\r\n \r\n ", b""),
            (b"\t a \t", b"a"),
        ],
    )
    def test_it_makes_one_line(self, raw: bytes, line: bytes):
        assert unfold(raw) == line

    @given(ANY)
    def test_no_line_end_is_left(self, raw: bytes):
        assert b"\n" not in unfold(raw)
        assert b"\r" not in unfold(raw)


class TestEnd:
    @pytest.mark.parametrize(
        ("data", "end"),
        [
            (b"A: b\r\n\r\nx", 8),
            (b"A: b\n\nx", 6),
            (b"A: b\n\r\nx", 7),
            (b"A: b\r\n\nx", 7),
            (b"\r\nx", 2),
            (b"\nx", 1),
            (b"A: b\r\n", 6),
            (b"", 0),
            (b"A: b\r\n \r\nx", 10),
            (b"\r", 1),
        ],
    )
    def test_it_is_past_the_first_empty_line(self, data: bytes, end: int):
        assert header_end(data, 0, len(data)) == end

    def test_it_stays_in_the_range(self):
        assert header_end(b"A: b\r\n\r\n", 0, 7) == 7
        assert header_end(b"x\r\n\r\n", 1, 2) == 2
        assert header_end(b"xx\n", 2, 2) == 2


class TestHeaderFields:
    def test_named_fields_in_the_headers_order_and_the_empty_line(self):
        assert header_fields(HEADER, [b"x-A", b"FROM"]) == b"From: a@x\r\nX-A: 1\r\nx-a:2\r\n\r\n"

    def test_folded_fields_are_whole(self):
        assert header_fields(HEADER, [b"subject"]) == b"Subject : Hello\r\n\tworld\r\n\r\n"

    def test_all_but_the_named(self):
        assert header_fields(HEADER, [b"X-A", b"From", b"to"], True) == b"Subject : Hello\r\n\tworld\r\nno field\r\n\r\n"

    def test_none_of_the_names_is_there(self):
        assert header_fields(HEADER, [b"cc"]) == b"\r\n"

    def test_a_header_without_an_empty_line_gets_none(self):
        assert header_fields(b"A: b\r\nC: d\r\n", [b"a"]) == b"A: b\r\n"
        assert header_fields(b"A: b\r\nC: d", [b"c"]) == b"C: d\r\n"
        assert header_fields(b"", [b"c"]) == b""

    @given(ANY.filter(lambda header: header_end(header, 0, len(header)) == len(header)))
    def test_not_naming_any_gives_all(self, header: bytes):
        assert [field.value for field in fields(header_fields(header, [], True))] == [field.value for field in fields(header)]

    @given(st.binary(max_size=100), st.booleans())
    def test_any_octets_may_be_asked(self, header: bytes, negate: bool):
        header_fields(header, [b"a", b""], negate)
