"""Canonical forms, against RFC 6376's examples and dkimpy's reading of it."""

from __future__ import annotations

import random

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from postillon.mailauth.canonical import RelaxedBody, SimpleBody, Wanted, digests, relaxed_field
from tests.growth import cost


def canonical(form: SimpleBody, *chunks: bytes) -> bytes:
    return b"".join([*(form.feed(chunk) for chunk in chunks), form.end()])


def test_the_example_of_rfc_6376():
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert canonical(SimpleBody(), body) == b" C \r\nD \t E\r\n"
    assert canonical(RelaxedBody(), body) == b" C\r\nD E\r\n"
    assert relaxed_field(b"B", b" Y\t\r\n\tZ  ") == b"b:Y Z"
    assert relaxed_field(b"A", b" X") == b"a:X"


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n", b" \t\r\n\r\n", b"x", b"x\r\n", b"x \r\n \r\n", b"\r\nx", b"x\r"])
def test_odd_ends_of_bodies(body: bytes):
    assert canonical(SimpleBody(), body) == Simple.canonicalize_body(body)
    assert canonical(RelaxedBody(), body) == Relaxed.canonicalize_body(body)


PIECES = st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\r", b"\n", b"bc", b"  \t "]), max_size=30).map(b"".join)


@given(PIECES, st.lists(st.integers(0, 60), max_size=5))
def test_chunks_make_no_difference(body: bytes, cuts: list[int]):
    at = sorted(min(cut, len(body)) for cut in cuts)
    chunks = [body[start:stop] for start, stop in zip([0, *at], [*at, len(body)], strict=True)]
    assert canonical(SimpleBody(), *chunks) == canonical(SimpleBody(), body)
    assert canonical(RelaxedBody(), *chunks) == canonical(RelaxedBody(), body)


LINES = st.lists(st.text("a b\t", max_size=6).map(lambda text: text.encode() + b"\r\n"), max_size=12).map(b"".join)


@given(LINES)
def test_both_forms_are_those_of_dkimpy(body: bytes):
    assert canonical(SimpleBody(), body) == Simple.canonicalize_body(body)
    assert canonical(RelaxedBody(), body) == Relaxed.canonicalize_body(body)


def test_a_body_hash_over_the_first_octets_knows_the_whole_size():
    (digest,) = digests([b"abc\r\n", b"def\r\n"], [Wanted(True, "sha256", 4)]).values()
    (whole,) = digests([b"abc\r"], [Wanted(False, "sha256", 4)]).values()
    assert digest.size == 10 and digest.octets == whole.octets


@pytest.mark.parametrize("unit", [b" ", b"\r\n", b" \r\n", b"\t \t", b"\r", b"\n", b"a  b\r\n"])
@pytest.mark.parametrize("form", [SimpleBody, RelaxedBody])
def test_hostile_bodies_take_linear_time(unit: bytes, form: type[SimpleBody]):
    def seconds(size: int) -> float:
        body = unit * (size // len(unit))
        chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]
        return cost(lambda: canonical(form(), *chunks))

    assert seconds(8 << 20) < 4 * seconds(4 << 20) + 0.02


def test_random_octets_survive():
    for seed in range(50):
        data = random.Random(seed).randbytes(3000)
        assert canonical(SimpleBody(), data).rstrip(b"\r\n") == data.rstrip(b"\r\n") or data.endswith(b"\r")
