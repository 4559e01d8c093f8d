"""Threads by RFC 5256 §3: ORDEREDSUBJECT and REFERENCES. Plain functions, without recursion: a thread may be thousands deep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...protocols.imap.extension_responses import ThreadNode


@dataclass(frozen=True, slots=True)
class Message:
    """What threading looks at. Lists of them are in order of sequence numbers."""

    number: int
    """Sequence number or uid."""
    sent: int
    subject: bytes
    """The base subject, as it is compared, in UTF-8."""
    is_reply: bool
    """Something was taken off the subject that says that this answers or forwards."""
    message_id: bytes = b""
    references: tuple[bytes, ...] = ()
    """Oldest first."""


def by_subject(messages: Iterable[Message]) -> list[ThreadNode]:
    """ORDEREDSUBJECT: the first of each subject is the root, all others its children."""
    groups: dict[bytes, list[Message]] = {}
    for message in sorted(messages, key=lambda message: (message.sent, message.number)):
        groups.setdefault(message.subject, []).append(message)
    return [ThreadNode(first.number, tuple(ThreadNode(other.number) for other in others)) for first, *others in groups.values()]


@dataclass(slots=True, eq=False)
class _Node:
    message: Message | None = None
    parent: _Node | None = None
    answers: int = 0
    """How many have it as their parent, while links still change; *children* are filled in afterwards."""
    children: list[_Node] = field(default_factory=list)
    order: tuple[int, int] = (0, 0)

    def follow(self, parent: _Node | None) -> None:
        """Link it to *parent*, or to nobody, instead of to whom it is linked."""
        if self.parent is not None:
            self.parent.answers -= 1
        if parent is not None:
            parent.answers += 1
        self.parent = parent

    def adopt(self, children: Sequence[_Node]) -> None:
        for child in children:
            child.parent = self
        self.children += children

    def is_below(self, other: _Node) -> bool:
        """Whether this is *other* or descends from it."""
        if not other.answers:
            return self is other
        node: _Node | None = self
        while node is not None:
            if node is other:
                return True
            node = node.parent
        return False


def by_references(messages: Sequence[Message]) -> list[ThreadNode]:
    """REFERENCES; the steps are those of RFC 5256 §3."""
    roots = _pruned([node for node in _linked(messages) if node.parent is None])
    _date(roots)
    roots.sort(key=lambda node: node.order)
    roots = _gathered(roots)
    _date(roots)
    roots.sort(key=lambda node: node.order)
    return _frozen(roots)


def _linked(messages: Sequence[Message]) -> list[_Node]:
    """Step 1: all nodes, with links from children to parents; messages that are only spoken of are nodes, too."""
    nodes: list[_Node] = []
    by_id: dict[bytes, _Node] = {}

    def named(name: bytes) -> _Node:
        node = by_id.get(name)
        if node is None:
            node = by_id[name] = _Node()
            nodes.append(node)
        return node

    for message in messages:
        own = by_id.get(message.message_id) if message.message_id else None
        if not message.message_id or (own is not None and own.message is not None):
            own = _Node(message)  # without an id, or with one that another has already
            nodes.append(own)
        else:
            own = named(message.message_id)
            own.message = message
        before: _Node | None = None
        for name in message.references:
            node = named(name)
            if before is not None and node.parent is None and not before.is_below(node):
                node.follow(before)
            before = node
        if own.parent is not before:
            own.follow(None)
        if before is not None and own.parent is None and not before.is_below(own):
            own.follow(before)
    for node in nodes:
        if node.parent is not None:
            node.parent.children.append(node)
    return nodes


def _pruned(roots: list[_Node]) -> list[_Node]:
    """Step 3: nodes without a message go; their children move up, but not to be roots if there are several."""
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        reached, node.children = node.children, []
        while reached:
            child = reached.pop()
            if child.message is not None:
                node.adopt([child])
            else:
                reached += child.children
        waiting += node.children
    found: list[_Node] = []
    for root in roots:
        found += [root] if root.message is not None or len(root.children) > 1 else root.children
    for root in found:
        root.parent = None
    return found


def _from_the_top(roots: Sequence[_Node]) -> list[_Node]:
    """All nodes, parents before their children."""
    order: list[_Node] = []
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += node.children
    return order


def _date(roots: Sequence[_Node]) -> None:
    """Steps 4 and 6: children in order of their dates; a node without a message has the date of its first child."""
    for node in reversed(_from_the_top(roots)):
        node.children.sort(key=lambda child: child.order)
        if node.message is not None:
            node.order = (node.message.sent, node.message.number)
        else:
            node.order = node.children[0].order


def _subject(node: _Node) -> tuple[bytes, bool]:
    message = node.message or node.children[0].message
    assert message is not None  # a node without one has children that have
    return message.subject, message.is_reply


def _gathered(roots: list[_Node]) -> list[_Node]:
    """Step 5: threads of one subject become one."""
    table: dict[bytes, _Node] = {}
    for node in roots:
        subject, is_reply = _subject(node)
        held = table.get(subject)
        if not subject:
            continue
        if (
            held is None
            or (node.message is None and held.message is not None)
            or (held.message is not None and _subject(held)[1] and not is_reply)
        ):
            table[subject] = node
    # A new node takes the place that the message had which it gathers.
    places: dict[int, _Node] = {}
    merged: set[int] = set()
    for node in roots:
        subject, is_reply = _subject(node)
        held = table.get(subject, node)
        if not subject or held is node or node.parent is not None:
            continue
        merged.add(id(node))
        if held.message is None and node.message is None:
            held.adopt(node.children)
        elif held.message is None or (is_reply and not _subject(held)[1]):
            held.adopt([node])
        else:
            both = _Node()
            places[id(held)] = both
            table[subject] = both
            both.adopt([held, node])
    return [places.get(id(node), node) for node in roots if id(node) not in merged]


def _frozen(roots: Sequence[_Node]) -> list[ThreadNode]:
    made: dict[int, ThreadNode] = {}
    for node in reversed(_from_the_top(roots)):
        number = node.message.number if node.message is not None else 0
        made[id(node)] = ThreadNode(number, tuple(made[id(child)] for child in node.children))
    return [made[id(root)] for root in roots]
