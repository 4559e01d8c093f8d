"""Moments as commands show and take them."""

import time
from collections.abc import Iterator

import click
import pytest

from postillon.cli.moments import moment, told


@pytest.fixture(autouse=True)
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-5")  # five hours before UTC
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_what_is_shown_is_utc_and_can_be_typed_again():
    assert told(1_700_000_000) == "2023-11-14 22:13:20Z"
    assert moment(told(1_700_000_000)) == 1_700_000_000


def test_what_is_typed_without_z_is_local_time():
    assert moment("2023-11-15 03:13:20") == moment("2023-11-15T03:13:20") == 1_700_000_000
    assert moment("2023-11-15") == 1_700_000_000 - 3 * 3600 - 13 * 60 - 20


def test_a_time_ago_is_counted_from_now():
    assert abs(time.time() - 3 * 3600 - moment("3h")) < 5


@pytest.mark.parametrize("text", ["", "Z", "soon", "3w", "2023-13-01", "2023-11-15 25:00Z"])
def test_what_is_no_time_is_said_with_what_is(text: str):
    with pytest.raises(click.UsageError, match="is no time"):
        moment(text)
