"""The operator's rules: which mail is copied, held, rewritten or sent another way. Pure.

A rule has conditions, all of which must hold, and what is then done. Patterns are compared without regard to case; `*` stands for
any text, `?` for one character, `<>` for the null sender.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ..message import build
from ..message.addresses import Group, HeaderAddress, parse_addresses
from ..message.encoded_words import decode
from ..message.header import Field, fields, unfold, values
from ..model.address import Address, AddressError
from ..model.envelope import Envelope, Recipient

IN, OUT = "in", "out"
"""Mail from other servers; mail of our own accounts."""
MAX_VALUE = 4096
"""Characters of a header value that a pattern is compared with."""
_WRITERS = (b"from", b"sender", b"reply-to")
_READERS = (b"to", b"cc")


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    ways: frozenset[str] = frozenset({IN, OUT})
    # conditions; empty: whatever it is
    sender: tuple[str, ...] = ()
    recipient: tuple[str, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict)
    """Field name → pattern for its decoded value; one of several fields of that name is enough."""
    larger_than: int = 0
    """Octets."""
    # what is done
    bcc: tuple[Address, ...] = ()
    hold: bool = False
    sender_becomes: str = ""
    """An address; `*` as its local part stands for what was there."""
    recipient_becomes: str = ""
    header_remove: tuple[str, ...] = ()
    header_add: tuple[tuple[str, str], ...] = ()
    destination: str = ""
    """The queue destination of another next hop (see `relay.smarthost`)."""
    verp: bool = False
    priority: int = 0
    """RFC 6710's, -9 to 9."""

    def suits(self, *addresses: Address) -> bool:
        """Whether it is about a recipient, known by any of *addresses*."""
        return not self.recipient or any(_matches(self.recipient, address) for address in addresses)


@dataclass(frozen=True, slots=True)
class Orders:
    """What the rules say about one message. *rules*: those whose conditions about sender, header and size hold."""

    rules: tuple[Rule, ...] = ()
    recipients: tuple[Address, ...] = ()
    is_ours: bool = False
    """Submitted here: addresses in its header may be rewritten."""

    def held(self, *addresses: Address) -> str:
        """Why the copy of this recipient is held; empty if it is not."""
        return next((f"held by the rule {rule.name}" for rule in self.rules if rule.hold and rule.suits(*addresses)), "")

    def destination(self, *addresses: Address) -> str:
        """Where it goes instead of to the recipient's domain; empty if it goes there."""
        return next((rule.destination for rule in self.rules if rule.destination and rule.suits(*addresses)), "")

    def has_verp(self, *addresses: Address) -> bool:
        return any(rule.verp and rule.suits(*addresses) for rule in self.rules)

    @property
    def _all(self) -> tuple[Rule, ...]:
        """Those about any of the recipients."""
        return tuple(rule for rule in self.rules if any(rule.suits(one) for one in self.recipients))

    @property
    def bcc(self) -> tuple[Address, ...]:
        """Who gets a copy that nobody sees."""
        return tuple({address.key: address for rule in self._all for address in rule.bcc}.values())

    def envelope(self, envelope: Envelope) -> Envelope:
        """*envelope* with the sender and the priority that the rules want."""
        if not self.rules:
            return envelope
        priority = next((rule.priority for rule in self._all if rule.priority), envelope.priority)
        becomes = next((rule.sender_becomes for rule in self._all if rule.sender_becomes), "")
        sender = _become(becomes, envelope.sender) if becomes and envelope.sender is not None else envelope.sender
        return replace(envelope, sender=sender, priority=priority)

    def header(self, header: bytes) -> bytes:
        """*header* (with its empty line) as the rules want it; the same object if they want nothing."""
        rules = self._all if self.rules else ()
        removed = {name.lower().encode() for rule in rules for name in rule.header_remove}
        added = [build.text(name, value) for rule in rules for name, value in rule.header_add]
        writers = [rule for rule in rules if rule.sender_becomes] if self.is_ours else []
        readers = [rule for rule in self.rules if rule.recipient_becomes] if self.is_ours else []
        if not (removed or added or writers or readers):
            return header
        kept = [_field(header, one, writers, readers) for one in fields(header) if one.name.lower() not in removed]
        return b"".join([*added, *kept, b"\r\n"])


NO_ORDERS = Orders()


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of the configuration, in their order. Where two say different things the first one counts."""

    rules: tuple[Rule, ...] = ()

    def recipient(self, way: str, sender: Address | None, recipient: Recipient) -> Recipient:
        """At RCPT: the recipient that the rules make of *recipient*."""
        for rule in self.rules:
            if rule.recipient_becomes and way in rule.ways and _from(rule, sender) and rule.suits(recipient.address):
                address = _become(rule.recipient_becomes, recipient.address)
                return replace(recipient, address=address, original=recipient.original or f"rfc822;{recipient.address}")
        return recipient

    def orders(self, way: str, sender: Address | None, recipients: Sequence[Address], header: bytes, size: int) -> Orders:
        """For a message of *size* octets, whole."""
        found = [rule for rule in self.rules if way in rule.ways and _from(rule, sender) and size > rule.larger_than - 1]
        if any(rule.header for rule in found):
            known = values(header)
            found = [rule for rule in found if _has(rule, known)]
        if not found:
            return NO_ORDERS
        return Orders(tuple(found), tuple(recipients), is_ours=way == OUT)


def verp(sender: Address, recipient: Address) -> Address:
    """*sender* with *recipient* in it, so that a report tells by its address alone whom it is about: `a+b=there.test@ours`."""
    try:
        return Address.parse(str(Address(f"{sender.local}+{recipient.local}={recipient.domain}", sender.domain)))
    except AddressError:
        return sender  # too long


def _from(rule: Rule, sender: Address | None) -> bool:
    return not rule.sender or _matches(rule.sender, sender)


def _matches(patterns: Iterable[str], address: Address | None) -> bool:
    key = "<>" if address is None else address.key
    return any(glob(pattern).match(key) is not None for pattern in patterns)


@lru_cache(maxsize=1024)
def glob(pattern: str) -> re.Pattern[str]:
    # Brackets mean nothing special here: they are part of address literals.
    return re.compile(fnmatch.translate(pattern.casefold().replace("[", "[[]")))


def _has(rule: Rule, known: Mapping[bytes, Sequence[bytes]]) -> bool:
    return all(
        any(glob(pattern).match(_shown(value)) for value in known.get(name.lower().encode(), ()))
        for name, pattern in rule.header.items()
    )


def _shown(value: bytes) -> str:
    return decode(unfold(value)[:MAX_VALUE]).casefold()


def _become(target: str, address: Address) -> Address:
    """*target*, in which `*` is the local part of *address*."""
    local, _, domain = target.rpartition("@")
    if local != "*":
        return Address.parse(target)
    try:
        return Address.parse(str(Address(address.local, domain)))
    except AddressError:
        return address


def _field(header: bytes, one: Field, writers: Sequence[Rule], readers: Sequence[Rule]) -> bytes:
    octets, name = header[one.start : one.stop], one.name.lower()
    octets = octets if octets.endswith(b"\n") else octets + b"\r\n"
    if name in _WRITERS and writers:
        return _rewritten(octets, one.value, [(rule.sender, rule.sender_becomes) for rule in writers])
    if name in _READERS and readers:
        return _rewritten(octets, one.value, [(rule.recipient, rule.recipient_becomes) for rule in readers])
    return octets


def _rewritten(octets: bytes, value: bytes, changes: Sequence[tuple[Sequence[str], str]]) -> bytes:
    """A field of addresses with those rewritten that the rules are about; what cannot be read for sure stays as it is."""
    parsed = parse_addresses(unfold(value))
    if parsed.defects or any(isinstance(entry, Group) for entry in parsed.entries):
        return octets
    try:
        before = [(entry, entry.address()) for entry in parsed.entries if isinstance(entry, HeaderAddress)]
        after = [_changed(address, changes) for _, address in before]
        if after == [address for _, address in before]:
            return octets
        people = [(decode(entry.name), address) for (entry, _), address in zip(before, after, strict=True)]
        return build.addresses(octets.partition(b":")[0].strip().decode("ascii"), people)
    except (AddressError, build.BuildError):
        return octets


def _changed(address: Address, changes: Sequence[tuple[Sequence[str], str]]) -> Address:
    for patterns, target in changes:
        if not patterns or _matches(patterns, address):
            return _become(target, address)
    return address
