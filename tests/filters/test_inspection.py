"""What files really are, and what is packed in them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import time
import zipfile
import zlib
from collections.abc import Callable

import pytest

from postillon.filters import archive
from postillon.filters.archive import Budget
from postillon.filters.filetype import Danger, deceives, ending_of
from postillon.filters.inspection import Found, inspect, uuencoded
from tests.growth import cost

from . import dangerous as d


def found(name: str, data: bytes) -> list[Found]:
    return list(inspect(name, data, Budget(len(data))))


def dangers(name: str, data: bytes) -> set[tuple[Danger, str]]:
    return {(one.danger, one.what) for one in found(name, data)}


@pytest.mark.parametrize(
    ("name", "data", "danger", "what"),
    [
        ("photo.jpg", d.PROGRAM, Danger.EXECUTABLE, "Windows program"),
        ("x", d.ELF, Danger.EXECUTABLE, "Linux program"),
        ("x", b"\xcf\xfa\xed\xfe\x07\0\0\x01", Danger.EXECUTABLE, "macOS program"),
        ("x", b"\xca\xfe\xba\xbe\0\0\0\x02", Danger.EXECUTABLE, "macOS program"),
        ("x.bin", b"\xca\xfe\xba\xbe\0\0\0\x41", Danger.EXECUTABLE, "Java class"),
        ("report.txt", d.SHORTCUT, Danger.EXECUTABLE, "shortcut"),
        ("x", b"[InternetShortcut]\r\nURL=file://evil/x", Danger.EXECUTABLE, "shortcut"),
        ("x", b"ITSF\x03\0\0\0", Danger.EXECUTABLE, "compiled help"),
        ("x.doc", d.ISO, Danger.EXECUTABLE, "disk image"),
        ("x", b"x" * 1024 + b"conectix" + b"\0" * 504, Danger.EXECUTABLE, "disk image"),
        ("x", b"\xeb\x3c\x90MSDOS5.0" + b"\0" * 43 + b"FAT12   " + b"\0" * 448 + b"\x55\xaa", Danger.EXECUTABLE, "disk image"),
        ("x", b"vhdxfile\0\0", Danger.EXECUTABLE, "disk image"),
        ("run.me", b"#!/bin/sh\nrm -rf /\n", Danger.SCRIPT, "script"),
        ("invoice.js", b"eval(1)", Danger.EXECUTABLE, "script"),
        ("invoice.vbs", b"x = 1", Danger.EXECUTABLE, "script"),
        ("x.html", b"<html><HTA:APPLICATION id=x></html>", Danger.EXECUTABLE, "HTML application"),
        ("x.msi", d.OLE2 + bytes.fromhex("84100c0000000000c000000000000046"), Danger.EXECUTABLE, "installer"),
        ("x.doc", d.VBA, Danger.ACTIVE, "document with macros"),
        ("x.docx", d.office(word_vbaProject__bin=b"x"), Danger.ACTIVE, "document with macros"),
        ("x.docx", d.office(word_embeddings_oleObject1__bin=b"x"), Danger.ACTIVE, "document with an embedded file"),
        (
            "x.docx",
            d.office(word__rels_settings__xml__rels=b'<R Type="x/attachedTemplate" TargetMode="External"/>'),
            Danger.ACTIVE,
            "document whose template lies elsewhere",
        ),
        ("x.rtf", rb"{\rtf1{\object\objemb{\*\objdata 0105}}}", Danger.ACTIVE, "document with an embedded object"),
        ("x.pdf", b"%PDF-1.7\n/OpenAction << /S /Launch >>", Danger.ACTIVE, "PDF that starts a program"),
        ("x.one", bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + b"\0", Danger.ACTIVE, "OneNote notebook"),
        ("x.docx", d.OLE2 + "EncryptedPackage".encode("utf-16-le"), Danger.ENCRYPTED, "encrypted document"),
        ("x.zip", d.encrypted_zip("note.txt"), Danger.ENCRYPTED, "encrypted archive"),
        ("x.rar", d.rar4(b"note.txt", flags=4), Danger.ENCRYPTED, "encrypted archive"),
        ("x.rar", d.rar4(b"note.txt", main_flags=0x80), Danger.ENCRYPTED, "encrypted archive"),
        ("x.rar", d.rar5(b"note.txt", encrypted=True), Danger.ENCRYPTED, "encrypted archive"),
        ("x.rar", d.rar5(b"note.txt", header=True), Danger.ENCRYPTED, "encrypted archive"),
        ("x.7z", d.seven_zip("encrypted"), Danger.ENCRYPTED, "encrypted archive"),
        ("x.7z", d.seven_zip("hidden"), Danger.ENCRYPTED, "encrypted archive"),
        ("x.jar", d.zipped({"META-INF/MANIFEST.MF": b"Main-Class: x", "x.class": b"x"}), Danger.EXECUTABLE, "Java program"),
        ("x.html", d.SMUGGLING, Danger.SMUGGLING, "page that makes a file by a script"),
        (
            "x.html",
            b'<a download="x.zip" href="data:application/zip;base64,UEsDBA==">open</a>',
            Danger.SMUGGLING,
            "page that makes a file by a script",
        ),
        ("x.svg", b'<svg xmlns="x"><script>alert(1)</script></svg>', Danger.SMUGGLING, "image with a script"),
        ("x.svg", b'<svg onload="alert(1)"/>', Danger.SMUGGLING, "image with a script"),
    ],
)  # fmt: skip
def test_what_is_dangerous_is_found_whatever_it_is_called(name: str, data: bytes, danger: Danger, what: str) -> None:
    assert (danger, what) in dangers(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("photo.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 1000),
        ("a.b.c.pdf", b"%PDF-1.7\n1 0 obj\n"),
        ("invoice.pdf", b"%PDF-1.7\n<< /Type /EmbeddedFile /Subtype /text#2Fxml >>"),
        ("report.docx", d.office(word_theme_theme1__xml=b"<a/>")),
        ("notes.txt", b"MZ is how programs begin"),
        ("archive.tar.gz", gzip.compress(d.tarred({"readme.txt": b"hello"}))),
        ("page.html", b"<html><body onclick='x()'><p>Hello</p></body></html>"),
        ("image.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'),
        ("letter.rtf", rb"{\rtf1 Hello \pict}"),
        ("mail.doc", d.OLE2 + b"text"),
    ],
)
def test_what_is_harmless_is_left_alone(name: str, data: bytes) -> None:
    assert found(name, data) == []


PACK: dict[str, Callable[[str, bytes], bytes]] = {
    "stored.zip": lambda name, data: d.zipped({name: data}, zipfile.ZIP_STORED),
    "deflated.zip": lambda name, data: d.zipped({name: data}),
    "bzip2.zip": lambda name, data: d.zipped({name: data}, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda name, data: d.zipped({name: data}, zipfile.ZIP_LZMA),
    "prefixed.zip": lambda name, data: b"something before " + d.zipped({name: data}),
    "x.tar": lambda name, data: d.tarred({name: data}),
    "x.tgz": lambda name, data: gzip.compress(d.tarred({"a" * 120 + name: data})),
    "x.tar.bz2": lambda name, data: bz2.compress(d.tarred({name: data})),
    "x.tar.xz": lambda name, data: lzma.compress(d.tarred({name: data})),
    "two.tar.gz": lambda name, data: gzip.compress(d.tarred({"a": b""})[:512]) + gzip.compress(d.tarred({name: data})),
}


@pytest.mark.parametrize("kind", PACK)
def test_a_program_in_an_archive_is_found(kind: str) -> None:
    told = found(kind, PACK[kind]("photo.jpg", d.PROGRAM))
    assert [(one.danger, one.what) for one in told] == [(Danger.EXECUTABLE, "Windows program")]
    assert told[0].name.startswith(kind + "/") and told[0].name.endswith("photo.jpg")


@pytest.mark.parametrize("data", [d.rar4(b"a\\evil.exe"), d.rar5(b"evil.exe"), d.seven_zip("plain"), d.encrypted_zip()])
def test_where_it_cannot_be_unpacked_the_names_tell(data: bytes) -> None:
    assert Danger.EXECUTABLE in {one.danger for one in found("x", data)}


def test_a_program_is_found_five_archives_deep_and_the_sixth_is_too_much() -> None:
    data = d.PROGRAM
    for _ in range(5):
        data = d.zipped({"inner.zip": data})
    assert dangers("x.zip", data) == {(Danger.EXECUTABLE, "Windows program")}
    assert dangers("x.zip", d.zipped({"inner.zip": data})) == {(Danger.BOMB, "more than 5 archives in each other")}


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(size >> 20)) + packer.flush()


@pytest.mark.parametrize(
    "make",
    [
        lambda: bomb(1 << 28),
        lambda: d.zipped({f"{n}.gz": bomb(30 << 20) for n in range(10)}, zipfile.ZIP_STORED),
        lambda: d.zipped({str(n): b"" for n in range(6000)}),
        lambda: bz2.compress(b"\0" * (200 << 20)),
        lambda: gzip.compress(b"") * 20_000,
    ],
    ids=["one file", "many files", "many names", "bzip2", "many members"],
)
def test_what_unpacks_without_end_is_a_bomb_within_a_second(make: Callable[[], bytes]) -> None:
    data = make()
    begun = time.process_time()
    assert {danger for danger, _ in dangers("x.zip", data)} == {Danger.BOMB}
    assert time.process_time() - begun < 2


def test_files_that_share_their_octets_are_read_only_so_often() -> None:
    """A zip whose thousands of entries all point at the same large and empty stream."""
    empty = b"\0\0\0\xff\xff" * (1 << 20)  # stored blocks of nothing
    local = b"PK\x03\x04" + b"\x14\0\0\0\x08\0" + b"\0" * 8 + len(empty).to_bytes(4, "little") + b"\0" * 4 + b"\x01\0\0\0a"
    central = b"PK\x01\x02\x14\0\x14\0\0\0\x08\0" + b"\0" * 8 + len(empty).to_bytes(4, "little") + b"\0" * 4
    central += b"\x01\0" + b"\0" * 12 + b"\0" * 4 + b"a"
    directory = central * 4000
    start = len(local) + len(empty)
    end = b"PK\x05\x06" + b"\0" * 8 + len(directory).to_bytes(4, "little") + start.to_bytes(4, "little") + b"\0\0"
    begun = time.process_time()
    assert dangers("x.zip", local + empty + directory + end) == {(Danger.BOMB, "more than 128 MiB to read")}
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("name", ["x.zip", "x.rar", "x.7z", "x.gz", "x.tar", "x.doc", "x.iso"])
@pytest.mark.parametrize(
    "start",
    [
        b"PK\x03\x04", b"PK\x05\x06", b"Rar!\x1a\x07\0", b"Rar!\x1a\x07\1\0", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh9",
        b"\xfd7zXZ\0",
    ],
)  # fmt: skip
def test_broken_archives_are_no_error(name: str, start: bytes) -> None:
    for seed in range(30):
        junk = zlib.compress(bytes([seed]) * 50) * 20
        found(name, start + junk)
    whole = {b"PK\x03\x04": d.zipped({"a": b"b" * 99}), b"7z\xbc\xaf\x27\x1c": d.seven_zip("plain")}.get(start, start + b"x" * 50)
    for cut in range(0, len(whole), 7):
        found(name, whole[:cut])
        found(name, whole[:cut] + b"\xff" * 9 + whole[cut + 9 :])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("invoice.pdf.exe", "double"),
        ("invoice.pdf .js", "double"),
        ("photo\u202egpj.exe", "turned"),
        ("invoice.pdf                    .scr", "spaced"),
        ("notes.tar.gz", ""),
        ("version 1.2.exe", ""),
        ("report.2024.pdf", ""),
    ],
)
def test_names_that_hide_their_ending(name: str, how: str) -> None:
    assert deceives(name) == how


def test_the_ending_that_windows_sees() -> None:
    assert ending_of("a.EXE. . ") == b"exe"
    assert ending_of("a.e\u200bxe") == b"exe"
    assert ending_of("README") == b""


def test_an_old_uuencoded_file_is_found() -> None:
    import binascii

    lines = b"".join(binascii.b2a_uu(d.PROGRAM[at : at + 45]) for at in range(0, len(d.PROGRAM), 45))
    assert list(uuencoded(b"Hi\r\nbegin 644 x.jpg\r\n" + lines.replace(b"\n", b"\r\n") + b"end\r\n")) == [("x.jpg", d.PROGRAM)]


@pytest.mark.parametrize(
    "text",
    [
        b"1," * 199 + b"x",
        b"A" * 999 + b" ",
        b" onx =",
        b"<" * 50,
        b"href=data:;",
        b"<script",
        b"a" * 50 + b"\n",
        b"\\objdat",
        b"PK\x01\x02",
    ],
)
def test_time_is_linear_in_what_is_looked_at(text: bytes) -> None:
    def looked_at(size: int) -> float:
        data = b"<svg {\\rt <script " + text * (size // len(text))
        return cost(lambda: found("x.html", data))

    small, large = looked_at(1 << 19), looked_at(1 << 21)
    assert large < small * 4 * 2 + 0.05


def test_the_bounds_are_what_the_documents_say() -> None:
    assert (archive.MAX_DEPTH, archive.MAX_ENTRIES, archive.MAX_OCTETS >> 20, archive.MAX_FILE >> 20) == (5, 5000, 128, 32)
