"""So many messages a minute."""

from __future__ import annotations

import pytest

from postillon.relay.pace import Pace


@pytest.mark.parametrize("rate", [1, 7, 60, 600, 6000])
def test_within_any_ten_minutes_it_is_the_rate_and_a_burst(rate: float):
    pace, now, went = Pace(rate), 1000.0, []
    while now < 1000 + 600:
        wait = pace.take(now)
        if wait:
            now += wait
        else:
            went.append(now)
    burst = max(1, rate / 6)
    assert rate * 10 <= len(went) <= rate * 10 + burst + 1


def test_a_pause_is_made_up_for_by_a_burst_only():
    pace = Pace(60)
    assert [pace.take(0) == 0 for _ in range(11)] == [True] * 10 + [False]
    assert not pace.is_rested(5) and pace.is_rested(3600)
    assert [pace.take(3600) == 0 for _ in range(11)] == [True] * 10 + [False]


def test_asking_too_early_costs_nothing():
    pace = Pace(60)
    for _ in range(10):
        pace.take(0)
    assert [pace.take(0.25) for _ in range(3)] == [0.75, 0.75, 0.75]
    assert pace.take(1) == 0
