"""THREAD and UID THREAD (RFC 5256 §3). The threading itself is in `threads`."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ....message.part import decode_structure, section
from ....message.prepare import base_subject, is_reply, thread_links, unpack_overview
from ....protocols.imap import extension_responses
from ....protocols.imap.commands import Thread
from ....protocols.imap.events import Command
from ....protocols.imap.search_keys import ModSeqFrom
from ....seams import Row
from .. import searching
from ..answers import BadCommand
from ..message_limit import check_search
from ..selected import Selected
from ..sort_keys import collated, subject_of
from ..threads import Message, by_references, by_subject
from .search import find

if TYPE_CHECKING:
    from ..session import Session

STEP = 500
LABEL = b"thread "
"""Under which, with the algorithm, `AnswerCache` keeps what is threaded; no attributes of FETCH are called so."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, bytes, bool, bytes, tuple[bytes, ...]]).decode

_ALGORITHMS = {"ORDEREDSUBJECT": by_subject, "REFERENCES": by_references}


async def thread(session: Session, command: Command, request: Thread) -> bytes | None:
    algorithm = _ALGORITHMS.get(request.algorithm)
    if algorithm is None:
        raise BadCommand("Threading algorithm is not supported")
    if any(isinstance(leaf, ModSeqFrom) for leaf in searching.leaves(request.key)):
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
    selected = session.mailbox
    check_search(session, request.key)
    slots = await find(session, request.key)
    messages: list[Message] = []
    for at in range(0, len(slots), STEP):
        messages += await _messages(session, selected, slots[at : at + STEP], request)
        await session.dialogue.breathe()
    roots = await asyncio.to_thread(algorithm, messages)
    session.dialogue.write(extension_responses.thread(roots))
    return None


async def _messages(session: Session, selected: Selected, slots: array[int], request: Thread) -> list[Message]:
    """What is to be threaded. Kept, since programs ask again and again."""
    box, kept, uids = selected.loaded, session.server.answers, selected.uids(slots)
    label = LABEL + request.algorithm.encode()
    found = kept.get(box.key, label, uids)
    if found is None:
        uids, found = await _read(session, selected, uids, request)
        kept.put(box.key, label, uids, found)
        there = set(uids)
        slots = array("I", [slot for slot in slots if selected.view.snapshot.uids[slot] in there])
    numbers = uids if request.uid else selected.view.numbers_of(slots)
    return [Message(number, *_decode(known)) for number, known in zip(numbers, found, strict=True)]


async def _read(session: Session, selected: Selected, uids: list[int], request: Thread) -> tuple[list[int], list[bytes]]:
    """Those of *uids* that are there, and of each what `Message` has besides its number, packed."""
    box = selected.loaded
    rows = await session.store.overviews(box.principal, box.account, box.mailbox, uids)
    uids = [row[0] for row in rows]
    sent = {row[0]: row[5] for row in await session.store.email_sizes(box.principal, box.account, box.mailbox, uids)}
    links: Sequence[bytes] = [b""] * len(rows)
    if request.algorithm == "REFERENCES":
        links = await _links(session, selected, uids)
    return uids, await asyncio.to_thread(_made, rows, [sent.get(uid, 0) for uid in uids], links)


def _made(rows: Sequence[Row], sent: Sequence[int], links: Sequence[bytes]) -> list[bytes]:
    packed = []
    for row, at, link in zip(rows, sent, links, strict=True):
        subject = subject_of(unpack_overview(row[7])[0])
        base = collated(base_subject(subject)).encode("utf-8", "surrogatepass")
        own, *others = link.split(b"\0")
        # RFC 5256 §2.2: where there is no sent date, INTERNALDATE.
        packed.append(_encode((at or row[1], base, is_reply(subject), own, others)))
    return packed


async def _links(session: Session, selected: Selected, uids: Sequence[int]) -> Sequence[bytes]:
    """Of each message its Message-ID and those of its ancestors, with NULs between."""
    box, store = selected.loaded, session.store
    emails = await store.emails(box.principal, box.account, box.mailbox, uids)
    ranges = []
    for email in emails:
        rope = store.octets(email)
        place = section(decode_structure(email.structure), (), "HEADER", rope.size - email.blob_size) or (0, 0)
        ranges.append((rope, *place))
    octets = [one for group in searching.groups(ranges) for one in await store.read_many(ranges[group])]
    packed = await asyncio.to_thread(_packed, octets)
    values = dict(zip([email.uid for email in emails], packed, strict=True))
    return [values.get(uid, b"") for uid in uids]  # type: ignore[call-overload]


def _packed(headers: Sequence[bytes]) -> list[bytes]:
    packed = []
    for header in headers:
        own, others = thread_links(header)
        packed.append(b"\0".join((own, *others)))
    return packed
