"""What is kept of answers to FETCH: never more than allowed, never another mailbox' or list's."""

from __future__ import annotations

from postillon.model.ids import AccountId, MailboxId
from postillon.servers.imap.answer_cache import AnswerCache

from .house import SIMPLE, House
from .letters import RFC3501

ONE = (AccountId(1), AccountId(1), MailboxId(1), 7)
OTHER = (AccountId(2), AccountId(2), MailboxId(1), 7)


def test_only_whole_answers_are_given():
    cache = AnswerCache()
    cache.put(ONE, b"BODY[HEADER.FIELDS (A)]", [1, 3], [b"one", b"three"])
    assert cache.get(ONE, b"BODY[HEADER.FIELDS (A)]", [3, 1]) == [b"three", b"one"]
    assert cache.get(ONE, b"BODY[HEADER.FIELDS (A)]", [1, 2]) is None
    assert cache.get(ONE, b"BODY[HEADER.FIELDS (B)]", [1]) is None
    assert cache.get(OTHER, b"BODY[HEADER.FIELDS (A)]", [1]) is None


def test_the_oldest_goes_first():
    cache = AnswerCache(limit=1000)
    cache.put(ONE, b"A", [1], [b"x" * 400])
    cache.put(OTHER, b"A", [1], [b"x" * 300])
    cache.get(ONE, b"A", [1])
    cache.put(OTHER, b"B", [1], [b"x" * 200])
    assert cache.get(OTHER, b"A", [1]) is None
    assert cache.get(ONE, b"A", [1]) is not None


def test_one_mailbox_takes_no_more_than_its_part():
    cache = AnswerCache(limit=4000)
    for uid in range(100):
        cache.put(ONE, b"A", [uid], [b"x" * 100])
    assert cache.get(ONE, b"A", [0]) is not None
    assert cache.get(ONE, b"A", [99]) is None


async def test_the_second_answer_is_the_first(house: House):
    await house.put(SIMPLE, RFC3501)
    client = await house.client(select="INBOX")
    command = "UID FETCH 1:* (RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)])"
    first = await client.ok(command)
    assert await client.ok(command) == first
    await house.put(SIMPLE)
    assert len(await client.ok(command)) == 4  # with EXISTS
    await client.ok("STORE 1 +FLAGS (\\Deleted)")
    await client.ok("EXPUNGE")
    again = await client.ok(command)
    assert again[0].replace(b"* 1 ", b"* 2 ", 1) == first[1]


async def test_fields_that_set_seen_come_from_there_too(house: House):
    await house.put(SIMPLE)
    client = await house.client(select="INBOX")
    await client.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
    assert await client.ok("FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]") == [
        b"* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: Hello\r\n\r\n FLAGS (\\Seen))"
    ]


async def test_sorting_and_threading_say_the_same_again(house: House):
    half = b"Subject: =?utf-7?Q?+2AA-?=\r\n\r\nhalf a character\r\n"
    await house.put(SIMPLE, half, RFC3501, SIMPLE, half)
    client = await house.client(select="INBOX")
    for command in (
        "SORT (SUBJECT FROM) UTF-8 ALL",
        "SORT (REVERSE DISPLAYFROM TO) UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "UID THREAD ORDEREDSUBJECT UTF-8 ALL",
    ):
        first = await client.ok(command)
        assert b"5" in first[0]
        assert await client.ok(command) == first
    await client.ok("STORE 1 +FLAGS (\\Deleted)")
    await client.ok("EXPUNGE")
    assert b"5" not in (await client.ok("THREAD REFERENCES UTF-8 ALL"))[0]
    assert (await client.ok("SORT (SUBJECT) UTF-8 1:2"))[0] in (b"* SORT 1 2", b"* SORT 2 1")
