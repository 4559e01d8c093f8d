from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.servers.imap.glob import MAX_LENGTH, Glob


def expected(pattern: str, name: str) -> bool:
    pieces = re.split(r"([*%]+)", pattern)
    wild = [(".*" if "*" in one else "[^/]*") if one[:1] in ("*", "%") else re.escape(one) for one in pieces]
    return re.fullmatch("".join(wild), name, re.DOTALL) is not None


@given(st.text("ab/*%", max_size=7), st.text("ab/\n", max_size=10))
def test_it_matches_what_the_rfc_says(pattern: str, name: str):
    assert Glob(pattern).matches(name) == expected(pattern, name)


@pytest.mark.parametrize("pattern", ["*a" * 2000 + "b", "%a" * 2000 + "b", "*" * 4000 + "b", "*a%a" * 1000 + "b"])
def test_no_pattern_takes_long(pattern: str):
    started = time.process_time()
    assert not Glob(pattern).matches("a" * 1000)
    assert time.process_time() - started < 1


def test_a_pattern_has_a_longest_length():
    with pytest.raises(ValueError, match="too long"):
        Glob("a" * (MAX_LENGTH + 1))
