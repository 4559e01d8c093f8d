"""Oddities of form, and signed messages that come again and again."""

from __future__ import annotations

import base64

import pytest

from postillon.filters.oddities import Oddities
from postillon.filters.repeats import MOST, Repeats
from postillon.mailauth.dkim import Dkim
from postillon.mailauth.result import Result
from tests.growth import cost_of

from .conftest import codes, examined, findings, message, verdict

DATE = "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.test>\r\n"
AT = 1_795_428_000


async def odd(octets: bytes) -> list[str]:
    one = examined(octets)
    object.__setattr__(one.incoming, "at", AT)
    return codes(await Oddities().examine(one))


async def test_an_ordinary_message_has_none():
    assert await odd(message(more=DATE)) == []
    assert await odd(message("Jörg Müller <j@sender.test>", "Grüße aus Köln, Привет из Москвы", more=DATE)) == []


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (message(), "oddities.no_date"),
        (message(more=DATE).replace(b"2026 10", b"2036 10"), "oddities.date"),
        (message(more=DATE).replace(b"Mon, 23 Nov", b"whenever"), "oddities.date"),
        (message(more=DATE).replace(b"2026 10", b"2020 10"), "oddities.old"),
        (message(more=DATE).replace(b"Message-ID: <1@sender.test>", b"X: y"), "oddities.no_id"),
        (message(more=DATE).replace(b"From:", b"Form:"), "oddities.no_from"),
        (message("=?utf-8?q?P=D0=B0yPal?= <x@sender.test>", more=DATE), "oddities.mixed_letters"),
        (message(text="b\u200bu\u200by " * 15, more=DATE), "oddities.invisible"),
        (message(text='<b style="display: none">x</b>' * 9, kind="html", more=DATE), "oddities.hidden"),
        (message(text="<b>Hello</b>", kind="html", more=DATE), "oddities.html_only"),
    ],
)
async def test_each_is_found(octets: bytes, code: str):
    assert code in await odd(octets)


async def test_plain_text_that_is_encoded_without_need_and_pictures_without_text():
    encoded = base64.encodebytes(b"just words").replace(b"\n", b"\r\n")
    head = message(more=DATE + "Content-Transfer-Encoding: base64\r\n").partition(b"\r\n\r\n")[0]
    assert "oddities.encoded" in await odd(head + b"\r\n\r\n" + encoded)
    picture = base64.encodebytes(bytes(30_000)).replace(b"\n", b"\r\n")
    both = head.partition(b"MIME-Version")[0].replace(b"Content-Transfer-Encoding: base64\r\n", b"") + (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\n"
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + picture + b"--b--\r\n"
    )
    assert "oddities.picture" in await odd(both)


@pytest.mark.parametrize("piece", ["display:", "display : none", "font-size:0", "a\u0430", "\u200b", "<", "word \u0430b "])
async def test_time_grows_with_the_text_and_not_faster(piece: str):
    async def cost(size: int) -> float:
        text = message(f"{piece * size} <x@sender.test>", piece * size, kind="html")
        return await cost_of(lambda: Oddities().examine(examined(text)))

    assert await cost(40_000) < 0.05 + 8 * await cost(10_000)


async def test_copies_of_a_signed_message_to_strangers_raise_the_score():
    clock = [0.0]
    repeats = Repeats(lambda: clock[0])
    found = verdict(dkim="sender.test")
    object.__setattr__(found, "dkim", (Dkim(Result.PASS, "sender.test", octets="AbCd1234"),))
    replayed = message().replace(b"To: alice@example.test", b"To: somebody@else.test")
    scores = []
    for _ in range(1000):
        opinion = await repeats.examine(examined(replayed, found=found))
        scores.append(findings(opinion)[0].score if opinion.findings else 0.0)
    assert (scores[48], scores[49], scores[199], scores[999]) == (0.0, 1.5, 3.0, 5.0)
    assert codes(await repeats.examine(examined(message(), found=found))) == []  # written to her
    listed = replayed.replace(b"Subject", b"List-Id: <l.test>\r\nSubject")
    assert findings(await repeats.examine(examined(listed, found=found)))[0].score == 2.5
    clock[0] = 4000.0
    assert codes(await repeats.examine(examined(replayed, found=found))) == []


async def test_what_is_counted_is_bounded():
    repeats = Repeats(lambda: 0.0)
    found = verdict(dkim="sender.test")
    for number in range(MOST + 100):
        object.__setattr__(found, "dkim", (Dkim(Result.PASS, "sender.test", octets=f"{number}"),))
        if number < 3 or number > MOST - 3:
            await repeats.examine(examined(message(), found=found))
        else:
            repeats._counts["x", str(number)] = 1
    assert len(repeats._counts) <= MOST + 1
