from __future__ import annotations

import email
import email.policy
import mmap
from email.message import EmailMessage, Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message import structure
from postillon.message.structure import Part, decode_structure, encode_structure, scan, section, shifted, survey

from .corpus import DIGEST, FORWARDED, MIXED, PLAIN, crlf, shuffled


def kinds(part: Part) -> object:
    """`type/subtype`, or a list of it and what is inside."""
    inside = [kinds(child) for child in part.children] + ([kinds(part.message)] if part.message else [])
    return [part.content_type.decode(), *inside] if inside else part.content_type.decode()


def body(data: bytes, part: Part) -> bytes:
    return data[part.body_start : part.body_end]


def octets(data: bytes, path: tuple[int, ...], kind: structure.SectionKind | None = None) -> bytes | None:
    found = section(scan(data), path, kind)
    return None if found is None else data[found[0] : found[1]]


def message(header: str, text: str) -> bytes:
    return crlf(header + "\n\n" + text)


class TestTree:
    def test_a_plain_message_is_one_text(self):
        part = scan(PLAIN)
        assert kinds(part) == "text/plain"
        assert part.params == ((b"charset", b"us-ascii"),)
        assert body(PLAIN, part) == b"Are you hungry?\r\nSo am I.\r\n"
        assert part.lines == 2
        assert part.header_start == 0

    def test_parts_of_a_multipart_end_before_the_delimiters_line_end(self):
        part = scan(MIXED)
        assert kinds(part) == ["multipart/mixed", ["multipart/alternative", "text/plain", "text/html"], "application/pdf"]
        alternative, pdf = part.children
        assert [body(MIXED, child) for child in alternative.children] == [b"caf=C3=A9", "<p>café</p>".encode()]
        assert body(MIXED, pdf) == b"JVBERi0xLjQK"
        assert body(MIXED, part).endswith(b"This is the epilogue.\r\n")

    def test_the_fields_of_a_part_are_kept(self):
        pdf = scan(MIXED).children[1]
        assert pdf.params == ((b"name", b"r.pdf"),)
        assert (pdf.disposition, pdf.disposition_params) == (b"attachment", ((b"filename", b"r.pdf"),))
        assert (pdf.encoding, pdf.id, pdf.description) == (b"base64", b"<pdf@example.org>", b"the report")
        assert (pdf.md5, pdf.language, pdf.location) == (b"Q2hlY2sgSW50ZWdyaXR5IQ==", (b"en", b"de"), b"http://example.org/r.pdf")

    def test_embedded_messages_have_their_own_tree_and_envelope(self):
        part = scan(FORWARDED)
        assert kinds(part) == [
            "multipart/mixed",
            "text/plain",
            ["message/rfc822", ["multipart/mixed", "text/plain", "image/png"]],
            ["message/rfc822", "text/plain"],
        ]
        inner = part.children[2].message
        assert inner is not None
        assert inner.envelope == b'(NIL "A single one" NIL NIL NIL NIL NIL NIL NIL NIL)'
        assert part.children[2].lines == 2
        assert survey(FORWARDED).ambiguities == ()

    def test_a_digest_holds_messages_unless_told_otherwise(self):
        assert kinds(scan(DIGEST)) == ["multipart/digest", ["message/rfc822", "text/plain"], "text/plain"]

    def test_message_global_is_an_embedded_message(self):
        data = message("Content-Type: message/global", "Subject: é\n\nx")
        assert kinds(scan(data)) == ["message/global", "text/plain"]

    @pytest.mark.parametrize("kind", ["delivery-status", "partial", "external-body", "disposition-notification"])
    def test_other_message_types_are_leaves(self, kind: str):
        assert kinds(scan(message(f"Content-Type: message/{kind}", "A: b\n\nC: d\n"))) == f"message/{kind}"

    @pytest.mark.parametrize(
        "header",
        [
            "Subject: x",
            "Content-Type: text",
            "Content-Type: ",
            "Content-Type: /plain",
            "Content-Type: ;charset=utf-8",
            "Content-Type: multipart/mixed",
            "Content-Type: multipart/mixed; boundary=",
            "Content-Type: multipart/mixed; boundary=never",
        ],
    )
    def test_what_cannot_be_read_is_plain_text(self, header: str):
        data = message(header, "--x\n\nhello\n--x--\n")
        part = scan(data)
        assert kinds(part) == "text/plain"
        assert part.params == ((b"charset", b"us-ascii"),)
        assert body(data, part) == b"--x\r\n\r\nhello\r\n--x--\r\n"

    def test_only_a_header(self):
        part = scan(b"Subject: x\r\n")
        assert (part.body_start, part.body_end, part.lines) == (12, 12, 0)

    def test_nothing_at_all(self):
        part = scan(b"")
        assert (part.header_start, part.body_start, part.body_end, kinds(part)) == (0, 0, 0, "text/plain")

    def test_bare_lf_works_like_crlf(self):
        assert kinds(scan(MIXED.replace(b"\r\n", b"\n"))) == kinds(scan(MIXED))
        assert scan(PLAIN.replace(b"\r\n", b"\n")).lines == 2

    def test_a_mapped_file_gives_the_same_tree(self, tmp_path: Path):
        (tmp_path / "m").write_bytes(FORWARDED)
        with (tmp_path / "m").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert survey(mapped) == survey(FORWARDED)


class TestDelimiters:
    HEADER = "Content-Type: multipart/mixed; boundary=b"

    def parts(self, text: str, header: str = HEADER) -> tuple[list[bytes], tuple[str, ...]]:
        data = message(header, text)
        found = survey(data)
        return [body(data, child) for child in found.part.children], found.ambiguities

    def test_white_space_may_follow(self):
        assert self.parts("--b \t\n\none\n--b  \n\ntwo\n--b-- \n") == ([b"one", b"two"], ())

    def test_a_boundary_that_begins_another_line_is_none(self):
        found, ambiguities = self.parts("--b\n\none\n--bc\ntwo\n--b--\n")
        assert found == [b"one\r\n--bc\r\ntwo"]
        assert ambiguities == ("boundary begins another line",)

    def test_it_must_begin_a_line(self):
        assert self.parts("--b\n\none --b\n x--b\n--b--\n")[0] == [b"one --b\r\n x--b"]

    def test_the_last_one_may_be_missing(self):
        assert self.parts("--b\n\none\n--b\n\ntwo\n") == ([b"one", b"two\r\n"], ("last delimiter is missing",))

    def test_the_outer_one_ends_an_inner_multipart(self):
        data = message(
            "Content-Type: multipart/mixed; boundary=o",
            "--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nfirst\n--o\n\nsecond\n--o--\n",
        )
        part = scan(data)
        assert kinds(part) == ["multipart/mixed", ["multipart/mixed", "text/plain"], "text/plain"]
        assert body(data, part.children[0].children[0]) == b"first"

    def test_an_inner_boundary_may_begin_with_the_outer(self):
        data = message(
            "Content-Type: multipart/mixed; boundary=b",
            "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\nfirst\n--bb--\n--b\n\nsecond\n--b--\n",
        )
        assert kinds(scan(data)) == ["multipart/mixed", ["multipart/mixed", "text/plain"], "text/plain"]

    def test_a_multipart_inside_itself_ends(self):
        found, ambiguities = self.parts(f"--b\n{self.HEADER}\n\n--b\n\nx\n--b--\n")
        assert found == [b"", b"x"]
        assert "multipart without parts" in ambiguities

    def test_empty_parts_stay_parts(self):
        assert self.parts("--b\n--b\n\n--b\nA: b\n--b--")[0] == [b"", b"", b""]

    def test_delimiters_after_the_last_one_are_epilogue(self):
        found, ambiguities = self.parts("--b\n\none\n--b--\n--b\n\nhidden\n--b--\n")
        assert found == [b"one"]
        assert ambiguities == ("delimiter after the last one",)

    @pytest.mark.parametrize(
        ("header", "ambiguity"),
        [
            ("Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain", "content-type occurs twice"),
            ("Content-Type: multipart/mixed; boundary=b; boundary=c", "boundary is given twice"),
            ("Content-Type: multipart/mixed; boundary*0=b", "boundary in the form of RFC 2231"),
            ("Content-Type: multipart/mixed; boundary*=us-ascii''b", "boundary in the form of RFC 2231"),
            ("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64", "multipart is encoded"),
        ],
    )
    def test_what_others_may_see_otherwise_is_told(self, header: str, ambiguity: str):
        assert self.parts("--b\n\none\n--b--\n", header) == ([b"one"], (ambiguity,))

    def test_an_encoded_embedded_message_is_not_looked_into(self):
        data = message("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64", "U3ViamVjdDogeA==\n")
        found = survey(data)
        assert kinds(found.part) == ["message/rfc822", "text/plain"]
        assert found.part.message is not None
        assert body(data, found.part.message) == b"U3ViamVjdDogeA==\r\n"
        assert found.ambiguities == ("embedded message is encoded",)


class TestSection:
    def test_the_message_itself(self):
        head, _, text = PLAIN.partition(b"\r\n\r\n")
        assert octets(PLAIN, ()) == PLAIN
        assert octets(PLAIN, (), "HEADER") == head + b"\r\n\r\n"
        assert octets(PLAIN, (), "TEXT") == text
        assert octets(PLAIN, (), "MIME") is None

    def test_part_1_of_a_message_that_is_no_multipart_is_its_body(self):
        head, _, text = PLAIN.partition(b"\r\n\r\n")
        assert octets(PLAIN, (1,)) == text
        assert octets(PLAIN, (1,), "MIME") == head + b"\r\n\r\n"

    @pytest.mark.parametrize("path", [(2,), (0,), (1, 1), (-1,)])
    def test_there_is_no_such_part(self, path: tuple[int, ...]):
        assert octets(PLAIN, path) is None

    @pytest.mark.parametrize("path", [(1,), (2,), (1, 1)])
    @pytest.mark.parametrize("kind", ["HEADER", "TEXT"])
    def test_only_messages_have_a_header_and_text(self, path: tuple[int, ...], kind: structure.SectionKind):
        assert octets(MIXED, path, kind) is None

    def test_parts_of_parts(self):
        assert octets(MIXED, (1, 1)) == b"caf=C3=A9"
        assert octets(MIXED, (1, 2), "MIME") == b"Content-Type: text/html; charset=utf-8\r\n\r\n"
        assert octets(MIXED, (2,)) == b"JVBERi0xLjQK"
        assert octets(MIXED, (1,)) is not None
        assert octets(MIXED, (1, 3)) is None
        assert octets(MIXED, (2, 1)) is None
        assert octets(MIXED, (3,)) is None

    def test_embedded_messages(self):
        assert octets(FORWARDED, (2,), "MIME") == b"Content-Type: message/rfc822\r\n\r\n"
        assert (octets(FORWARDED, (2,)) or b"").startswith(b"From: Carol")
        assert (octets(FORWARDED, (2,), "HEADER") or b"").endswith(b"boundary=c\r\n\r\n")
        assert (octets(FORWARDED, (2,), "TEXT") or b"").startswith(b"--c\r\n")
        assert octets(FORWARDED, (2, 1)) == b"first"
        assert octets(FORWARDED, (2, 2)) == b"iVBORw0KGgo="
        assert octets(FORWARDED, (2, 2), "MIME") == b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        assert octets(FORWARDED, (2, 3)) is None

    def test_an_embedded_message_that_is_no_multipart_has_part_1(self):
        assert octets(FORWARDED, (3, 1)) == b"Text."
        assert octets(FORWARDED, (3,), "TEXT") == b"Text."
        assert octets(FORWARDED, (3, 1), "MIME") == b"Subject: A single one\r\n\r\n"
        assert octets(FORWARDED, (3, 1, 1)) is None

    def test_a_message_that_is_itself_an_embedded_one(self):
        data = message("Content-Type: message/rfc822\nSubject: out", "Subject: in\n\ntext")
        assert octets(data, (1,)) == b"Subject: in\r\n\r\ntext"
        assert octets(data, (1,), "HEADER") == b"Subject: in\r\n\r\n"
        assert octets(data, (1, 1)) == b"text"
        assert octets(data, (), "TEXT") == b"Subject: in\r\n\r\ntext"

    @pytest.mark.parametrize("data", [PLAIN, MIXED, FORWARDED, DIGEST])
    @pytest.mark.parametrize("prefix", [b"", b"Received: from x by y; now\r\n", b"A: b\r\nC: d\r\n"])
    def test_a_copy_with_a_longer_header_has_the_same_sections(self, data: bytes, prefix: bytes):
        tree, copy, delta = scan(data), prefix + data, len(prefix)
        moved = shifted(tree, delta)
        assert moved == scan(copy)
        for path in [(), (1,), (2,), (1, 1), (2, 1), (2, 2), (3, 1)]:
            for kind in (None, "HEADER", "TEXT", "MIME"):
                expected = section(scan(copy), path, kind)
                assert section(tree, path, kind, delta) == expected
                assert section(moved, path, kind) == expected


class TestStored:
    @pytest.mark.parametrize("data", [PLAIN, MIXED, FORWARDED, DIGEST, b""])
    def test_a_tree_survives(self, data: bytes):
        tree = scan(data)
        assert decode_structure(encode_structure(tree)) == tree

    def test_other_octets_are_an_error(self):
        with pytest.raises(ValueError):
            decode_structure(b"\x93\x01\x02\x03")


def oracle(part: Message) -> object:
    """What the standard library sees; it is an oracle for well-formed messages only."""
    if part.is_multipart():
        return [part.get_content_type(), *(oracle(child) for child in part.get_payload())]  # type: ignore[union-attr,arg-type]
    return part.get_content_type()


WORDS = st.text(alphabet="abcdefghij \n-", max_size=60)


@st.composite
def messages(draw: st.DrawFn, depth: int = 0) -> EmailMessage:
    made = EmailMessage(policy=email.policy.SMTP)
    made["Subject"] = draw(st.text(alphabet="abcäöü", max_size=20))
    made.set_content(draw(WORDS))
    if draw(st.booleans()):
        made.add_alternative(draw(WORDS), subtype="html")
    for _ in range(draw(st.integers(0, 3))):
        if depth < 3 and draw(st.booleans()):
            made.add_attachment(draw(messages(depth + 1)))
        else:
            made.add_attachment(draw(st.binary(max_size=80)), maintype="application", subtype="octet-stream")
    return made


class TestProperties:
    @given(messages())
    def test_well_formed_messages_have_the_tree_that_others_see(self, made: EmailMessage):
        data = bytes(made)
        found = survey(data)
        assert kinds(found.part) == oracle(email.message_from_bytes(data))
        assert found.ambiguities == ()

    @given(messages())
    def test_bodies_of_leaves_are_those_that_others_see(self, made: EmailMessage):
        data = bytes(made)
        leaves = [part for part in email.message_from_bytes(data).walk() if not part.is_multipart()]
        ours = [part for part in walk(scan(data)) if not part.children and not part.message]
        assert [body(data, part).decode() for part in ours] == [leaf.get_payload() for leaf in leaves]

    @given(
        shuffled(
            "CRLF CRLF CRLF LF CR --b -- --c --b-- Content-Type: multipart/mixed;boundary=b multipart/digest;boundary=c SP "
            'message/rfc822 " ; Content-Transfer-Encoding:base64 x NUL 8BIT',
            size=80,
        )
    )
    def test_anything_gives_a_sound_tree(self, data: bytes):
        tree = scan(data)
        assert tree.header_start == 0
        assert tree.body_end == len(data)
        for part in walk(tree):
            assert part.header_start <= part.body_start <= part.body_end
            assert part.lines == 0 or part.lines == body(data, part).count(b"\n")
            ends = [part.body_start]
            for child in part.children:
                assert child.header_start >= ends[-1]
                ends.append(child.body_end)
            assert ends[-1] <= part.body_end
        assert decode_structure(encode_structure(tree)) == tree

    @given(st.binary(max_size=300))
    def test_any_octets_are_a_message(self, data: bytes):
        assert scan(data).body_end == len(data)


def walk(part: Part) -> list[Part]:
    found, work = [], [part]
    while work:
        one = work.pop()
        found.append(one)
        work += reversed([*one.children, *([one.message] if one.message else [])])
    return found


def depth_of(part: Part) -> int:
    deepest, work = 0, [(part, 1)]
    while work:
        one, depth = work.pop()
        deepest = max(deepest, depth)
        work += [(inner, depth + 1) for inner in (*one.children, *([one.message] if one.message else []))]
    return deepest


def nested(levels: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(levels))


class TestHostile:
    def test_nesting_ends_at_the_limit(self):
        found = survey(nested(1000))
        assert depth_of(found.part) == structure.MAX_DEPTH + 1
        assert "nested too deep" in found.ambiguities
        assert decode_structure(encode_structure(found.part)) == found.part

    def test_deeper_nesting_ends_at_the_budget(self):
        found = survey(nested(100_000))
        assert depth_of(found.part) <= structure.MAX_DEPTH + 1
        assert "nested over the budget" in found.ambiguities

    def test_lines_that_nearly_are_delimiters_have_a_budget(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(structure, "_BUDGET_BASE", 0)
        data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"--bx\r\n" * 100_000
        found = survey(data)
        assert "nested over the budget" in found.ambiguities
        assert found.part.children[0].body_end == len(data)

    def test_embedded_messages_nest_to_the_limit(self):
        found = survey(b"Content-Type: message/rfc822\r\n\r\n" * 100_000)
        assert depth_of(found.part) == structure.MAX_DEPTH + 1
        assert "nested too deep" in found.ambiguities

    def test_the_number_of_parts_ends_at_the_limit(self):
        data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 1_000_000
        found = survey(data)
        assert len(walk(found.part)) <= structure.MAX_PARTS
        assert "too many parts" in found.ambiguities
        assert found.part.children[-1].body_end == len(data)

    def test_nested_multiparts_share_the_limit_of_parts(self):
        inner = b"Content-Type: multipart/mixed; boundary=i\r\n\r\n" + b"--i\r\n\r\n" * 3000 + b"--i--\r\n"
        data = b"Content-Type: multipart/mixed; boundary=o\r\n\r\n" + (b"--o\r\n" + inner) * 10
        assert len(walk(scan(data))) <= structure.MAX_PARTS + 10

    def test_what_is_kept_of_parts_has_a_limit(self):
        part = b"--b\r\nContent-Type: image/png; name=" + b"x" * 50_000 + b"\r\nContent-ID: <a@b>\r\n\r\n"
        found = survey(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 30)
        first, *_, last = found.part.children
        assert first.id == b"<a@b>"
        assert (last.content_type, last.params, last.id) == (b"image/png", (), None)
        assert "fields of parts over the limit" in found.ambiguities

    def test_a_header_of_10_mb(self):
        assert scan(b"X: y\r\n" * 1_700_000 + b"\r\nbody").size == 4
        assert "header over the limit" in survey(b"X: " + b"y" * 10_000_000).ambiguities

    def test_looking_again_and_again_has_a_budget(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(structure, "_BUDGET_BASE", 0)
        found = survey(nested(90) + b"x" * 100_000)
        assert "nested over the budget" in found.ambiguities
        assert depth_of(found.part) < 30
