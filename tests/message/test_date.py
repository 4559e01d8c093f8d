from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.date import civil, days_from_epoch, format_date, parse_date

from .corpus import shuffled

EIGHT = 1705302000  # Mon, 15 Jan 2024 07:00:00 UTC


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("Mon, 15 Jan 2024 08:00:00 +0100", (EIGHT, 60)),
        ("15 Jan 2024 08:00:00 +0100", (EIGHT, 60)),
        ("Mon, 15 Jan 2024 08:00 +0100", (EIGHT, 60)),
        ("Monday, 15 January 2024 07:00:00 GMT", (EIGHT, 0)),
        ("Mon,15 Jan 2024 02:00:00 EST", (EIGHT, -300)),
        ("Mon, 15 Jan 24 07:00:00 UT", (EIGHT, 0)),
        ("Mon, 15 Jan 124 07:00:00 Z", (EIGHT, 0)),
        ("Mon, 15 Jan 2024 07:00:00", (EIGHT, 0)),
        ("Mon, 15 Jan 2024 07:00:00 -0000", (EIGHT, 0)),
        ("Mon, 15 Jan 2024 07:00:00 XYZ", (EIGHT, 0)),
        ("Mon, 15 Jan 2024 08:00:00 +0100 (CET)", (EIGHT, 60)),
        ("(a) Mon, 15 (b) Jan 2024 (c) 08:00:00 +0100", (EIGHT, 60)),
        ("Mon, 15-Jan-2024 08:00:00 +01:00", (EIGHT, 60)),
        ("15/Jan/2024 08.00.00 +0100", (EIGHT, 60)),
        ("Mon, 15 Jan 2024 07:00:00 GMT+0000", (EIGHT, 0)),
        ("Mon, 15 Jan 2024 07:00:00.123 +0000", (EIGHT, 0)),
        ("Mon Jan 15 07:00:00 2024", (EIGHT, 0)),
        ("Mon Jan 15 02:00:00 EST 2024", (EIGHT, -300)),
        ("Mon Jan 15 08:00:00 2024 +0100", (EIGHT, 60)),
        ("Jan 15, 2024 07:00:00", None),
        ("2024-01-15T08:00:00+01:00", (EIGHT, 60)),
        ("2024-01-15 07:00:00", (EIGHT, 0)),
        ("2024-01-15T07:00:00.5Z", (EIGHT, 0)),
        ("Thu, 1 Jan 1970 00:00:00 +0000", (0, 0)),
        ("Wed, 31 Dec 69 23:59:59 +0000", (-1, 0)),
        ("31 Dec 2016 23:59:60 +0000", (1483228800, 0)),
        ("29 Feb 2024 00:00:00 +0000", (1709164800, 0)),
        ("15 Jan 2024 08:00:00 +9999", (EIGHT + 3600, 0)),
        ("29 Feb 2023 00:00:00 +0000", None),
        ("32 Jan 2024 00:00:00 +0000", None),
        ("0 Jan 2024 00:00:00 +0000", None),
        ("1 Foo 2024 00:00:00 +0000", None),
        ("1 Jan 2024 24:00:00 +0000", None),
        ("1 Jan 2024", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read(value: str, moment: tuple[int, int] | None):
    assert parse_date(value.encode()) == moment


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30)),
    st.integers(-12 * 60, 14 * 60),
)
def test_what_others_write_is_read(when: datetime, minutes: int):
    when = when.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    epoch = int((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    assert parse_date(format_datetime(when).encode()) == (epoch, minutes)
    if minutes:  # others write UTC as -0000
        assert format_date(epoch, minutes) == format_datetime(when).replace(", 0", ", ")


@given(st.integers(-2_000_000_000, 200_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_what_is_written_is_read_back(epoch: int, zone: int):
    assert parse_date(format_date(epoch, zone).encode()) == (epoch, zone)


@given(st.integers(-1_000_000, 3_000_000))
def test_days_and_calendar_agree(days: int):
    assert days_from_epoch(*civil(days)) == days


def test_the_weekday_is_right():
    assert format_date(EIGHT, 60) == "Mon, 15 Jan 2024 08:00:00 +0100"
    assert format_date(EIGHT, -150) == "Mon, 15 Jan 2024 04:30:00 -0230"


@given(shuffled("Mon , 15 1 Jan 2024 24 08:00 :00 : +0100 - + GMT ( ) SP T Z . / 99999999 8BIT") | st.binary(max_size=60))
def test_anything_may_be_read(value: bytes):
    parse_date(value)


@pytest.mark.parametrize("unit", [b"(", b" ", b"a", b"1", b"Mon, ", b"15 Jan ", b"."])
def test_a_megabyte_is_read_at_once(unit: bytes):
    parse_date(unit * 1_000_000)
