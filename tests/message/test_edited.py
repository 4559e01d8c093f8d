"""Header changes as filters ask for them."""

from __future__ import annotations

import pytest

from postillon.message.edited import edited, field_octets, together
from postillon.model.verdict import Edits, FieldEdit
from tests.growth import cost

HEADER = b"A: 1\r\nB: 2\r\n\tfolded\r\na: 3\r\ngarbage\r\nC: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("edit", "after"),
    [
        (FieldEdit(b"D", b" 5"), HEADER[:-2] + b"D: 5\r\n\r\n"),
        (FieldEdit(b"D", b"5", at=0), b"D: 5\r\n" + HEADER),
        (FieldEdit(b"D", b" 5", at=2), HEADER.replace(b"a: 3", b"D: 5\r\na: 3")),
        (FieldEdit(b"D", b" 5", at=99), HEADER[:-2] + b"D: 5\r\n\r\n"),
        (FieldEdit(b"A", b" x", nth=2), HEADER.replace(b"a: 3", b"A: x")),
        (FieldEdit(b"a", None, nth=1), HEADER.replace(b"A: 1\r\n", b"")),
        (FieldEdit(b"B", None, nth=1), HEADER.replace(b"B: 2\r\n\tfolded\r\n", b"")),
        (FieldEdit(b"A", None, nth=3), HEADER),
        (FieldEdit(b"A", b" x", nth=3), HEADER[:-2] + b"A: x\r\n\r\n"),
        (FieldEdit(b"bad name", b"x"), HEADER),
        (FieldEdit(b"", b"x"), HEADER),
        (FieldEdit(b"D\r\nE", b"x"), HEADER),
    ],
)
def test_one_change(edit: FieldEdit, after: bytes) -> None:
    assert edited(HEADER, [edit]) == after


def test_changes_are_made_in_their_order() -> None:
    edits = [FieldEdit(b"A", None, nth=1), FieldEdit(b"A", b" x", nth=1), FieldEdit(b"Z", b" 0", at=0)]
    assert edited(HEADER, edits) == HEADER.replace(b"A: 1\r\n", b"Z: 0\r\n").replace(b"a: 3", b"A: x")


def test_fields_that_are_left_out_count_for_the_places() -> None:
    kept = HEADER.replace(b"A: 1\r\n", b"")
    assert edited(HEADER, [FieldEdit(b"A", b" x", nth=2)], kept) == kept.replace(b"a: 3", b"A: x")
    assert edited(HEADER, [FieldEdit(b"D", b" 5", at=2)], kept) == kept.replace(b"a: 3", b"D: 5\r\na: 3")


@pytest.mark.parametrize("value", [b"a\r\nb", b"a\nb", b"a\rb", b"a\r\n\r\nb", b"a\n\nb", b"\r\na\r\n b\r\n", b"a\0\r\n.\r\nb"])
def test_a_value_stays_one_field(value: bytes) -> None:
    octets = field_octets(b"X", value)
    lines = octets.split(b"\r\n")
    assert octets.endswith(b"\r\n") and b"\0" not in octets
    assert all(line[:1] in b"\t " and line.strip() for line in lines[1:-1])
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")


def test_edits_one_after_the_other() -> None:
    first = Edits((FieldEdit(b"A", b"1"),), b"one", "a@b.test", ("x@y.test", "z@y.test"), ("w@y.test",))
    then = Edits((FieldEdit(b"B", b"2"),), None, "", ("w@y.test",), ("x@y.test",))
    assert together([first, then]) == Edits(
        (FieldEdit(b"A", b"1"), FieldEdit(b"B", b"2")), b"one", "", ("z@y.test", "w@y.test"), ("x@y.test",)
    )
    assert together([]) == Edits()


def test_time_is_linear_in_the_header() -> None:
    def took(count: int) -> float:
        header = b"X-A: b\r\n" * count + b"\r\n"
        return cost(lambda: edited(header, [FieldEdit(b"X-B", b"c", nth=1)] * 10))

    assert took(80_000) < 4 * 2.5 * took(20_000) + 0.05
