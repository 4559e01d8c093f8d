"""What remotes mean by what they say, and when they want to see us again."""

from __future__ import annotations

import time

import pytest

from postillon.model.queue import Outcome, OutcomeKind
from postillon.relay.replies import Cause, advised_wait, asked_wait, cause_of, cause_of_answer

HOUR = 3600


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ("4.7.1 Greylisted, please try again in 300 seconds", Cause.GREYLISTED),
        ("4.2.0 <bob@there.test>: Recipient address rejected: Greylisted, see http://postgrey.test/", Cause.GREYLISTED),
        ("4.7.0 Graylisting in action, please come back in 00:05:00", Cause.GREYLISTED),
        ("4.0.0 Temporarily deferred, please retry later", Cause.GREYLISTED),
        ("4.2.2 mailbox full", Cause.OVER_QUOTA),
        ("5.2.2 The email account that you tried to reach is over quota", Cause.OVER_QUOTA),
        ("4.0.0 Mailbox is full", Cause.OVER_QUOTA),
        ("4.7.28 Our system has detected an unusual rate of mail", Cause.RATE_LIMITED),
        ("4.7.0 Too many connections from your host", Cause.RATE_LIMITED),
        ("4.7.1 You have exceeded the limit of 100 messages per hour", Cause.RATE_LIMITED),
        ("4.3.2 too many concurrent sessions", Cause.RATE_LIMITED),
        ("5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.test", Cause.BLOCKED),
        ("5.7.606 Access denied, banned sending IP [192.0.2.1]", Cause.BLOCKED),
        ("4.7.0 Your IP has a poor reputation", Cause.BLOCKED),
        ("5.1.1 nobody of that name", Cause.BAD_ADDRESS),
        ("5.0.0 No such user here", Cause.BAD_ADDRESS),
        ("5.0.0 <bob@there.test>: recipient does not exist", Cause.BAD_ADDRESS),
        ("5.7.26 unauthenticated mail is not accepted", Cause.POLICY),
        ("5.7.1 message looks like spam", Cause.POLICY),
        ("4.4.1 no connection", Cause.OTHER),
        ("4.2.1 busy", Cause.OTHER),
        ("4.3.0 internal error", Cause.OTHER),
        ("", Cause.OTHER),
    ],
)
def test_the_cause_is_read_from_status_and_words(answer: str, cause: Cause):
    assert cause_of_answer(answer) is cause


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 300 seconds", 300),
        ("try again in 5 minutes", 300),
        ("Retry after 60s", 60),
        ("wait 1 hour", HOUR),
        ("please try again later", None),
        ("4 of 7 tries", None),
        ("error 451 for 10.0.0.1", None),
    ],
)
def test_a_time_that_is_named_is_found(text: str, seconds: int | None):
    assert asked_wait(text) == seconds


def deferred(status: str, text: str, code: int = 451) -> Outcome:
    return Outcome(OutcomeKind.DEFERRED, status, text, "mx [192.0.2.1]", code)


@pytest.mark.parametrize(
    ("outcome", "attempts", "wait"),
    [
        (deferred("4.7.1", "greylisted"), 1, 300),
        (deferred("4.7.1", "greylisted"), 2, 600),
        (deferred("4.7.1", "greylisted"), 9, 1800),
        (deferred("4.7.1", "greylisted, try again in 30 seconds"), 1, 35),
        (deferred("4.7.1", "greylisted, try again in 90000 seconds"), 1, 4 * HOUR),
        (deferred("4.7.28", "unusual rate"), 1, 3600),
        (deferred("4.2.2", "full"), 1, 7200),
        (deferred("4.7.1", "blocked"), 1, 7200),
        (deferred("4.3.0", "try again in 10 seconds"), 1, 1800),
        (deferred("4.7.1", "greylisted", 0), 1, 1800),
    ],
)
def test_the_wait_follows_their_words(outcome: Outcome, attempts: int, wait: int):
    assert advised_wait(outcome, attempts, 1800, 4 * HOUR) == wait


def test_with_times_of_seconds_greylisting_takes_seconds():
    assert advised_wait(deferred("4.7.1", "greylisted"), 1, 1, 10) == 1


@pytest.mark.parametrize("text", ["a" * 100_000, "try " * 20_000, "too many " * 20_000, "exceeds " + "x" * 50_000])
def test_long_words_cost_little(text: str):
    began = time.perf_counter()
    cause_of("4.0.0", text)
    asked_wait(text)
    assert time.perf_counter() - began < 0.1
