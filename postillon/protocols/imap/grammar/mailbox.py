"""Commands about mailboxes as a whole, apart from LIST (RFC 3501 §6.3, RFC 9051 §6.3)."""

from __future__ import annotations

import re

from .. import commands
from ..commands import QResync, StatusAttribute
from ..sequence import SequenceSet
from .reader import MAX_63, Bad, Reader

_USE_ATTRIBUTE = re.compile(rb"\\[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_STATUS_ATTRIBUTES = {attribute.value: attribute for attribute in StatusAttribute}


def select(reader: Reader, read_only: bool = False) -> commands.Select:
    """SELECT and EXAMINE with RFC 4466's parameters: CONDSTORE and QRESYNC (RFC 7162 §3.1.8, §3.2.5)."""
    reader.space()
    mailbox = reader.mailbox()
    if reader.at_end():
        return commands.Select(mailbox, read_only)
    condstore, qresync = False, None
    reader.expect(b" (")
    while True:
        word = reader.word("SELECT parameter")
        if word == b"CONDSTORE":
            condstore = True
        elif word == b"QRESYNC" and qresync is None:
            qresync = _qresync(reader)
        else:
            raise Bad("there is no such SELECT parameter")
        if reader.skip(b")"):
            return commands.Select(mailbox, read_only, condstore, qresync)
        reader.space()


def _qresync(reader: Reader) -> QResync:
    reader.expect(b" (")
    uidvalidity = reader.number("UIDVALIDITY", 1)
    reader.space()
    modseq = reader.number("mod-sequence", 1, MAX_63)
    known: SequenceSet | None = None
    match: tuple[SequenceSet, SequenceSet] | None = None
    if reader.skip(b" "):
        if not reader.skip(b"("):
            known = _without_star(reader.sequence_set())
            if not reader.skip(b" "):
                reader.expect(b")")
                return QResync(uidvalidity, modseq, known)
            reader.expect(b"(")
        numbers = _without_star(reader.sequence_set())
        reader.space()
        match = (numbers, _without_star(reader.sequence_set()))
        reader.expect(b")")
    reader.expect(b")")
    return QResync(uidvalidity, modseq, known, match)


def _without_star(numbers: SequenceSet) -> SequenceSet:
    if numbers.has_star:
        raise Bad("'*' is not allowed here")  # RFC 7162 §7 known-uids
    return numbers


def create(reader: Reader) -> commands.Create:
    """RFC 3501 §6.3.3, with USE of RFC 6154 §3."""
    reader.space()
    mailbox = reader.mailbox()
    if reader.at_end():
        return commands.Create(mailbox)
    reader.expect(b" (")
    if reader.word("CREATE parameter") != b"USE":
        raise Bad("there is no such CREATE parameter")
    reader.expect(b" (")
    use: list[bytes] = []
    while not reader.skip(b")"):
        if use:
            reader.space()
        use.append(reader.take(_USE_ATTRIBUTE, "special-use attribute")[0])
    reader.expect(b")")
    return commands.Create(mailbox, tuple(use))


def delete(reader: Reader) -> commands.Delete:
    reader.space()
    return commands.Delete(reader.mailbox())


def rename(reader: Reader) -> commands.Rename:
    reader.space()
    mailbox = reader.mailbox()
    reader.space()
    return commands.Rename(mailbox, reader.mailbox())


def subscribe(reader: Reader) -> commands.Subscribe:
    reader.space()
    return commands.Subscribe(reader.mailbox())


def unsubscribe(reader: Reader) -> commands.Unsubscribe:
    reader.space()
    return commands.Unsubscribe(reader.mailbox())


def status(reader: Reader) -> commands.Status:
    reader.space()
    mailbox = reader.mailbox()
    reader.space()
    return commands.Status(mailbox, status_attributes(reader))


def status_attributes(reader: Reader) -> tuple[StatusAttribute, ...]:
    """`(MESSAGES UNSEEN)`, also inside LIST RETURN (STATUS …) (RFC 5819)."""
    reader.expect(b"(")
    found: list[StatusAttribute] = []
    while not found or not reader.skip(b")"):
        if found:
            reader.space()
        attribute = _STATUS_ATTRIBUTES.get(reader.word("STATUS attribute"))
        if attribute is None:
            raise Bad("there is no such STATUS attribute")
        found.append(attribute)
    return tuple(dict.fromkeys(found))


_NAMESPACE = commands.Namespace()
_CHECK = commands.Check()
_CLOSE = commands.Close()
_UNSELECT = commands.Unselect()
_IDLE = commands.Idle()

PARSERS = {
    b"SELECT": select,
    b"EXAMINE": lambda reader: select(reader, read_only=True),
    b"CREATE": create,
    b"DELETE": delete,
    b"RENAME": rename,
    b"SUBSCRIBE": subscribe,
    b"UNSUBSCRIBE": unsubscribe,
    b"STATUS": status,
    b"NAMESPACE": lambda reader: _NAMESPACE,
    b"CHECK": lambda reader: _CHECK,
    b"CLOSE": lambda reader: _CLOSE,
    b"UNSELECT": lambda reader: _UNSELECT,
    b"IDLE": lambda reader: _IDLE,
}
