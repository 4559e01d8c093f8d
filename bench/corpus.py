"""Messages for the IMAP measurements: 45 % plain, 35 % alternative, 15 % with an attachment, 5 % nested; always the same ones."""

from __future__ import annotations

import base64
import random

TEXT = "the quick brown fox jumps over a lazy dog while seventeen grey geese fly south before winter comes again"
WORDS = TEXT.split()


def _text(rng: random.Random, octets: int) -> str:
    lines, total = [], 0
    while total < octets:
        line = " ".join(rng.choice(WORDS) for _ in range(11))
        lines.append(line)
        total += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


def message(number: int) -> bytes:
    rng = random.Random(number)
    day = number % 28 + 1
    head = (
        f"Return-Path: <sender{number % 97}@example.org>\r\nReceived: from a.example.org by b.example.org; "
        f"{day} Nov 2026 10:00:00 +0000\r\nFrom: Sender Number {number % 97} <sender{number % 97}@example.org>\r\n"
        f"To: Reader <reader@example.net>, Other <other{number % 13}@example.net>\r\nCc: third@example.net\r\n"
        f"Subject: {' '.join(rng.choice(WORDS) for _ in range(5))} {number}\r\n"
        f"Date: {day} Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@bench.example.org>\r\nMIME-Version: 1.0\r\n"
    )
    kind = number % 20
    if kind < 9:
        body = f"Content-Type: text/plain; charset=utf-8\r\n\r\n{_text(rng, rng.randint(500, 6000))}"
    elif kind < 16:
        body = _multipart("alternative", f"b{number}", _part("text/plain", _text(rng, 2000)), _part("text/html", _html(rng)))
    elif kind < 19:
        data = base64.encodebytes(rng.randbytes(rng.randint(10_000, 80_000))).decode().replace("\n", "\r\n")
        attachment = (
            'Content-Type: application/pdf; name="paper.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="paper.pdf"\r\n\r\n{data}'
        )
        body = _multipart("mixed", f"m{number}", _part("text/plain", _text(rng, 1500)), attachment)
    else:
        inner = f"From: inner@example.org\r\nSubject: nested {number}\r\nContent-Type: text/plain\r\n\r\n{_text(rng, 3000)}"
        body = _multipart(
            "mixed", f"n{number}", _part("text/plain", _text(rng, 500)), f"Content-Type: message/rfc822\r\n\r\n{inner}"
        )
    return (head + body).encode()


def _part(content_type: str, text: str) -> str:
    return f"Content-Type: {content_type}; charset=utf-8\r\n\r\n{text}"


def _html(rng: random.Random) -> str:
    return f"<html><body><p>{_text(rng, 4000)}</p></body></html>\r\n"


def _multipart(kind: str, boundary: str, *parts: str) -> str:
    inside = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n{inside}--{boundary}--\r\n'
