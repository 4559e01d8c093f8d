"""Charset labels of mail to Python's codecs, by a closed table, and decoding that never fails (RFC 2978 names).

A label of a message never reaches `codecs.lookup`: some codecs are no charsets, and some take quadratic time.
"""

from __future__ import annotations

_CODECS = {
    "ascii": "us-ascii ascii ansi_x3.4-1968 iso646-us us 646",
    "utf-8": "utf-8 utf8 utf-8-sig unicode-1-1-utf-8 x-unknown unknown-8bit default",
    "utf-7": "utf-7 unicode-1-1-utf-7 unicode-2-0-utf-7",
    "utf-16": "utf-16 utf16 unicode ucs-2 iso-10646-ucs-2",
    "utf-16-le": "utf-16le utf-16-le",
    "utf-16-be": "utf-16be utf-16-be",
    "utf-32": "utf-32 utf32 ucs-4 iso-10646-ucs-4",
    "utf-32-le": "utf-32le",
    "utf-32-be": "utf-32be",
    "cp1252": "iso-8859-1 iso8859-1 latin1 latin-1 l1 windows-1252 cp1252 x-cp1252 iso_8859-1 8859-1 ansi 1252 cp819 ibm819",
    "iso8859-2": "iso-8859-2 iso8859-2 latin2 latin-2 l2 iso_8859-2",
    "iso8859-3": "iso-8859-3 iso8859-3 latin3 l3 iso_8859-3",
    "iso8859-4": "iso-8859-4 iso8859-4 latin4 l4 iso_8859-4",
    "iso8859-5": "iso-8859-5 iso8859-5 cyrillic iso_8859-5",
    "iso8859-6": "iso-8859-6 iso8859-6 arabic iso-8859-6-i iso-8859-6-e iso_8859-6",
    "iso8859-7": "iso-8859-7 iso8859-7 greek iso_8859-7",
    "iso8859-8": "iso-8859-8 iso8859-8 hebrew iso-8859-8-i iso-8859-8-e iso_8859-8",
    "cp1254": "iso-8859-9 iso8859-9 latin5 l5 windows-1254 cp1254 iso_8859-9",
    "iso8859-10": "iso-8859-10 iso8859-10 latin6 l6",
    "cp874": "iso-8859-11 iso8859-11 tis-620 windows-874 cp874",
    "iso8859-13": "iso-8859-13 iso8859-13 latin7",
    "iso8859-14": "iso-8859-14 iso8859-14 latin8",
    "iso8859-15": "iso-8859-15 iso8859-15 latin9 latin-9 iso_8859-15",
    "iso8859-16": "iso-8859-16 iso8859-16 latin10",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1253": "windows-1253 cp1253",
    "cp1255": "windows-1255 cp1255",
    "cp1256": "windows-1256 cp1256",
    "cp1257": "windows-1257 cp1257",
    "cp1258": "windows-1258 cp1258",
    "cp437": "ibm437 cp437",
    "cp850": "ibm850 cp850",
    "cp852": "ibm852 cp852",
    "cp855": "ibm855 cp855",
    "cp866": "ibm866 cp866",
    "koi8-r": "koi8-r koi8 koi8_r",
    "koi8-u": "koi8-u koi8-ru",
    "mac-roman": "macintosh mac x-mac-roman macroman",
    "mac-cyrillic": "x-mac-cyrillic maccyrillic",
    "gb18030": "gb18030 gb2312 gbk gb_2312-80 x-gbk cp936 windows-936 euc-cn chinese csgb2312",
    "hz": "hz-gb-2312 hz",
    "big5hkscs": "big5 big5-hkscs big5hkscs cn-big5 x-x-big5",
    "cp932": "shift_jis shift-jis sjis x-sjis ms_kanji windows-31j cp932 csshiftjis",
    "euc-jp": "euc-jp eucjp x-euc-jp",
    "iso2022_jp_ext": "iso-2022-jp csiso2022jp iso-2022-jp-1 iso-2022-jp-3 iso-2022-jp-2004",
    "iso2022_jp_2": "iso-2022-jp-2",
    "cp949": "euc-kr euckr ks_c_5601-1987 ks_c_5601 ksc5601 korean cp949 windows-949 uhc x-windows-949",
    "iso2022_kr": "iso-2022-kr",
    "johab": "johab",
}
CODECS = {label: codec for codec, labels in _CODECS.items() for label in labels.split()}
"""Codec by lower-case label. Latin-1 means windows-1252, and us-ascii with 8-bit octets is guessed, as every browser does."""


def codec(label: str) -> str | None:
    """Python's codec for a charset label, None if it is not in the table."""
    return CODECS.get(label.strip(" \t\"'").lower())


def decode(octets: bytes, label: str = "us-ascii") -> str:
    """*octets* as text. Unknown labels and us-ascii with 8-bit octets are tried as UTF-8, then taken as windows-1252."""
    name = codec(label)
    if name is None or name == "ascii":
        return _guess(octets)
    try:
        text = octets.decode(name, "replace")
    except (UnicodeError, ValueError):
        return _guess(octets)
    # This one alone lets half a surrogate pair through, which is no text: nothing could encode it again.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if name == "utf-7" else text


def _guess(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")
