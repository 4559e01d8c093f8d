"""Threads (RFC 5256 §3) of plain values."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from postillon.protocols.imap.extension_responses import ThreadNode
from postillon.protocols.imap.extension_responses import thread as response
from postillon.servers.imap.threads import Message, by_references, by_subject
from tests.growth import cost


def message(number: int, *references: int, subject: str = "", is_reply: bool = False, sent: int = 0) -> Message:
    names = tuple(b"%d@x" % name for name in references)
    return Message(number, sent or number, subject.encode(), is_reply, b"%d@x" % number, names)


def shown(roots: list[ThreadNode]) -> str:
    return response(roots).decode().removeprefix("* THREAD").strip()


def numbers(roots: list[ThreadNode]) -> list[int]:
    found, waiting = [], list(roots)
    while waiting:
        node = waiting.pop()
        waiting += node.children
        found += [node.number] * bool(node.number)
    return sorted(found)


def test_answers_hang_below_what_they_answer():
    assert shown(by_references([message(1), message(2, 1), message(3, 1, 2), message(4, 1)])) == "(1 (2 3)(4))"


def test_an_answer_may_come_before_its_question():
    assert shown(by_references([message(1, 2), message(2)])) == "(2 1)"


def test_a_missing_message_with_one_child_is_left_out():
    assert shown(by_references([message(2, 1), message(5, 4, 1, 2)])) == "(2 5)"


def test_children_of_a_missing_message_stay_together():
    assert shown(by_references([message(2, 1), message(3, 1), message(9)])) == "((2)(3))(9)"


def test_loops_in_references_lose_no_message():
    assert numbers(by_references([message(1, 2), message(2, 1), message(3, 3), message(4, 3, 4, 3)])) == [1, 2, 3, 4]


def test_two_messages_of_one_id_are_two_messages():
    one = Message(1, 1, b"", False, b"same@x")
    two = Message(2, 2, b"", False, b"same@x")
    assert shown(by_references([one, two, Message(3, 3, b"", False, b"c@x", (b"same@x",))])) == "(1 3)(2)"


def test_threads_of_one_subject_are_gathered():
    plan = [message(1, subject="PLAN"), message(2, subject="PLAN", is_reply=True), message(3, subject="OTHER")]
    assert shown(by_references(plan)) == "(1 2)(3)"
    equals = [message(n, subject="PLAN") for n in (1, 2, 3)]
    assert shown(by_references(equals)) == "((1)(2)(3))"
    late = [message(1, subject="PLAN", is_reply=True), message(2, subject="PLAN")]
    assert shown(by_references(late)) == "(2 1)"
    both = [message(n, 50 + n // 3, subject="PLAN") for n in (1, 2, 3, 4)]
    assert shown(by_references(both)) == "((1)(2)(3)(4))"


def test_no_subject_gathers_nothing():
    assert shown(by_references([message(1), message(2)])) == "(1)(2)"


def test_order_is_by_date_and_then_by_number():
    assert shown(by_references([message(1, sent=9), message(2, 1, sent=8), message(3, 1, sent=7), message(4, sent=7)])) == (
        "(4)(1 (3)(2))"
    )


def test_subjects_make_flat_threads():
    letters = [message(1, subject="A"), message(2, subject="B"), message(3, subject="A"), message(4, subject="A", sent=1)]
    assert shown(by_subject(letters)) == "(1 (4)(3))(2)"


def test_a_very_deep_thread_is_answered():
    roots = by_references([message(1), *(message(n, n - 1) for n in range(2, 20_001))])
    assert shown(roots).startswith("(1 2 3 4 ") and numbers(roots) == list(range(1, 20_001))


def test_every_message_is_in_one_place_whatever_they_say():
    for seed in range(200):
        rng = random.Random(seed)
        letters = [
            message(
                n,
                *(rng.randint(1, 25) for _ in range(rng.randint(0, 4))),
                subject=rng.choice(("", "A", "B", "C")),
                is_reply=rng.random() < 0.5,
                sent=rng.randint(1, 5),
            )
            for n in range(1, 20)
        ]
        assert numbers(by_references(letters)) == list(range(1, 20)), seed
        assert numbers(by_subject(letters)) == list(range(1, 20)), seed


def links_that_change(count: int) -> list[Message]:
    """*count* letters that others place below the first, and that then say that they answer the second."""
    named = [Message(n, n, b"", False, b"", (b"1@x", b"%d@x" % n)) for n in range(3, count + 3)]
    return [*named, *(message(n, 2) for n in range(count + 2, 2, -1))]


def missing_ones_in_a_row(count: int) -> list[Message]:
    """*count* letters that answer the last of *count* that are missing, each of which answers another."""
    chain = [Message(n, n, b"", False, b"", (b"%d@x" % n, b"%d@x" % (n + 1))) for n in range(1, count)]
    return [*chain, *(message(n, count) for n in range(10 * count, 11 * count))]


@pytest.mark.parametrize("letters", [links_that_change, missing_ones_in_a_row])
def test_twice_as_many_take_twice_as_long(letters: Callable[[int], list[Message]]):
    few, many = letters(10_000), letters(20_000)
    assert cost(lambda: by_references(many)) < 3 * cost(lambda: by_references(few)) + 0.02
