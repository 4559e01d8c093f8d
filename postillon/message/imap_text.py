"""ENVELOPE, BODY and BODYSTRUCTURE as the octets that IMAP sends (RFC 3501 §7.4.2, §9; message/global: RFC 9051 §9).

Made once on arrival. Text that is not plain ASCII goes out as literals, which every revision of IMAP allows here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import header as headers
from .addresses import Group, HeaderAddress, parse_addresses
from .header import unfold
from .parameters import Params
from .part import Part

_QUOTABLE = re.compile(rb"[ !#-\[\]-~\t]*")
_SPECIAL = re.compile(rb'(["\\])')
# NUL is in no string of IMAP but literal8, and a stray CR or LF helps nobody.
_CLEANED = bytes.maketrans(b"\x00\r\n", b"   ")
_GROUP_END = b"(NIL NIL NIL NIL)"


def string(value: bytes) -> bytes:
    """A quoted string, or a literal where that cannot be (8-bit text)."""
    if _QUOTABLE.fullmatch(value):
        return b'"%b"' % value
    value = value.translate(_CLEANED)
    if value.isascii():
        return b'"%b"' % _SPECIAL.sub(rb"\\\1", value)
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    return b"NIL" if value is None else string(value)


def envelope(header: bytes) -> bytes:
    """The ENVELOPE of a message with the header block *header*."""
    return envelope_of(headers.values(header))


def envelope_of(fields: dict[bytes, list[bytes]]) -> bytes:
    """The ENVELOPE from `header.values`.

    Of Date, Subject, In-Reply-To and Message-ID the first field counts; address fields that occur twice are joined, so that
    nobody is hidden. Sender and Reply-To default to From (RFC 3501 §7.4.2).
    """
    from_ = _addresses(fields.get(b"from"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _first(fields.get(b"date")),
        _first(fields.get(b"subject")),
        from_,
        _addresses(fields.get(b"sender"), from_),
        _addresses(fields.get(b"reply-to"), from_),
        _addresses(fields.get(b"to")),
        _addresses(fields.get(b"cc")),
        _addresses(fields.get(b"bcc")),
        _first(fields.get(b"in-reply-to")),
        _first(fields.get(b"message-id")),
    )


def _first(found: list[bytes] | None) -> bytes:
    return string(unfold(found[0])) if found else b"NIL"


def _addresses(found: list[bytes] | None, default: bytes = b"NIL") -> bytes:
    if not found:
        return default
    value = unfold(found[0]) if len(found) == 1 else b", ".join(map(unfold, found))[: headers.MAX_FIELD]
    pieces: list[bytes] = []
    for entry in parse_addresses(value).entries:
        if isinstance(entry, Group):
            pieces.append(b"(NIL NIL %b NIL)" % string(entry.name))
            pieces += map(_address, entry.members)
            pieces.append(_GROUP_END)
        else:
            pieces.append(_address(entry))
    return b"(%b)" % b"".join(pieces) if pieces else default


def _address(one: HeaderAddress) -> bytes:
    # The host is never NIL here: that would begin or end a group.
    return b"(%b %b %b %b)" % (
        string(one.name) if one.name else b"NIL",
        string(one.route) if one.route else b"NIL",
        string(one.local),
        string(one.domain),
    )


def bodystructure(part: Part, extended: bool = True) -> bytes:
    """BODYSTRUCTURE, or BODY (without the extension data) if not *extended*."""
    out: list[bytes] = []
    _write(part, extended, out)
    return b"".join(out)


def _write(part: Part, extended: bool, out: list[bytes]) -> None:
    """Append the text of *part*. The depth of the recursion is that of the tree, which `structure` bounds."""
    if part.children:
        out.append(b"(")
        for child in part.children:
            _write(child, extended, out)
        out.append(b" " + string(part.subtype))
        if extended:
            out.append(b" %b %b" % (_params(part.params), _extension(part)))
        out.append(b")")
        return
    out.append(
        b"(%b %b %b %b %b %b %d"
        % (
            string(part.type),
            string(part.subtype),
            _params(part.params),
            nstring(part.id),
            nstring(part.description),
            string(part.encoding),
            part.size,
        )
    )
    if part.message:
        out.append(b" %b " % part.message.envelope)
        _write(part.message, extended, out)
    if part.message or part.type == b"text":
        out.append(b" %d" % part.lines)
    if extended:
        out.append(b" %b %b" % (nstring(part.md5), _extension(part)))
    out.append(b")")


def _extension(part: Part) -> bytes:
    """Disposition, language and location."""
    disposition = b"NIL"
    if part.disposition is not None:
        disposition = b"(%b %b)" % (string(part.disposition), _params(part.disposition_params))
    return b"%b %b %b" % (disposition, _language(part.language), nstring(part.location))


def _params(params: Params) -> bytes:
    if not params:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name), string(value)) for name, value in params])


def _language(tags: Sequence[bytes]) -> bytes:
    if not tags:
        return b"NIL"
    return string(tags[0]) if len(tags) == 1 else b"(%b)" % b" ".join(map(string, tags))
