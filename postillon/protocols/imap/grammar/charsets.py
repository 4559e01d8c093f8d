"""Charsets that SEARCH, SORT and THREAD take. A closed list: no name from the wire ever reaches Python's codec search."""

from __future__ import annotations

from collections.abc import Callable

from .reader import Bad

CHARSETS: dict[bytes, str] = {
    b"US-ASCII": "ascii",
    b"UTF-8": "utf-8",
    **{b"ISO-8859-%d" % number: f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))},
    **{b"WINDOWS-%d" % number: f"cp{number}" for number in range(1250, 1259)},
    b"BIG5": "big5",
    b"EUC-JP": "euc_jp",
    b"EUC-KR": "euc_kr",
    b"GB18030": "gb18030",
    b"GB2312": "gb2312",
    b"GBK": "gbk",
    b"ISO-2022-JP": "iso2022_jp",
    b"KOI8-R": "koi8_r",
    b"KOI8-U": "koi8_u",
    b"SHIFT_JIS": "shift_jis",
}
_ALIASES = {b"ASCII": b"US-ASCII", b"UTF8": b"UTF-8", b"LATIN1": b"ISO-8859-1"}


def decoder(charset: bytes) -> Callable[[bytes], str] | None:
    """How octets in *charset* become text (the function raises Bad), or None for one that is not known."""
    name = charset.upper()
    codec = CHARSETS.get(_ALIASES.get(name, name))
    if codec is None:
        return None

    def decode(octets: bytes) -> str:
        try:
            return octets.decode(codec)
        except UnicodeDecodeError as error:
            raise Bad("search string is not in the charset") from error

    return decode
