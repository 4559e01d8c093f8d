"""When what an account sends is taken for somebody else's doing."""

from __future__ import annotations

import pytest

from postillon.flow.baseline import is_due, network_of, signs
from postillon.model.sending import Profile, Sent, Usage

USUAL = Profile(20, 6, Sent(200, 300, 60), frozenset(range(7, 20)), frozenset({b"\xc0\x00"}))
HOME = b"\xc0\x00"


def usage(recipients: int, first_time: int) -> Usage:
    return Usage(Sent(recipients, recipients, first_time), Sent(recipients, recipients, first_time))


@pytest.mark.parametrize(
    ("now", "network", "hour", "found"),
    [
        (usage(80, 78), HOME, 10, ["rate", "strangers"]),  # from the owner's own computer
        (usage(25, 24), b"\x05\x06", 10, ["strangers", "network"]),
        (usage(40, 5), b"\x05\x06", 10, ["rate", "network"]),
        (usage(25, 25), HOME, 3, ["strangers", "hour"]),
        (usage(28, 15), b"\x05\x06", 3, []),  # a journey to another time zone
        (usage(40, 5), HOME, 10, []),  # a newsletter to known people
        (usage(25, 24), HOME, 10, []),  # invitations
        (usage(2, 2), b"\x05\x06", 3, []),
    ],
)
def test_several_signs_together_are_enough(now: Usage, network: bytes, hour: int, found: list[str]):
    assert signs(USUAL, now, network, hour) == found


def test_an_account_without_a_past_is_not_judged():
    assert signs(Profile(), usage(200, 200), b"\x05\x06", 3) == []


def test_who_always_writes_to_strangers_is_no_stranger_to_that():
    agency = Profile(20, 60, Sent(900, 1000, 900), frozenset(range(24)), frozenset({HOME}))
    assert signs(agency, usage(70, 68), b"\x05\x06", 10) == []


def test_a_look_is_taken_each_time_the_hour_has_doubled():
    looked = [count for count in range(1, 200) if is_due(usage(count, 0), 1)]
    assert looked == [10, 20, 40, 80, 160]
    assert is_due(usage(35, 0), 30) and not is_due(usage(35, 0), 5)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", b"\xc0\x00"),
        ("::ffff:192.0.2.7", b"\xc0\x00"),
        ("2001:db8:1::1", b"\x20\x01\x0d\xb8"),
        ("127.0.0.1", b""),
        ("unix", b""),
    ],
)
def test_a_client_is_recognised_by_its_wider_network(address: str, network: bytes):
    assert network_of(address) == network
