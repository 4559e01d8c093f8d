"""What is worked out once when a message arrives and stored beside it: the overview and structure columns, and what threads need.

No FETCH parses a message again. `Message-ID` and the like are RFC 5322 §3.6.4, the base subject is RFC 5256 §2.1.
"""

from __future__ import annotations

import re

import msgspec

from ..model.plan import Prepared
from . import header as headers
from .date import parse_date
from .encoded_words import decode
from .header import Buffer, header_end, unfold
from .imap_text import bodystructure, envelope_of
from .part import Part, encode_structure, shifted
from .structure import scan_with

MAX_REFERENCES = 100
"""The first one and the last ones are kept: the root of the thread, and the nearest parents."""
MAX_MESSAGE_ID = 995
MAX_SUBJECT = 1000
"""Characters of a subject that count for its thread."""

_MESSAGE_ID = re.compile(rb"<([^<>\s\x00]++)>")
_BARE_ID = re.compile(rb"[^<>\s\x00]++")
_FORWARDED = "(fwd)"

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes]).decode


def prepare(data: Buffer, blob_size: int | None = None) -> Prepared:
    """All that is stored beside the message *data*: octets, or a file mapped into memory. Never raises.

    *blob_size* must be given where *data* is not the blob but a copy of the message with another header (fields added,
    completed or left out): the stored structure has the blob's offsets, see `part`.
    """
    body_start = header_end(data, 0, len(data))
    fields = headers.values(bytes(data[: min(body_start, headers.MAX_HEADER)]))
    part = scan_with(data, body_start, fields)
    return _prepared(fields, part if blob_size is None else shifted(part, blob_size - len(data)))


def prepare_under(header: bytes, blob: Buffer, body_start: int) -> Prepared:
    """The same for the message that is *header*, with its empty line, and then *blob* from *body_start* on: copies nothing."""
    fields = headers.values(header[: headers.MAX_HEADER])
    return _prepared(fields, scan_with(blob, body_start, fields))


def prepare_scanned(header: bytes, part: Part) -> Prepared:
    """The same for a message whose structure is known: *header* is as it lies in the blob, *part* has the blob's offsets."""
    return _prepared(headers.values(header[: headers.MAX_HEADER]), part)


def _prepared(fields: dict[bytes, list[bytes]], part: Part) -> Prepared:
    """*part* has the blob's offsets."""
    message_id = _message_ids(fields.get(b"message-id"), 1)
    return Prepared(
        overview=pack_overview(envelope_of(fields), bodystructure(part, True), bodystructure(part, False)),
        structure=encode_structure(part),
        message_id=message_id[0] if message_id else b"",
        references=references(fields),
        subject=_subject(fields.get(b"subject")),
        sent=_sent(fields.get(b"date")),
    )


def pack_overview(envelope: bytes, bodystructure: bytes, body: bytes) -> bytes:
    """The overview column: three values of FETCH items, each ready to send."""
    return _pack((envelope, bodystructure, body))


def unpack_overview(stored: bytes) -> tuple[bytes, bytes, bytes]:
    """(ENVELOPE, BODYSTRUCTURE, BODY) without their names. Raises msgspec.MsgspecError (a ValueError)."""
    return _unpack(stored)


def references(fields: dict[bytes, list[bytes]]) -> tuple[bytes, ...]:
    """The Message-IDs in References and then In-Reply-To, each once, without angle brackets, oldest first."""
    found = list(dict.fromkeys(_message_ids(fields.get(b"references")) + _message_ids(fields.get(b"in-reply-to"))))
    return tuple(found if len(found) <= MAX_REFERENCES else found[:1] + found[1 - MAX_REFERENCES :])


def thread_links(header: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """A message's Message-ID, and its ancestors as RFC 5256 §3 (REFERENCES) wants them: In-Reply-To only without References."""
    fields = headers.values(header)
    own = _message_ids(fields.get(b"message-id"), 1)
    links = _message_ids(fields.get(b"references")) or _message_ids(fields.get(b"in-reply-to"), 1)
    return (own[0] if own else b""), tuple(dict.fromkeys(links))[-MAX_REFERENCES:]


def _message_ids(found: list[bytes] | None, limit: int | None = None) -> list[bytes]:
    """What stands in angle brackets; where nothing does, a single word is taken for an id that lacks them."""
    if not found:
        return []
    value = unfold(found[0])
    ids = [one[:MAX_MESSAGE_ID] for one in _MESSAGE_ID.findall(value)]
    if not ids and _BARE_ID.fullmatch(value) and b"@" in value:
        ids = [value[:MAX_MESSAGE_ID]]
    return ids[:limit]


def _sent(found: list[bytes] | None) -> int:
    moment = parse_date(unfold(found[0])) if found else None
    return moment[0] if moment else 0


def _subject(found: list[bytes] | None) -> bytes:
    return base_subject(decode(unfold(found[0])[: 4 * MAX_SUBJECT])).casefold().encode("utf-8", "replace") if found else b""


def base_subject(text: str) -> str:
    """The subject without `Re:`, `Fwd:`, `[list]` and `(fwd)` (RFC 5256 §2.1). *text* is decoded; case is kept."""
    text = " ".join(text[:MAX_SUBJECT].split())
    while True:
        text = _without_trailer(text)
        start = _leader_end(text)
        text = text[start:]
        if not (text[:5].lower() == "[fwd:" and text.endswith("]")):
            return text
        text = text[5:-1].strip()


def is_reply(text: str) -> bool:
    """Whether `base_subject` takes something off that means an answer or a forward (RFC 5256 §2.1)."""
    text = " ".join(text[:MAX_SUBJECT].split())
    if text != _without_trailer(text) or (text[:5].lower() == "[fwd:" and text.endswith("]")):
        return True
    at = 0
    while blob := _BLOB.match(text, at):
        at = blob.end()
    return _RE.match(text, at) is not None


def _without_trailer(text: str) -> str:
    while text[-len(_FORWARDED) :].lower() == _FORWARDED:
        text = text[: -len(_FORWARDED)].rstrip()
    return text.rstrip()


_BLOB = re.compile(r"\[[^\[\]]*+\] *+")
_RE = re.compile(r"(?:re|fwd?) *+(?:\[[^\[\]]*+\] *+)?:", re.IGNORECASE)


def _leader_end(text: str) -> int:
    """Where the base begins, after all of `Re:`, `Fwd[2]:` and `[blob]` that stand in front."""
    at = 0
    while True:
        at += len(text) - at - len(text[at:].lstrip())
        last = end = at
        while blob := _BLOB.match(text, end):
            last, end = end, blob.end()
        leader = _RE.match(text, end)
        if leader is None:
            # A blob goes only if something is left without it.
            return end if end < len(text) else last
        at = leader.end()
