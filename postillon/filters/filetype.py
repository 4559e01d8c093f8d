"""What a file really is, by its octets: programs and what carries them. Names count only for scripts, which have no other mark.

Time is linear in the octets looked at, and there is no recursion: archives are opened by `archive`.
"""

from __future__ import annotations

import re
from enum import Enum


class Danger(Enum):
    """Why a file is worth a rule of its own; the settings have one for each."""

    EXECUTABLE = "executables"
    """It runs by itself: programs, scripts, shortcuts, installers, disk images, compiled help."""
    SCRIPT = "scripts"
    """A script that some program must be told to run: every archive of sources has some."""
    ACTIVE = "macros"
    """A document that carries a program or another file in it."""
    ENCRYPTED = "encrypted"
    BOMB = "bombs"
    """More than we are willing to unpack."""
    SMUGGLING = "smuggling"
    """Markup whose script makes a file on the reader's machine."""


class Container(Enum):
    """What `archive` can look into, or at least list."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    RAR = "rar"
    SEVEN_ZIP = "7z"


Kind = tuple[str, Danger]
"""The word that people are told, and the danger."""

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x7fELF", ("Linux program", Danger.EXECUTABLE)),
    (b"\xfe\xed\xfa\xce", ("macOS program", Danger.EXECUTABLE)),
    (b"\xfe\xed\xfa\xcf", ("macOS program", Danger.EXECUTABLE)),
    (b"\xce\xfa\xed\xfe", ("macOS program", Danger.EXECUTABLE)),
    (b"\xcf\xfa\xed\xfe", ("macOS program", Danger.EXECUTABLE)),
    (b"dex\n0", ("Android program", Danger.EXECUTABLE)),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46", ("shortcut", Danger.EXECUTABLE)),
    (b"ITSF", ("compiled help", Danger.EXECUTABLE)),
    (b"?_\x03\x00", ("Windows help", Danger.EXECUTABLE)),
    (b"vhdxfile", ("disk image", Danger.EXECUTABLE)),
    (b"conectix", ("disk image", Danger.EXECUTABLE)),
    (b"QFI\xfb", ("disk image", Danger.EXECUTABLE)),
    (b"KDMV", ("disk image", Danger.EXECUTABLE)),
    (b"MSWIM\0\0\0", ("disk image", Danger.EXECUTABLE)),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", ("OneNote notebook", Danger.ACTIVE)),
    (b"xar!", ("installer package", Danger.EXECUTABLE)),
)
_CONTAINERS: tuple[tuple[bytes, Container], ...] = (
    (b"PK\x03\x04", Container.ZIP),
    (b"PK\x05\x06", Container.ZIP),
    (b"PK00PK", Container.ZIP),
    (b"\x1f\x8b", Container.GZIP),
    (b"BZh", Container.BZIP2),
    (b"\xfd7zXZ\0", Container.XZ),
    (b"Rar!\x1a\x07", Container.RAR),
    (b"7z\xbc\xaf\x27\x1c", Container.SEVEN_ZIP),
)
_FAT = b"\xca\xfe\xba\xbe"
_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_INSTALLER = bytes.fromhex("84100c0000000000c000000000000046")
"""The class of an installer database, as it lies in a compound file."""

_VBA = "_VBA_PROJECT".encode("utf-16-le")
_PACKED = tuple(name.encode("utf-16-le") for name in ("\x01Ole10Native", "Package\0"))
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

SCRIPTS = frozenset(
    b"ade adp app application appref-ms bat chm cmd com cpl exe gadget hta ins isp jar jnlp job js jse library-ms lnk mde msc"
    b" msh msh1 msh2 mshxml msi msp mst osd pif ps1 ps1xml ps2 ps2xml psc1 psc2 psd1 psm1 reg scf scr sct search-ms"
    b" settingcontent-ms shb shs theme url vb vbe vbp vbs vbscript vsmacros vxd website ws wsc wsf wsh xbap xll xnk".split()
)
"""Endings at which Windows runs a file, whatever is in it."""
IMAGES = frozenset(b"iso img vhd vhdx udf wim dmg".split())
MACRO_ENDINGS = frozenset(b"docm dotm xlsm xltm xlam xlsb pptm potm ppam ppsm sldm xla xlt xlw one onepkg slk iqy".split())
DOCUMENTS = frozenset(
    b"pdf doc docx xls xlsx ppt pptx txt rtf odt ods odp jpg jpeg png gif tif tiff bmp zip html htm csv xml mp3 mp4 wav"
    b" eml".split()
)
"""Endings that look harmless, and are put before another one to deceive."""

_HTA = re.compile(rb"<hta:application\b")
_SHORTCUT = re.compile(rb"\A\s{0,16}\[(?:internetshortcut|\{000214a0)", re.IGNORECASE)
_RTF_OBJECT = re.compile(rb"\\obj(?:data|autlink|update|ocx|emb)\b|\\\*\\objdata", re.IGNORECASE)
_PDF_ACTION = re.compile(rb"/Launch\b")


def container(data: bytes) -> Container | None:
    """The archive that *data* is."""
    for start, found in _CONTAINERS:
        if data.startswith(start):
            return found
    if data[257:262] == b"ustar":
        return Container.TAR
    # An archive may have something before it; programs look for its directory at the end.
    return Container.ZIP if b"PK\x05\x06" in data[-65557:] and b"PK\x03\x04" in data else None


def identify(data: bytes, ending: bytes = b"") -> list[Kind]:
    """What is dangerous about *data*, whose name ends with *ending* (lower case, without the dot); mostly nothing."""
    found = [kind for start, kind in _STARTS if data.startswith(start)]
    if data.startswith(b"MZ") and len(data) >= 64:
        found.append(("Windows program", Danger.EXECUTABLE))
    elif data.startswith(_FAT):
        # The same mark: a Java class has a version from 45 on where a program for several processors has a small count.
        is_java = len(data) >= 8 and int.from_bytes(data[6:8], "big") >= 45
        found.append(("Java class" if is_java else "macOS program", Danger.EXECUTABLE))
    elif data.startswith(_OLE2):
        found += _compound(data)
    elif data.startswith(b"{\\rt"):
        if _RTF_OBJECT.search(data):
            found.append(("document with an embedded object", Danger.ACTIVE))
    elif data.startswith(b"%PDF") and _PDF_ACTION.search(data):
        found.append(("PDF that starts a program", Danger.ACTIVE))
    found += _image(data)
    found += _text(data, ending)
    if ending in IMAGES and not found:
        found.append(("disk image", Danger.EXECUTABLE))
    if ending in MACRO_ENDINGS and not found:
        found.append(("document with macros", Danger.ACTIVE))
    return found


def _compound(data: bytes) -> list[Kind]:
    """Of a compound file (old Office documents, installers, mail): the names in its directory are looked for as they lie."""
    if _INSTALLER in data[: 1 << 20] or _INSTALLER in data[-(1 << 20) :]:
        return [("installer", Danger.EXECUTABLE)]
    found: list[Kind] = []
    if _VBA in data:
        found.append(("document with macros", Danger.ACTIVE))
    if any(name in data for name in _PACKED):
        found.append(("document with an embedded file", Danger.ACTIVE))
    if _ENCRYPTED in data:
        found.append(("encrypted document", Danger.ENCRYPTED))
    return found


def _image(data: bytes) -> list[Kind]:
    is_image = (
        data[0x8001:0x8006] in (b"CD001", b"BEA01", b"CDROM")
        or data[-512:-504] == b"conectix"
        or data[-512:-508] == b"koly"
        or (data[510:512] == b"\x55\xaa" and data[:1] in (b"\xeb", b"\xe9") and (b"FAT" in data[54:90] or b"NTFS" in data[3:8]))
    )
    return [("disk image", Danger.EXECUTABLE)] if is_image else []


def _text(data: bytes, ending: bytes) -> list[Kind]:
    head = data[:4096]
    if ending in SCRIPTS:
        return [("script" if b"\0" not in head else "program", Danger.EXECUTABLE)]
    if head.startswith(b"#!") and re.match(rb"#! ?/[!-~]+", head):
        return [("script", Danger.SCRIPT)]
    if _SHORTCUT.match(head):
        return [("shortcut", Danger.EXECUTABLE)]
    if b"<" in head and b":" in data and _HTA.search(data.lower()):
        return [("HTML application", Danger.EXECUTABLE)]
    return []


# --- names --------------------------------------------------------------------------------------------------------------

_TURNS = frozenset("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f")
_INVISIBLE = frozenset("\u200b\u200c\u200d\u2060\ufeff\u00ad")


def ending_of(name: str) -> bytes:
    """The last ending in lower case, as Windows understands it: without white space and dots at the end."""
    bare = "".join(char for char in name if char not in _TURNS and char not in _INVISIBLE).rstrip(" .\t\r\n\0")
    _, dot, ending = bare.rpartition(".")
    return ending.lower().encode("ascii", "ignore") if dot and len(ending) <= 24 else b""


def deceives(name: str) -> str:
    """How *name* hides its ending: `turned`, `double`, `spaced`, or an empty text."""
    if any(char in _TURNS for char in name):
        return "turned"
    last = ending_of(name)
    if last not in SCRIPTS and last not in IMAGES and last not in MACRO_ENDINGS:
        return ""
    before = name[: name.rfind(".")]
    if "     " in before or "\t" in before:
        return "spaced"
    return "double" if ending_of(before.rstrip(" _")) in DOCUMENTS else ""
