"""When a deferred recipient is tried again."""

from __future__ import annotations

import pytest

from postillon.flow.deliver import FlowSettings
from postillon.flow.retry import RetrySchedule, next_try

NOW = 1_700_000_000
DAYS = 86400


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 240), (100, 240), (10_000, 240)])
def test_the_wait_doubles_up_to_four_hours(attempts: int, minutes: int):
    assert next_try(attempts, NOW + 5 * DAYS, NOW) == NOW + minutes * 60


def test_no_try_is_made_past_the_end():
    assert next_try(9, NOW + 4 * 3600, NOW) == NOW + 4 * 3600
    assert next_try(9, NOW + 4 * 3600 - 1, NOW) is None
    assert next_try(1, NOW - 1, NOW) is None


def test_five_days_are_about_thirty_tries():
    at, attempts = NOW, 0
    expires = NOW + FlowSettings("mx.here.test").queue_lifetime_s
    while (again := next_try(attempts + 1, expires, at)) is not None:
        assert again > at
        at, attempts = again, attempts + 1
    assert 30 <= attempts <= 35
    assert expires - at < 4 * 3600


def test_the_schedule_is_a_setting():
    schedule = RetrySchedule(first_wait_s=1, longest_wait_s=3)
    assert [next_try(n, NOW + 100, NOW, schedule) for n in (1, 2, 3, 4)] == [NOW + 1, NOW + 2, NOW + 3, NOW + 3]
