"""Dangerous content: findings, rules for each domain, and messages that can be read in two ways."""

from __future__ import annotations

import asyncio

import pytest

from postillon.filters.attachments import AT_ONCE, Action, Attachments, ContentPolicy, ContentSettings
from postillon.filters.words import sentence
from postillon.message.structure import MAX_PARTS
from tests.growth import cost_of

from . import dangerous as d

ALICE = "alice@example.test"


async def codes(text: bytes, settings: ContentSettings | None = None) -> list[tuple[str, str]]:
    opinion = await Attachments(settings).examine(d.examined(text, ALICE))
    return [(one.code, one.fact("what")) for one in opinion.findings]


async def test_a_plain_message_leaves_nothing() -> None:
    assert await codes(b"From: a@b.test\r\nSubject: x\r\n\r\nbegin with a hello\r\n") == []
    assert await codes(d.with_attachments(d.part("x.png", b"\x89PNG\r\n"))) == []


async def test_a_program_is_refused_with_its_name_unless_the_rule_is_another() -> None:
    text = d.with_attachments(d.part("photo.jpg", d.PROGRAM, "image/jpeg"))
    opinion = await Attachments().examine(d.examined(text, ALICE))
    assert opinion.refusal is not None
    assert (opinion.refusal.status, opinion.refusal.text) == ("5.7.1", "Not accepted here: Windows program (photo.jpg)")
    assert [sentence(one) for one in opinion.findings] == ["An attachment can run by itself: Windows program, photo.jpg"]
    for action, wish in ((Action.QUARANTINE, (True, False)), (Action.JUNK, (False, True)), (Action.TAG, (False, False))):
        opinion = await Attachments(ContentSettings(ContentPolicy(executables=action))).examine(d.examined(text, ALICE))
        assert (opinion.refusal, opinion.quarantine, opinion.junk) == (None, *wish)


async def test_a_domain_has_rules_of_its_own() -> None:
    text = d.with_attachments(d.part("evil.exe", d.PROGRAM))
    own = ContentPolicy(executables=Action.QUARANTINE)
    opinion = await Attachments(ContentSettings(domains={"careful.test": own})).examine(
        d.examined(text, ALICE, "bob@careful.test")
    )
    assert opinion.refusal is not None
    assert [(account, wish.quarantine, wish.refusal) for account, wish in opinion.stated] == [(2, True, None)]


@pytest.mark.parametrize(
    "name",
    [
        "filename=\"a.txt\"; filename*=utf-8''evil.exe",
        'filename*0="evil."; filename*1=exe; filename=a.txt',
        'filename="=?utf-8?B?ZXZpbC5leGU=?="',
    ],
)
async def test_every_name_that_a_program_may_give_the_file_counts(name: str) -> None:
    part = f"--b\r\nContent-Type: application/x; name=a.txt\r\nContent-Disposition: attachment; {name}\r\n\r\nx\r\n".encode()
    found = await codes(d.with_attachments(part))
    assert ("attachment.executable", "script") in found
    assert ("mime.ambiguous", "names with different endings") in found


async def test_what_is_attached_to_an_attached_message_is_found() -> None:
    inner = d.with_attachments(d.part("evil.exe", d.PROGRAM)).replace(b"boundary=b", b"boundary=c").replace(b"--b", b"--c")
    text = d.with_attachments(b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n")
    assert ("attachment.executable", "Windows program") in await codes(text)


@pytest.mark.parametrize("kind", ["message/rfc822", "application/octet-stream"])
async def test_a_message_that_is_encoded_or_packed_is_looked_into(kind: str) -> None:
    inner = d.with_attachments(d.part("evil.jpg", d.PROGRAM))
    for name, data in (("x.eml", inner), ("x.zip", d.zipped({"mail/x.eml": inner}))):
        found = await codes(d.with_attachments(d.part(name, data, kind if name == "x.eml" else "application/zip")))
        assert ("attachment.executable", "Windows program") in found
    deep = inner
    for _ in range(7):
        deep = d.with_attachments(d.part("x.eml", deep, kind))
    assert ("attachment.bomb", "more than 5 archives in each other") in await codes(deep)


async def test_a_large_attachment_is_looked_at_in_a_thread() -> None:
    text = d.with_attachments(d.part("big.zip", d.zipped({"evil.exe": d.PROGRAM, "big": bytes(range(256)) * 4000}, 0)))
    assert ("attachment.executable", "Windows program") in await codes(text)


HEAD = b"From: a@b.test\r\nMIME-Version: 1.0\r\n"
TWO = b"Content-Type: multipart/mixed; boundary=b\r\n"
BODY = b"\r\n--b\r\n\r\nHello\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (HEAD + TWO + b"Content-Type: text/plain\r\n" + BODY, "content-type occurs twice"),
        (HEAD + b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSGk=\r\n",
         "content-transfer-encoding occurs twice"),
        (HEAD + b"Content-Type: multipart/mixed; boundary=b; boundary=c\r\n" + BODY, "boundary is given twice"),
        (HEAD + b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c; boundary=b\r\n" + BODY,
         "boundary in the form of RFC 2231"),
        (HEAD + TWO + BODY + b"--b\r\n\r\nmore\r\n--b--\r\n", "delimiter after the last one"),
        (HEAD + TWO + b"\r\n--b\r\n\r\nHello\r\n", "last delimiter is missing"),
        (HEAD + TWO + b"\r\n--b\r\n\r\nHello\r\n--bx\r\n--b--\r\n", "boundary begins another line"),
        (HEAD + b"Content-Type : text/html\r\n\r\nHello\r\n", "space before the colon"),
        (HEAD + b"Content-Type: text/(a(b))html\r\n\r\nHello\r\n", "nested comment in a MIME field"),
        (HEAD + b"Subject: a\0b\r\n\r\nHello\r\n", "NUL in the header"),
        (HEAD + b"Subject: a\rb\r\n\r\nHello\r\n", "bare CR in the header"),
        (HEAD + b"Subject: a\r\n \r\n b\r\n\r\nHello\r\n", "folded line without text"),
        (HEAD + b"not a field\r\n\r\nHello\r\n", "line in the header that is no field"),
        (HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nSGk=\r\nSGk=\r\n", "base64 that goes on after its end"),
        (HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nHello\r\n", "unknown transfer encoding"),
        (HEAD + b"Content-Type: text/plain\r\n\r\nHello\0\r\n", "NUL in a text"),
        (b"From: a@b.test\r\n" + TWO + BODY, "MIME without MIME-Version"),
        (HEAD + b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nSGk=\r\n",
         "embedded message is encoded"),
        (HEAD + TWO + b"Content-Transfer-Encoding: base64\r\n" + BODY, "multipart is encoded"),
        (HEAD + b"Subject: one\r\nSubject: two\r\n\r\nHello\r\n", "subject occurs twice"),
    ],
)  # fmt: skip
async def test_a_message_with_two_readings_says_where(text: bytes, what: str) -> None:
    assert ("mime.ambiguous", what) in await codes(text)


async def test_two_readings_may_be_refused_by_rule() -> None:
    settings = ContentSettings(ContentPolicy(ambiguous=Action.REFUSE))
    text = HEAD + TWO + b"Content-Type: text/plain\r\n" + BODY
    opinion = await Attachments(settings).examine(d.examined(text, ALICE))
    assert opinion.refusal is not None and opinion.refusal.code == 554


def nested(depth: int) -> bytes:
    """Multiparts in each other, 100,000 deep and more."""
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(depth))
    return b"From: a@b.test\r\nMIME-Version: 1.0\r\n" + opening + b"\r\nHello\r\n"


def header_bomb(size: int) -> bytes:
    return b"From: a@b.test\r\n" + b"X-A: b\r\n" * (size // 8) + b"\r\nHello\r\n"


def many_parts(count: int) -> bytes:
    return HEAD + TWO + b"\r\n" + b"--b\r\nContent-Type: a/b; name=x.txt\r\n\r\nx\r\n" * count + b"--b--\r\n"


def many_names(count: int) -> bytes:
    return HEAD + b"Content-Type: application/x" + b"; name*%d=x" * count % tuple(range(count)) + b"\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (nested, 25_000),
        (header_bomb, 250_000),
        (many_parts, 10_000),
        (many_names, 2_000),
        (lambda n: HEAD + b"Content-Type: " + b"(" * n + b"\r\n\r\n", 100_000),
    ],
    ids=["nested", "fields", "parts", "names", "comments"],
)  # fmt: skip
async def test_four_times_as_much_takes_about_four_times_as_long(make: object, size: int) -> None:
    async def cost(count: int) -> float:
        text = make(count)  # type: ignore[operator]
        return await cost_of(lambda: Attachments().examine(d.examined(text, ALICE)))

    small, large = await cost(size), await cost(4 * size)
    assert large < small * 4 * 2 + 0.1
    assert large < 5


async def test_parts_nested_100_000_deep_are_a_finding() -> None:
    assert ("mime.ambiguous", "nested too deep") in await codes(nested(1_000))
    assert ("mime.ambiguous", "nested over the budget") in await codes(nested(100_000))
    assert ("mime.ambiguous", "too many parts") in await codes(many_parts(MAX_PARTS + 1))


async def test_only_some_heavy_messages_are_unpacked_at_the_same_time() -> None:
    check = Attachments()
    text = d.with_attachments(d.part("big.zip", d.zipped({"big": bytes(range(256)) * 4000}, 0)))
    opinions = await asyncio.gather(*(check.examine(d.examined(text, ALICE)) for _ in range(6)))
    assert len(opinions) == 6


async def test_who_waits_too_long_is_put_off_and_not_let_through() -> None:
    check = Attachments(wait_s=0.05)
    for _ in range(AT_ONCE):
        await check._room.acquire()
    text = d.with_attachments(d.part("big.zip", d.zipped({"evil.exe": d.PROGRAM, "big": bytes(range(256)) * 4000}, 0)))
    opinion = await check.examine(d.examined(text, ALICE))
    assert opinion.refusal is not None and opinion.refusal.is_temporary
    check._room.release()
    opinion = await check.examine(d.examined(text, ALICE))
    assert opinion.refusal is not None and not opinion.refusal.is_temporary
