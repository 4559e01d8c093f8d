"""Blocklists of hashes: addresses and attached files."""

from __future__ import annotations

import base64
import hashlib

import pytest

from postillon.filters.blocklists import FILES, MAILS, BlocklistFilter, Blocklists, Zone, digest, files, mails
from postillon.model.verdict import Opinion
from tests.kinds import TableResolver

from .conftest import codes, examined, message

FILE = b"MZ" + bytes(range(256)) * 10
ATTACHED = (
    b"From: Joe <Joe@Sender.test>\r\nReply-To: other@else.test\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\nContent-Type: application/pdf; name=x.pdf\r\n"
    b"Content-Disposition: attachment; filename=bill.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(FILE).replace(b"\n", b"\r\n")
    + b"--b--\r\n"
)


async def judged(zone: Zone, listed: str, octets: bytes) -> tuple[Opinion, TableResolver]:
    resolver = TableResolver({f"{listed}.{zone.name}": {"a": ["127.0.0.2"]}, f"test.{zone.name}": {"a": ["127.0.0.2"]}})
    return await BlocklistFilter(Blocklists(resolver=resolver, zones=[zone])).examine(examined(octets)), resolver


async def test_addresses_are_found_by_their_hash():
    zone = Zone("ebl.test", 4.0, checks=(MAILS,))
    listed = hashlib.sha1(b"other@else.test", usedforsecurity=False).hexdigest()
    opinion, _ = await judged(zone, listed, ATTACHED)
    assert codes(opinion) == ["hashbl.listed"]
    assert (opinion.findings[0].fact("subject"), opinion.findings[0].score) == ("other@else.test", 4.0)
    assert codes((await judged(zone, listed, message()))[0]) == []


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
async def test_attached_files_are_found_by_what_they_are(kind: str):
    zone = Zone("files.test", 8.0, checks=(FILES,), hash=kind)
    opinion, resolver = await judged(zone, digest(kind, FILE), ATTACHED)
    assert codes(opinion) == ["hashbl.listed"] and opinion.findings[0].fact("subject") == "bill.pdf"
    assert all(len(label) <= 63 for _, name in resolver.asked for label in name.split("."))


def test_what_is_looked_up_is_bounded():
    many = b"Reply-To: " + b", ".join(b"a%d@b.test" % n for n in range(500)) + b"\r\n"
    assert len(mails(examined(many + message()))) <= 7
    one = b"--b\r\nContent-Type: application/x-thing\r\n\r\nx\r\n"
    parts = b"From: x@y.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + one * 100 + b"--b--\r\n"
    assert len(files(examined(parts))) == 10
