"""Messages made to hurt whoever looks into them: archives without end, nesting, headers and parts without number."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..filters import dangerous as d
from .canary import MEBIBYTE, bounded
from .conftest import ALICE
from .server import Server
from .wire import Smtp

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

HEAD = b"From: joe@far.test\r\nTo: alice@example.test\r\nSubject: hostile\r\nMIME-Version: 1.0\r\n"


def zeros(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"\0" * MEBIBYTE) for _ in range(size // MEBIBYTE)) + packer.flush()


def bomb() -> bytes:
    inner = d.zipped({f"{n}.gz": zeros(64 * MEBIBYTE) for n in range(4)}, zipfile.ZIP_STORED)
    return d.with_attachments(d.part("bomb.zip", d.zipped({f"{n}.zip": inner for n in range(10)})))


def slow() -> bytes:
    """Not suspicious by its ratio, so it is unpacked to the bound."""
    noise = zlib.compress(bytes(range(256)) * 4, 9) * 3000
    return d.with_attachments(d.part("x.gz", gzip.compress(noise * 12, 1)))


def nested() -> bytes:
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(100_000))
    return HEAD + opening + b"\r\nHello\r\n"


def parts() -> bytes:
    one = b"--b\r\nContent-Type: application/zip; name=x.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n"
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + one * 30_000 + b"--b--\r\n"


def header() -> bytes:
    return HEAD + b"X-A: b\r\n" * 120_000 + b"\r\nHello\r\n"


def parameters() -> bytes:
    many = b"".join(b";\r\n name*%d=x" % n for n in range(50_000))
    return HEAD + b"Content-Type: application/zip" + many + b"\r\n\r\nHello\r\n"


def names() -> bytes:
    return d.with_attachments(d.part("x.zip", d.zipped({f"{n}.txt": b"" for n in range(60_000)}, zipfile.ZIP_STORED)))


def markup() -> bytes:
    return HEAD + b"Content-Type: text/html\r\n\r\n" + b"<script>" + b"1,1,1,1, <a on\r\n" * 300_000


def deliver(server: Server, text: bytes) -> int:
    with Smtp(server, timeout_s=60) as smtp:
        assert smtp.ask("MAIL FROM:<joe@far.test>")[0] == 250
        assert smtp.ask(f"RCPT TO:<{ALICE}>")[0] == 250
        assert smtp.ask("DATA")[0] == 354
        smtp.send(text.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        return smtp.reply()[0]


@pytest.mark.parametrize("make", [bomb, slow, nested, parts, header, parameters, names, markup])
def test_a_hostile_message_is_answered_and_hurts_nobody(server: Server, make: Callable[[], bytes]):
    text = make()
    with bounded(server, memory=160 * MEBIBYTE, seconds=60), ThreadPoolExecutor(4) as attackers:
        answers = list(attackers.map(lambda _: deliver(server, text), range(8)))
    assert all(code in (250, 451, 550, 552, 554) for code in answers), answers
