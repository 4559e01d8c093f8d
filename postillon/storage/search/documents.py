"""What is searched of a message: its header fields and its text, decoded and folded (RFC 9051 §6.4.4). Plain functions over
octets, made to run in a thread.

A document's *head* is a line `name: value` for each field, each behind an LF. Its *body* is the headers of embedded messages
and the text parts, with a NUL between them, which no search string can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...message.encoded_words import decode
from ...message.folding import fold
from ...message.header import MAX_FIELD, fields, unfold
from ...message.part import Part, decode_structure
from ...message.text import header_text, messages, part_text, text_parts
from ...model.ids import EmailId
from ...model.mail import Email
from ..store import Rope


@dataclass(frozen=True, slots=True)
class Document:
    """UTF-8."""

    email: EmailId
    head: bytes
    body: bytes
    whole: bool = True
    """False: there is more text than is kept, so who searches reads the message itself."""


@dataclass(frozen=True, slots=True)
class TextPlan:
    """What to read of one message: its header, headers of embedded messages, text parts, in this order."""

    rope: Rope
    ranges: list[tuple[Rope, int, int]]
    inner: int
    parts: list[Part]

    @property
    def size(self) -> int:
        return sum(stop - start for _, start, stop in self.ranges)


def text_plan(email: Email, rope: Rope) -> TextPlan:
    structure, delta = decode_structure(email.structure), rope.size - email.blob_size
    _, *embedded = messages(structure)
    parts = list(text_parts(structure))
    places = [(0, structure.body_start + delta)]
    places += [(one.header_start + delta, one.body_start + delta) for one in embedded]
    places += [(one.body_start + delta, one.body_end + delta) for one in parts]
    return TextPlan(rope, [(rope, start, stop) for start, stop in places], len(embedded), parts)


def head_of(header: bytes) -> str:
    """A document's head, not yet UTF-8."""
    return "".join(
        f"\n{fold(field.name.decode('ascii'))}: {fold(decode(unfold(field.value[:MAX_FIELD])))}"
        for field in fields(header)
        if field.name
    )


def body_of(inner: Iterable[bytes], parts: Iterable[tuple[Part, bytes]]) -> Iterator[str]:
    """The pieces of a document's body."""
    for block in inner:
        yield fold(header_text(block))
    for part, octets in parts:
        yield fold(part_text(part, octets))


def documents(emails: Sequence[Email], plans: Sequence[TextPlan], octets: Iterable[bytes]) -> list[Document]:
    """Of messages whose *plans* were read; *octets* are those of all plans in a row."""
    each = iter(octets)
    made = []
    for email, plan in zip(emails, plans, strict=True):
        header, *rest = [next(each) for _ in plan.ranges]
        body = "\0".join(body_of(rest[: plan.inner], zip(plan.parts, rest[plan.inner :], strict=True)))
        made.append(Document(email.id, head_of(header).encode("utf-8", "replace"), body.encode("utf-8", "replace")))
    return made
