"""Messages and files of our own making that are dangerous, or look so, for the tests of the checks of content."""

from __future__ import annotations

import base64
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping

from postillon.filters.examined import Examined
from postillon.flow.accept import header_octets
from postillon.mailauth.content import Content
from postillon.message.incoming import Incoming
from postillon.model.address import Address
from postillon.model.envelope import Accepted, Client, Envelope, Recipient
from postillon.model.ids import AccountId, BlobId
from postillon.model.plan import Body

PROGRAM = b"MZ\x90\0" + b"\0" * 56 + b"\x40\0\0\0PE\0\0" + b"\0" * 100
ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 60
OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504
VBA = OLE2 + "_VBA_PROJECT".encode("utf-16-le") + b"\0" * 100
SHORTCUT = bytes.fromhex("4c0000000114020000000000c000000000000046") + b"\0" * 56
ISO = b"\0" * 0x8000 + b"\x01CD001\x01" + b"\0" * 100
SMUGGLING = b"<html><script>var b=atob('TVqQ');var f=new Blob([b]);a.href=URL.createObjectURL(f);a.click()</script></html>"

SEVEN_ZIP = {
    "plain": (
        "N3q8ryccAATEGAaZdwAAAAAAAAAgAAAAAAAAAPCi7iQBAA1NWiBoZWxsbwp0ZXh0CgAAAIEzB64PzxYxDAfIQ39Bsfr931/lO9ZH"
        "2vcRsCDEPgxFPHo3rDGRz7UBqolhtjHbOJEWR6kBP7liv1vl5ofWX1eWrAV7O6PZrBy8O4E6os8xf+mnehPghthaw9mkwi99KqAA"
        "ABcGEgEJZQAHCwEAASMDAQEFXQAQAAAMdgoBtTi05gAA"
    ),
    "encrypted": (
        "N3q8ryccAARmCr0vEAAAAAAAAABqAAAAAAAAAAftp6yLEQAY4GU8pGydkqAU3LC2AQQGAAEJEAAHCwEAAiQG8QcBElMPWMBJwspA"
        "wjEK4ujch8G3siEhAQABAAwNCQAICgHvt3dFAAAFARkBABETAGUAdgBpAGwALgBlAHgAZQAAABkAFAoBABRagGRTe90BFQYBACCA"
        "pIEAAA=="
    ),
    "hidden": (
        "N3q8ryccAAQ0/YEdgAAAAAAAAAAuAAAAAAAAAESRubc1QULfjK0Rnvbksc8rwfakxxJjixOfD2eDc45XHVK/b5Lfx2P15xuAz1a8"
        "1Ns1Ispi+lXPsc2uaBRH3Xf7S8r8idryIvyy9PJo483z+p+TeBw6gR/g3RSFktvy7fyXcls+xwihepseHXiQ7Ms1rDO+5I0TOso/"
        "3Eb+pOernJqv6xcGEAEJcAAHCwEAASQG8QcBElMPe/Nw+0+aHAwxIpD+fZLToQxqCgGhkEfEAAA="
    ),
}
"""Made by 7-Zip: `evil.exe` and `note.txt`; `evil.exe` with a password; the same with its directory encrypted."""


def seven_zip(which: str) -> bytes:
    return base64.b64decode(SEVEN_ZIP[which])


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def encrypted_zip(name: str = "evil.exe") -> bytes:
    """The flags say that it is encrypted, in both headers."""
    data = bytearray(zipped({name: b"x"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def tarred(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def rar4(name: bytes, flags: int = 0, main_flags: int = 0) -> bytes:
    main = struct.pack("<HBHH", 0, 0x73, main_flags, 13) + b"\0" * 6
    head = struct.pack("<HBHHIIBIIBBHI", 0, 0x74, 0x8000 | flags, 32 + len(name), 4, 4, 2, 0, 0, 29, 0x30, len(name), 32)
    return b"Rar!\x1a\x07\x00" + main + head + name + b"data" + struct.pack("<HBHH", 0, 0x7B, 0, 7)


def rar5(name: bytes, *, encrypted: bool = False, header: bool = False) -> bytes:
    def block(kind: int, fields: bytes, extra: bytes = b"", octets: bytes = b"") -> bytes:
        flags = (1 if extra else 0) | (2 if octets else 0)
        head = bytes([kind, flags]) + (bytes([len(extra)]) if extra else b"") + (bytes([len(octets)]) if octets else b"")
        whole = head + fields + extra
        return b"\0\0\0\0" + bytes([len(whole)]) + whole + octets

    start = b"Rar!\x1a\x07\x01\x00"
    if header:
        return start + block(4, b"\0\0\x0f" + b"\0" * 16)
    extra = b"\x04\x01\0\0\0" if encrypted else b""
    fields = b"\x00\x04\x20\x00\x00" + bytes([len(name)]) + name
    return start + block(1, b"\0") + block(2, fields, extra, b"data") + block(5, b"\0")


def office(**files: bytes) -> bytes:
    """A document in the newer form; names have `_` for `/` and `__` for a dot."""
    named = {name.replace("__", ".").replace("_", "/"): data for name, data in files.items()}
    return zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>", **named})


def part(name: str, data: bytes, kind: str = "application/octet-stream", more: str = "") -> bytes:
    return (
        f'--b\r\nContent-Type: {kind}; name="{name}"{more}\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'.encode()
        + base64.encodebytes(data).replace(b"\n", b"\r\n")
    )


def with_attachments(*parts: bytes) -> bytes:
    head = (
        b"From: joe@sender.test\r\nTo: alice@example.test\r\nSubject: hello\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    )
    return head + b"".join(parts) + b"--b--\r\n"


def examined(text: bytes, *recipients: str) -> Examined:
    """As at the MX; the recipients' accounts are 1, 2, 3 …"""
    accepted = tuple(Accepted(Recipient(Address.parse(name)), (AccountId(number),)) for number, name in enumerate(recipients, 1))
    envelope = Envelope(Address.parse("joe@sender.test"), tuple(one.recipient for one in accepted))
    body = Body(BlobId(1), len(text), b"", data=text)
    incoming = Incoming(Client("192.0.2.7", hello="peer.test"), envelope, accepted, body, 1_800_000_000)
    header = header_octets(body)
    return Examined(incoming, header, Content(header, lambda: [text[len(header) :]]))
