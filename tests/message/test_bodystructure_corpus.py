"""BODYSTRUCTURE of broken and nested messages, read back from the wire and compared with what the standard library sees.

Where both may be right, the message stands in DIFFERENT with the reason: there only the form is compared.
"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass, replace
from email.message import Message

import pytest

from postillon.message.imap_text import bodystructure
from postillon.message.structure import scan

from .corpus import DIGEST, FORWARDED, MIXED, PLAIN, crlf

_TOKEN = re.compile(rb'\(|\)| |"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|(NIL)|(\d+)')

Tree = list["Tree | bytes | int | None"]


def parsed(text: bytes) -> Tree:
    """An IMAP parenthesized list as nested lists."""
    stack: list[Tree] = [[]]
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, text[at : at + 40]
        at = found.end()
        if found[0] == b"(":
            stack.append([])
        elif found[0] == b")":
            inner = stack.pop()
            stack[-1].append(inner)
        elif found[1] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", found[1]))
        elif found[2] is not None:
            stack[-1].append(text[at : at + int(found[2])])
            at += int(found[2])
        elif found[3]:
            stack[-1].append(None)
        elif found[4]:
            stack[-1].append(int(found[4]))
    assert len(stack) == 1 and len(stack[0]) == 1, "one list"
    assert isinstance(stack[0][0], list)
    return stack[0][0]


@dataclass(frozen=True)
class Seen:
    """What both sides tell of a part."""

    type: str
    encoding: str = ""
    size: int = 0
    boundary: str = ""
    children: tuple[Seen, ...] = ()


def ours(tree: Tree) -> Seen:
    if isinstance(tree[0], list):
        count = next(at for at, one in enumerate(tree) if not isinstance(one, list))
        children = tuple(ours(one) for one in tree[:count] if isinstance(one, list))
        subtype, params = tree[count], tree[count + 1 : count + 2]
        assert isinstance(subtype, bytes)
        boundary = parameter(params[0], b"boundary") if params else ""
        return Seen(f"multipart/{subtype.decode().lower()}", children=children, boundary=boundary)
    kind, subtype, _, _, _, encoding, size = tree[:7]
    assert isinstance(kind, bytes) and isinstance(subtype, bytes) and isinstance(encoding, bytes) and isinstance(size, int)
    name = f"{kind.decode()}/{subtype.decode()}".lower()
    if name == "message/rfc822" and len(tree) > 8 and isinstance(tree[8], list):
        assert isinstance(tree[9], int), "RFC 3501 §7.4.2: lines"
        return Seen(name, encoding.decode().lower(), children=(ours(tree[8]),))
    if kind.lower() == b"text":
        assert isinstance(tree[7], int), "RFC 3501 §7.4.2: lines"
    return Seen(name, encoding.decode().lower(), size)


def parameter(params: object, name: bytes) -> str:
    if not isinstance(params, list):
        return ""
    pairs = dict(zip(params[::2], params[1::2], strict=True))
    return str(pairs.get(name, b"").decode())


def theirs(message: Message) -> Seen:
    name = message.get_content_type()
    encoding = str(message.get("content-transfer-encoding", "7bit")).strip().lower()
    payload = message.get_payload()
    if isinstance(payload, list) and name == "message/rfc822":
        return Seen(name, encoding, children=(theirs(payload[0]),))  # type: ignore[arg-type]
    if isinstance(payload, list):
        boundary = message.get_boundary() or ""
        return Seen(name, children=tuple(theirs(one) for one in payload), boundary=boundary)  # type: ignore[arg-type]
    raw: str = message._payload  # type: ignore[attr-defined]
    return Seen(name, encoding, len(raw.encode("ascii", "surrogateescape")))


def without_boundaries(seen: Seen) -> Seen:
    """As BODY tells it, which has no parameters of multiparts."""
    return replace(seen, boundary="", children=tuple(map(without_boundaries, seen.children)))


def part(kind: str, body: str = "text", *fields: str) -> str:
    return "\n".join([f"Content-Type: {kind}", *fields, "", body])


def multi(boundary: str, *parts: str, kind: str = "mixed", end: str = "--", head: str = "") -> str:
    lines = "".join(f"--{boundary}\n{one}\n" for one in parts)
    return f'{head}MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="{boundary}"\n\n{lines}--{boundary}{end}\n'


def nest(levels: int) -> str:
    text = part("text/plain", "deep")
    for level in range(levels):
        text = multi(f"n{level}", text, part("text/html", f"level {level}"))
    return text


TEXT, HTML = part("text/plain"), part("text/html", "<p>x</p>")
CORPUS = {
    "plain": PLAIN, "mixed": MIXED, "forwarded": FORWARDED, "digest": DIGEST,
    "nothing": b"", "only a header": b"Subject: x\r\n", "only a body": b"\r\nbody\r\n", "no MIME": crlf("Subject: x\n\nbody\n"),
    "two levels": crlf(multi("a", multi("b", TEXT, HTML, kind="alternative"), TEXT)),
    "twenty levels": crlf(nest(20)),
    "preamble and epilogue": crlf(multi("a", TEXT, HTML).replace("\n\n--a", "\n\npreamble\n--a", 1) + "epilogue\n--a\nno part\n"),
    "the end is missing": crlf(multi("a", TEXT, HTML, end="")[: -len("--a\n")]),
    "the inner end is missing": crlf(multi("a", multi("b", TEXT, HTML)[: -len("--b--\n")], TEXT)),
    "one boundary begins like the other": crlf(multi("ab", multi("a", TEXT, HTML), TEXT)),
    "the other way round": crlf(multi("a", multi("ab", TEXT, HTML), TEXT)),
    "white space after a delimiter": crlf(multi("a", TEXT, HTML).replace("--a\n", "--a  \t\n")),
    "a boundary with spaces and colons": crlf(multi("a: b c'()+_,-./=?", TEXT, HTML)),
    "an empty part": crlf(multi("a", "\n", TEXT)),
    "a part without an empty line": crlf(multi("a", "Content-Type: text/html", TEXT)),
    "one part": crlf(multi("a", TEXT)),
    "message in message in message": crlf(part("message/rfc822", "Subject: 2\n" + part("message/rfc822", "Subject: 3\n\nx\n"))),
    "a message with parts in a part": crlf(multi("a", TEXT, part("message/rfc822", multi("b", TEXT, HTML, head="Subject: i\n")))),
    "an unknown type": crlf(part("x-strange/x-thing; a=b")),
    "an unknown encoding": crlf(part("text/plain", "x", "Content-Transfer-Encoding: x-uuencode")),
    "base64 with junk": crlf(part("image/png", "!!!!\nAAAA\n", "Content-Transfer-Encoding: BASE64")),
    "a name in many pieces": crlf(part("a/b; name*0*=utf-8''gr%C3%BC; name*1*=%C3%9Fe; name*2=\".txt\"")),
    "a name in an encoded word": crlf(part('a/b; name="=?utf-8?B?R3LDvMOfZQ==?="')),
    "a parameter that is not closed": crlf(part('text/plain; charset="utf-8')),
    "parameters without values": crlf(part("text/plain; charset; format=flowed; =x")),
    "comments": crlf(part("text/plain (plain text); charset=(which?)utf-8")),
    "a folded type": crlf(part("text/plain;\n\tcharset=utf-8;\n format=flowed")),
    "a type without a subtype": crlf(part("text")),
    "an empty type": crlf(part("")),
    "a type of odd characters": crlf(part("text/pl@in")),
    "a type in capitals": crlf(part("TEXT/HTML; CHARSET=UTF-8")),
    "8-bit in a header": "Content-Type: text/plain; name=grüße.txt\r\nSubject: Grüße\r\n\r\nGrüße\r\n".encode("latin-1"),
    "a bare LF message": multi("a", TEXT, HTML).encode(),
    "no boundary parameter": crlf("Content-Type: multipart/mixed\n\n--a\n\nx\n--a--\n"),
    "a boundary that never comes": crlf("Content-Type: multipart/mixed; boundary=never\n\nbody\n"),
    "two types": crlf("Content-Type: text/html\nContent-Type: image/png\n\nx\n"),
    "a digest of bare messages": crlf(multi("a", "\nSubject: one\n\nx", "\nSubject: two\n\ny", kind="digest")),
    "a delimiter in the header": crlf("Content-Type: multipart/mixed; boundary=a\n--a\n\n--a\n\nx\n--a--\n"),
    "the same boundary inside": crlf(multi("a", multi("a", TEXT, HTML), TEXT)),
    "a message in base64": crlf(part("message/rfc822", "U3ViamVjdDogeA0KDQp4DQo=\n", "Content-Transfer-Encoding: base64")),
    "a partial message": crlf(part("message/partial; id=x; number=1; total=2", "Subject: x\n\nx\n")),
    "a report": crlf(multi("a", TEXT, part("message/delivery-status", "Reporting-MTA: dns; x\n\nAction: no\n"), kind="report")),
}  # fmt: skip

DIFFERENT = {
    "a boundary that never comes": "a multipart without parts cannot be written in BODYSTRUCTURE (RFC 3501 §9 body-type-mpart)",
    "no boundary parameter": "the same",
    "a partial message": "the library takes the fragment for a message",
    "a report": "the library makes messages of the groups of fields",
    "the same boundary inside": "the outer delimiter ends the inner part (RFC 2046 §5.1.2); the library finds it first inside",
    "a delimiter in the header": "a line without a colon ends the library's header",
    "the end is missing": "we keep the last line end, which belongs to a delimiter only where there is one",
    "comments": "RFC 2045 §5.1 allows comments; the library takes them for a part of the type",
    "a type of odd characters": "`@` ends a token (RFC 2045 §5.1)",
}


@pytest.mark.parametrize("name", CORPUS)
def test_the_tree_on_the_wire_is_the_one_that_others_see(name: str):
    data = CORPUS[name]
    tree = scan(data)
    whole, short = (ours(parsed(bodystructure(tree, extended))) for extended in (True, False))
    assert short == without_boundaries(whole)
    if name not in DIFFERENT:
        assert whole == theirs(email.message_from_bytes(data))


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_differences_are_still_there(name: str):
    data = CORPUS[name]
    assert ours(parsed(bodystructure(scan(data), True))) != theirs(email.message_from_bytes(data)), "take it off the list"
