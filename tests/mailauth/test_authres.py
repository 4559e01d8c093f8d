"""Authentication-Results: what we write holds no surprise, and what claims to be ours is known in any clothes."""

from __future__ import annotations

import time

import pytest

from postillon.mailauth.authres import Outcome, authserv_id, without_forged, write
from postillon.message.header import fields

OWN = "mx.example.test"


def test_the_field_is_folded_and_complete():
    found = write(OWN, [Outcome("spf", "pass", (("smtp.mailfrom", "a.test"),)), Outcome("dkim", "none")])
    assert found == b"Authentication-Results: mx.example.test;\r\n\tspf=pass smtp.mailfrom=a.test;\r\n\tdkim=none\r\n"
    assert write(OWN, []) == b"Authentication-Results: mx.example.test;\r\n\tnone\r\n"


def test_nothing_a_remote_says_leaves_its_place():
    evil = 'x"; dmarc=pass\r\nX-Evil: 1\0é' + "a" * 10_000
    field = write(OWN, [Outcome("spf", "fail", (("smtp.mailfrom", evil),), "a) dmarc=pass (" + evil, evil)])
    assert len(fields(field)) == 1 and field.isascii() and len(field) < 2000 and b"\0" not in field
    # Outside of quoted strings and comments there is one result.
    import re

    bare = re.sub(rb'"(?:[^"\\]|\\.)*"|\([^()]*\)', b"", field)
    assert bare.count(b"=") == 3 and b"dmarc" not in bare


@pytest.mark.parametrize(
    "value",
    [
        b" mx.example.test; spf=pass",
        b" MX.Example.Test; spf=pass",
        b"\r\n\tmx.example.test;\r\n\tspf=pass",
        b" mx.example.test 1; spf=pass",
        b" (hi) mx.example.test; spf=pass",
        b" (a (nested \\) comment)) mx.example.test; spf=pass",
        b' "mx.example.test"; spf=pass',
        b' "mx.ex\\ample.test"; spf=pass',
        b" mx.example.test.; spf=pass",
        b" mx.example.test(c); spf=pass",
        b"mx.example.test",
        b" " + b"(" * 500 + b")" * 500 + b"mx.example.test; dmarc=pass",
        b" (" + b"a" * 50_000 + b") mx.example.test; dmarc=pass",
    ],
)
def test_fields_that_claim_to_be_ours_are_left_out(value: bytes):
    header = b"From: a@b.test\r\nAuthentication-Results:" + value + b"\r\nauthentication-results : other.test; none\r\n\r\n"
    assert without_forged(header, fields(header), OWN) == b"From: a@b.test\r\nauthentication-results : other.test; none\r\n\r\n"


@pytest.mark.parametrize(
    "value", [b" other.test; spf=pass", b" amx.example.test; x", b" example.test; x", b" (mx.example.test) o.test"]
)
def test_fields_of_others_stay(value: bytes):
    header = b"Authentication-Results:" + value + b"\r\nSubject: x\r\n\r\n"
    assert without_forged(header, fields(header), OWN) is None


def test_hostile_comments_take_linear_time():
    for unit in (b"(", b")", b"()", b"(\\)", b"( "):
        started = time.process_time()
        authserv_id(unit * (100_000 // len(unit)))
        assert time.process_time() - started < 0.5
