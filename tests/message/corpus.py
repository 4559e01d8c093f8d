"""Messages that several tests share. `crlf` turns readable text into octets."""

from __future__ import annotations

from hypothesis import strategies as st


def shuffled(pieces: str, size: int = 60) -> st.SearchStrategy[bytes]:
    """Any sequence of *pieces*, which stand apart by spaces; `SP`, `CRLF`, `LF`, `CR`, `NUL` and `8BIT` are what they say."""
    special = {"SP": b" ", "CRLF": b"\r\n", "LF": b"\n", "CR": b"\r", "NUL": b"\0", "8BIT": b"\xe9", "TAB": b"\t"}
    octets = [special.get(piece, piece.encode("utf-8")) for piece in pieces.split(" ")]
    return st.lists(st.sampled_from(octets), max_size=size).map(b"".join)


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


PLAIN = crlf(
    """From: Alice Example <alice@example.org>
To: bob@example.net
Subject: Lunch
Date: Mon, 15 Jan 2024 08:00:00 +0100
Message-ID: <1@example.org>

Are you hungry?
So am I.
"""
)

MIXED = crlf(
    """From: alice@example.org
Subject: A report
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

This is the preamble.
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

caf=C3=A9
--inner
Content-Type: text/html; charset=utf-8

<p>café</p>
--inner--

--outer
Content-Type: application/pdf; name="r.pdf"
Content-Disposition: attachment; filename="r.pdf"
Content-Transfer-Encoding: base64
Content-ID: <pdf@example.org>
Content-Description: the report
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Language: en, de
Content-Location: http://example.org/r.pdf

JVBERi0xLjQK
--outer--
This is the epilogue.
"""
)

FORWARDED = crlf(
    """From: alice@example.org
Subject: Fwd
Content-Type: multipart/mixed; boundary=b

--b

See below.
--b
Content-Type: message/rfc822

From: Carol <carol@example.com>
Subject: The inner one
Content-Type: multipart/mixed; boundary=c

--c

first
--c
Content-Type: image/png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--c--
--b
Content-Type: message/rfc822

Subject: A single one

Text.
--b--
"""
)

DIGEST = crlf(
    """Subject: digest
Content-Type: multipart/digest; boundary=d

--d

Subject: one

First.
--d
Content-Type: text/plain

Not a message.
--d--
"""
)
