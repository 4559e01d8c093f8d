"""Aggregate reports that come by mail: found, unpacked, and never unpacked beyond bounds."""

from __future__ import annotations

import gzip
import io
import zipfile
from email.message import EmailMessage

import pytest

from postillon.message.report_parts import MAX_PACKED, MAX_REPORT, BadReport, report_parts, unpacked


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, octets in files:
            archive.writestr(name, octets)
    return out.getvalue()


def mail(octets: bytes, subtype: str, name: str) -> bytes:
    message = EmailMessage()
    message["Subject"] = "Report Domain: example.test"
    message.set_content("A report is attached.")
    message.add_attachment(octets, "application", subtype, filename=name)
    return message.as_bytes().replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("packed", "subtype"),
    [
        (gzip.compress(b"<feedback/>"), "gzip"),
        (zipped(("a.xml", b"<feedback/>")), "zip"),
        (zipped(("a.xml", b"<feedback/>"), method=zipfile.ZIP_STORED), "zip"),
        (b"<feedback/>", "xml"),
    ],
    ids=["gzip", "zip", "stored", "plain"],
)
def test_attachment_is_found_and_unpacked_by_what_it_is(packed: bytes, subtype: str) -> None:
    (part,) = report_parts(mail(packed, subtype, "r!example.test!1!2.xml"))
    assert (part.octets, part.content_type, part.name) == (b"<feedback/>", f"application/{subtype}", "r!example.test!1!2.xml")


def test_report_may_be_the_whole_message() -> None:
    message = EmailMessage()
    message.set_content(gzip.compress(b"{}"), "application", "tlsrpt+gzip", filename="r.json.gz")
    assert [part.octets for part in report_parts(message.as_bytes())] == [b"{}"]


def test_message_without_an_attachment_has_no_report() -> None:
    assert report_parts(b"Subject: hello\r\n\r\nText\r\n") == []


def test_bombs_are_left_alone() -> None:
    bomb = b"\0" * (MAX_REPORT + 1)
    for packed in (gzip.compress(bomb), zipped(("a", bomb))):
        assert len(packed) < 100_000
        with pytest.raises(BadReport, match="more than"):
            unpacked(packed)
    assert report_parts(mail(gzip.compress(bomb), "gzip", "a.gz")) == []


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"x" * 1000)[:-20],
        b"\x1f\x8bnonsense",
        b"PK\x03\x04nonsense",
        zipped(("a", b"1"), ("b", b"2")),
        zipped(),
        zipped(("a", b"x" * 1000), method=zipfile.ZIP_BZIP2),
        zipped(("a", b"x" * 1000))[:60],
        b"x" * (MAX_PACKED + 1),
    ],
    ids=["short gzip", "bad gzip", "bad zip", "two files", "no file", "bzip2", "short zip", "too large"],
)
def test_what_is_broken_or_strange_is_refused(packed: bytes) -> None:
    if packed.startswith(b"PK\x05\x06"):  # an archive without files begins with its end
        assert unpacked(packed) == packed
        return
    with pytest.raises(BadReport):
        unpacked(packed)


def test_gzip_with_something_behind_it_gives_what_was_packed() -> None:
    assert unpacked(gzip.compress(b"{}") + b"\r\n") == b"{}"
