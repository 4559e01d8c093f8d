import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.protocols.imap.sequence import (
    STAR,
    SequenceError,
    SequenceSet,
    format_in_order,
    format_set,
    merge,
    select,
    to_ranges,
)

_numbers = st.integers(1, 60)
_element = st.one_of(
    _numbers.map(str), st.tuples(_numbers | st.just("*"), _numbers | st.just("*")).map(lambda p: f"{p[0]}:{p[1]}"), st.just("*")
)
_sets = st.lists(_element, min_size=1, max_size=6).map(lambda parts: ",".join(parts).encode())


def by_the_book(text: bytes, largest: int) -> set[int]:
    """RFC 3501 §9 seq-range, number by number."""
    found: set[int] = set()
    for part in text.decode().split(","):
        ends = [largest if end == "*" else int(end) for end in part.split(":")]
        found |= set(range(min(ends), max(ends) + 1))
    return {number for number in found if number <= largest}


@pytest.mark.parametrize(
    ("text", "largest", "ranges"),
    [
        (b"1", 5, [(1, 1)]),
        (b"1:*", 5, [(1, 5)]),
        (b"*", 5, [(5, 5)]),
        (b"*:4", 7, [(4, 7)]),
        (b"5:2", 9, [(2, 5)]),
        (b"2,4:7,9,12:*", 15, [(2, 2), (4, 7), (9, 9), (12, 15)]),  # RFC 3501 §9, the example of seq-set
        (b"*:4,5:7", 10, [(4, 10)]),
        (b"9:*", 5, [(5, 5)]),  # RFC 3501 §6.4.8: a uid range always contains the last message
        (b"7", 5, []),
        (b"3:9", 5, [(3, 5)]),
        (b"1:4294967295", 3, [(1, 3)]),
        (b"1:*", 0, []),
        (b"*", 0, []),
    ],
)
def test_a_set_is_resolved_against_the_largest_number(text, largest, ranges):
    assert SequenceSet.parse(text).resolve(largest) == ranges


@given(_sets, st.integers(1, 40))
def test_resolving_agrees_with_the_definition(text, largest):
    parsed = SequenceSet.parse(text)
    expected = by_the_book(text, largest)
    resolved = parsed.resolve(largest)
    assert {number for low, high in resolved for number in range(low, high + 1)} == expected
    assert resolved == merge(resolved)


@given(_sets)
def test_a_set_is_written_as_it_was_meant(text):
    parsed = SequenceSet.parse(text)
    assert SequenceSet.parse(bytes(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"1,",
        b",1",
        b"1:",
        b":1",
        b"1:2:3",
        b"01",
        b"-1",
        b"a",
        b"1 ",
        b"4294967296",
        b"4294967296,*",
        b"4294967297:5",
        b"1:99999999999",
        b"$",
        b"1,,2",
    ],
)
def test_what_is_no_set_is_refused(text):
    with pytest.raises(SequenceError):
        SequenceSet.parse(text)


def test_the_highest_number_that_is_written():
    assert SequenceSet.parse(b"3,9:7,*").highest == 9
    assert SequenceSet.parse(b"12:*").highest == 12
    assert SequenceSet.parse(b"*").highest == 0
    assert SequenceSet.parse(b"*").has_star and not SequenceSet.parse(b"1:3").has_star
    assert SequenceSet.parse(b"*").ranges == ((STAR, STAR),)


def test_numbers_are_selected_by_bisection():
    assert select([2, 4, 6, 8, 10], [(1, 4), (7, 8), (11, 20)]) == [2, 4, 8]
    assert select([], [(1, 4)]) == []


@given(st.sets(st.integers(1, 300)))
def test_formatting_and_parsing_are_inverse(numbers):
    ordered = sorted(numbers)
    ranges = to_ranges(ordered)
    assert [number for low, high in ranges for number in range(low, high + 1)] == ordered
    assert ranges == merge(ranges)
    if ordered:
        assert SequenceSet.parse(format_set(ordered)).resolve(300) == ranges


@given(st.sets(st.integers(1, 400), max_size=8), st.integers(100, 400))
def test_formatting_long_runs_with_few_holes(holes, size):
    ordered = [number for number in range(5, size) if number not in holes]
    ranges = to_ranges(ordered)
    assert [number for low, high in ranges for number in range(low, high + 1)] == ordered
    assert ranges == merge(ranges)


def test_formatting():
    assert format_set([1, 2, 3, 5]) == b"1:3,5"
    assert format_set([7]) == b"7"
    assert format_set([]) == b""
    assert format_set(range(1, 100001)) == b"1:100000"


def test_formatting_a_hundred_thousand_is_quick():
    started = time.process_time()
    assert format_set([number for number in range(1, 110001) if number % 10]).startswith(b"1:9,11:19,21:29,")
    assert format_set(range(1, 200001, 2)).startswith(b"1,3,5,")
    assert time.process_time() - started < 3


def test_a_set_can_keep_an_order_other_than_theirs():
    assert format_in_order([12, 13, 3, 9, 8, 7, 5, 6]) == b"12:13,3,9,8,7,5:6"
    assert format_in_order([4]) == b"4"
