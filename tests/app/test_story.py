"""Records as sentences."""

import pytest

from postillon.admin.story import sentence
from postillon.model.record import Record, Stage
from postillon.storage.store.bans import FOREVER


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (1_700_000_000, "was banned until 2023-11-14 22:13:20Z: unknown recipients"),
        (FOREVER, "was banned for ever: unknown recipients"),
    ],
)
def test_a_ban_says_how_long_it_holds(until: int, words: str):
    told = sentence(Record(Stage.BANNED, 1, {"peer": "192.0.2.7/32", "until": until, "reason": "unknown recipients"}))
    assert told == f"192.0.2.7/32 {words}; `postillon ban remove` lets it in again"
