"""A message under examination: the octets, and what is read out of them once for all filters, when the first one asks.

Everything has a limit, so no message costs more than its size. Nothing here does I/O but the mapping of a large body's file.
"""

from __future__ import annotations

import asyncio
import mmap
from functools import cached_property

from ..mailauth.content import Content
from ..mailauth.evaluate import Verdict
from ..mailauth.names import canonical
from ..message import charset, text, transfer
from ..message.addresses import HeaderAddress, parse_addresses
from ..message.encoded_words import decode
from ..message.header import Buffer, unfold
from ..message.incoming import Incoming
from ..message.part import Part
from ..message.structure import Survey, survey_with
from ..model.ids import AccountId

MAX_TEXT = 128 * 1024
"""Characters of shown text that filters look at, and octets of a part that are decoded for it."""
MAX_TEXT_PARTS = 20
MAX_TEXTS = 3 * MAX_TEXT
"""Octets of all text parts that are decoded, still encoded."""
MAX_DECODED = 1 << 20
"""Octets of a part that `decoded` decodes unless told otherwise."""
MAX_FIELD = 10_000
"""Octets of a field that is parsed here."""


class Examined:
    """What `Filter.examine` is given. *header* is the header section as received, with its empty line."""

    def __init__(self, incoming: Incoming, header: bytes, content: Content) -> None:
        self.incoming = incoming
        self.header = header
        self.content = content
        """All header fields; `field_values` and `first` are shorter."""
        self.verdict: Verdict | None = None
        """SPF, DKIM, DMARC, ARC; None where mail is not authenticated. There once `authenticated` has returned."""
        self.notes: dict[object, object] = {}
        """What filters keep for each other."""
        self._known = asyncio.Event()

    # --- the header --------------------------------------------------------------------------------------------------

    def field_values(self, name: bytes) -> list[bytes]:
        """The raw values of all fields called *name* (lower case), from the top."""
        return [field.value[:MAX_FIELD] for field in self.content.named(name)]

    def first(self, name: bytes) -> bytes | None:
        """The unfolded value of the first field called *name* (lower case), or None."""
        found = self.field_values(name)
        return unfold(found[0]) if found else None

    def decoded_first(self, name: bytes) -> str:
        """The same with encoded words decoded; empty if there is none."""
        return decode(self.first(name) or b"")

    def addresses(self, name: bytes) -> tuple[HeaderAddress, ...]:
        """Of the first field called *name*."""
        return parse_addresses(self.first(name) or b"").addresses

    @cached_property
    def authors(self) -> tuple[HeaderAddress, ...]:
        return self.addresses(b"from")

    @cached_property
    def author(self) -> str:
        """The first address in From as `address_text`; empty if there is none."""
        return next((address_text(one) for one in self.authors if one.domain), "")

    @property
    def author_domain(self) -> str:
        return self.author.rpartition("@")[2]

    @cached_property
    def author_name(self) -> str:
        """The display name in From, decoded."""
        return decode(self.authors[0].name or b"") if self.authors else ""

    @cached_property
    def subject(self) -> str:
        return self.decoded_first(b"subject")

    @cached_property
    def accounts(self) -> tuple[AccountId, ...]:
        """Local accounts that are to get a copy, each once."""
        return tuple(dict.fromkeys(account for one in self.incoming.accepted for account in one.accounts))

    def domains_of(self, account: AccountId) -> set[str]:
        """Domains of the recipients that lead to *account*."""
        return {one.recipient.address.domain for one in self.incoming.accepted if account in one.accounts}

    # --- the octets --------------------------------------------------------------------------------------------------

    @cached_property
    def octets(self) -> Buffer:
        """The whole message, as received; a large one is its file, mapped."""
        body = self.incoming.body
        if body.data is not None:
            return body.data
        with open(body.path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @property
    def structure(self) -> Part:
        """The MIME tree; offsets count in `octets`. Takes time with the message's size: `prepare` made a large one's already."""
        return self.survey.part

    @property
    def is_scanned(self) -> bool:
        """Somebody has asked for the structure."""
        return "survey" in self.__dict__

    @cached_property
    def survey(self) -> Survey:
        """The MIME tree with what is ambiguous about it."""
        fields = {name: [field.value for field in found] for name, found in self.content.by_name.items()}
        return survey_with(self.octets, len(self.header), fields)

    @cached_property
    def leaves(self) -> list[Part]:
        """All parts that hold something themselves, those of embedded messages too, in order."""
        found, work = [], [self.structure]
        while work:
            one = work.pop()
            if one.message:
                work.append(one.message)
            elif one.children:
                work += reversed(one.children)
            else:
                found.append(one)
        return found

    def decoded(self, part: Part, limit: int = MAX_DECODED) -> bytes:
        """The content of *part*, transfer encoding undone; of a longer one about the first *limit* octets."""
        # Base64 is a third longer; quoted-printable may be three times as long, and then less is seen.
        encoded = self.octets[part.body_start : min(part.body_end, part.body_start + limit + limit // 2)]
        return transfer.decode(encoded, part.encoding)[:limit]

    def part_text(self, part: Part) -> str:
        """The decoded characters of a text part: markup stays markup. At most MAX_TEXT."""
        label = dict(part.params).get(b"charset", b"us-ascii").decode("ascii", "replace")
        return charset.decode(self.decoded(part, MAX_TEXT), label)[:MAX_TEXT]

    @cached_property
    def html(self) -> list[str]:
        """The markup of the HTML parts."""
        return [self.part_text(part) for part in self._texts if part.subtype == b"html"]

    @cached_property
    def plain(self) -> list[str]:
        """The plain text parts."""
        return [self.part_text(part) for part in self._texts if part.subtype != b"html"]

    @cached_property
    def text(self) -> str:
        """What the message shows: its text parts, HTML reduced to what it shows. At most MAX_TEXT characters."""
        return "\n".join([*self.plain, *(text.html_text(markup) for markup in self.html)])[:MAX_TEXT]

    @cached_property
    def _texts(self) -> list[Part]:
        found, left = [], MAX_TEXTS
        for part in self.leaves:
            if part.type == b"text" and part.disposition != b"attachment" and left > 0:
                found.append(part)
                left -= min(part.size, MAX_TEXT)
        return found[:MAX_TEXT_PARTS]

    async def prepare(self) -> None:
        """Reads the structure of a large message in a thread, so that no filter does it on the event loop."""
        if self.incoming.body.data is None:
            await asyncio.to_thread(lambda: self.structure)

    # --- who sent it -------------------------------------------------------------------------------------------------

    async def authenticated(self) -> Verdict | None:
        """What mail authentication found; waits until it is known. None where it is switched off or failed."""
        await self._known.wait()
        return self.verdict

    def authentication_ended(self, verdict: Verdict | None) -> None:
        """`flow` says it."""
        self.verdict = verdict
        self._known.set()


def address_text(one: HeaderAddress) -> str:
    """`local@domain` in lower case, the domain as A-labels where it is one."""
    domain = one.domain.decode("utf-8", "replace").lower()
    return f"{one.local.decode('utf-8', 'replace').lower()}@{canonical(domain) or domain}"
