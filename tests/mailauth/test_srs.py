"""Senders of forwarded mail: rewritten so that SPF holds, undone on the way back, worthless to anybody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.mailauth.srs import VALID_DAYS, Srs, SrsError, is_srs
from postillon.model.address import Address

NOW = 1_800_000_000
DAY = 86400
OURS, OTHER = Srs(b"our key"), Srs(b"another key")
SENDER = Address.parse("x.y+z@sender.test")


def test_a_sender_is_rewritten_and_found_again():
    rewritten = OURS.rewrite(SENDER, "ours.test", NOW)
    assert is_srs(rewritten) and not is_srs(SENDER)
    assert rewritten.domain == "ours.test" and rewritten.local.endswith("=sender.test=x.y+z")
    assert OURS.original(rewritten, NOW + 5 * DAY) == SENDER


def test_three_hops_lead_back_over_the_first_one():
    first = OURS.rewrite(SENDER, "first.test", NOW)
    second = OTHER.rewrite(first, "second.test", NOW)
    third = Srs(b"third").rewrite(second, "third.test", NOW)
    assert second.local.startswith("SRS1=") and third.local.startswith("SRS1=") and len(third.local) == len(second.local)
    assert Srs(b"third").original(third, NOW) == first
    assert OTHER.original(second, NOW + 100 * DAY) == first  # its age is the first forwarder's business
    assert OURS.original(first, NOW) == SENDER


def test_case_may_change_on_the_way():
    rewritten = OURS.rewrite(SENDER, "ours.test", NOW)
    assert OURS.original(Address(rewritten.local.lower(), "ours.test"), NOW).key == SENDER.key
    assert OURS.original(Address(rewritten.local.upper(), "ours.test"), NOW).key == SENDER.key


@pytest.mark.parametrize("days", [VALID_DAYS + 1, 100, 1000])
def test_an_old_one_is_worth_nothing(days: int):
    rewritten = OURS.rewrite(SENDER, "ours.test", NOW)
    with pytest.raises(SrsError, match="too old"):
        OURS.original(rewritten, NOW + days * DAY)
    assert OURS.original(rewritten, NOW + VALID_DAYS * DAY) == SENDER


def test_a_forged_one_is_worth_nothing():
    rewritten = OURS.rewrite(SENDER, "ours.test", NOW)
    for forged in (
        OTHER.rewrite(SENDER, "ours.test", NOW),
        Address(rewritten.local.replace("sender.test", "victim.test"), "ours.test"),
        Address(rewritten.local.replace("x.y", "x.z"), "ours.test"),
        Address(rewritten.local[:16] + "AA" + rewritten.local[18:], "ours.test"),
        Address("SRS0=AAAAAAAAAA=AA=victim.test=x", "ours.test"),
        Address("SRS1=AAAAAAAAAA=victim.test==AAAA=AA=other.test=x", "ours.test"),
    ):
        with pytest.raises(SrsError, match="not made here"):
            OURS.original(forged, NOW)


@pytest.mark.parametrize("local", ["SRS0=", "SRS0==", "SRS0=x", "SRS0=x=y", "SRS0=x=y=", "SRS1=x", "SRS1=x==", "SRS0-a-b-c"])
def test_what_is_not_complete_is_refused(local: str):
    with pytest.raises(SrsError):
        OURS.original(Address(local, "ours.test"), NOW)


def test_too_long_a_sender_is_not_rewritten():
    with pytest.raises(SrsError):
        OURS.rewrite(Address("x" * 250, "sender.test"), "ours.test", NOW)


@given(st.text(min_size=1, max_size=60))
def test_whatever_the_local_part_is_it_comes_back_or_is_refused(local: str):
    try:
        sender = Address.parse(str(Address(local, "sender.test")))
    except ValueError:
        return
    if is_srs(sender):
        return
    assert OURS.original(OURS.rewrite(sender, "ours.test", NOW), NOW) == sender


@given(st.text(max_size=80))
def test_no_text_is_taken_for_ours(text: str):
    for kind in ("SRS0=", "SRS1="):
        with pytest.raises(SrsError):
            OURS.original(Address(kind + text, "ours.test"), NOW)
