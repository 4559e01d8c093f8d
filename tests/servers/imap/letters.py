"""Messages that the tests put into mailboxes, by name. All line ends are CRLF."""

from __future__ import annotations

from .house import SIMPLE


def crlf(text: str) -> bytes:
    return text.encode().replace(b"\n", b"\r\n")


RFC3501 = crlf("""\
Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)
From: Fred Foobar <foobar@Blurdybloop.example>
Subject: afternoon meeting
To: mooch@owatagu.siam.example
Message-Id: <B27397-0100000@Blurdybloop.example>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

Hello Joe, do you think we can meet at 3:30 tomorrow?
""")

MULTIPART = crlf("""\
From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>
To: alice@example.test
Cc: carol@example.org
Subject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=
Date: Tue, 12 Nov 2024 10:00:00 +0100
Message-ID: <multi@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

preamble
--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Sch=C3=B6ne Gr=C3=BC=C3=9Fe
--b1
Content-Type: application/octet-stream; name=data.bin
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=data.bin

AAECAwQF
--b1
Content-Type: message/rfc822

From: inner@example.org
Subject: inner subject
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b2

--b2
Content-Type: text/plain

plain inner text
--b2
Content-Type: text/html

<p>html <b>inner</b> text</p>
--b2--
--b1--
epilogue
""")

ODD_ENCODING = crlf("""\
From: a@example.org
Content-Type: application/x-odd
Content-Transfer-Encoding: x-uuencode

begin 644 x
""")


def letter(sender: str, to: str, subject: str, day: int, *fields: str) -> bytes:
    head = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", f"Date: {day} Jan 2026 12:00:00 +0000", *fields]
    return crlf("\n".join(head) + "\n\nText.\n")


SORTED = {
    "sort1": letter("Anna <zoe@example.org>", "mia@example.org", "Re: Beta", 2),
    "sort2": letter("Mike <carl@example.org>", "nora@example.org", "beta", 3),
    "sort3": letter("=?utf-8?q?=C3=84nne?= <dora@example.org>", "Adam <bob@example.org>", "[list] alpha", 1),
    "sort4": letter('"Zack" <adam@example.org>', "Ben <dave@example.org>", "gamma", 4),
}


def answer(number: int, subject: str, *fields: str) -> bytes:
    return letter("a@example.org", "b@example.org", subject, number, f"Message-ID: <{number}@example.org>", *fields)


THREADED = {
    "thread1": answer(1, "Plan"),
    "thread2": answer(2, "Re: Plan", "References: <1@example.org>"),
    "thread3": answer(3, "Re: Plan", "In-Reply-To: <2@example.org>"),
    "thread4": answer(4, "Four", "References: <gone@example.org>"),
    "thread5": answer(5, "Five", "References: <gone@example.org>"),
    "thread6": answer(6, "Re: Plan"),
}

MESSAGES = {**SORTED, **THREADED, "simple": SIMPLE, "rfc3501": RFC3501, "multipart": MULTIPART, "odd": ODD_ENCODING}
