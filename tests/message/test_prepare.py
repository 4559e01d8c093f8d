from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.message.imap_text import bodystructure, envelope
from postillon.message.prepare import MAX_REFERENCES, base_subject, pack_overview, prepare, prepare_under, unpack_overview
from postillon.message.structure import decode_structure, scan, section

from .corpus import DIGEST, FORWARDED, MIXED, PLAIN, crlf, shuffled


class TestPrepare:
    def test_a_message_is_worked_out_once(self):
        made = prepare(PLAIN)
        assert made.message_id == b"1@example.org"
        assert made.references == ()
        assert made.subject == b"lunch"
        assert made.sent == 1705302000

    @pytest.mark.parametrize("data", [PLAIN, MIXED, FORWARDED, DIGEST, b""])
    def test_the_columns_hold_what_the_parts_say(self, data: bytes):
        made, tree = prepare(data), scan(data)
        assert decode_structure(made.structure) == tree
        header = data[: tree.body_start]
        assert unpack_overview(made.overview) == (envelope(header), bodystructure(tree, True), bodystructure(tree, False))

    def test_of_a_copy_with_another_header_the_blobs_offsets_are_stored(self):
        blob = b"Bcc: secret@example.org\r\n" + MIXED
        for head in (b"", b"Date: now\r\n", b"X: " + b"y" * 500 + b"\r\n"):
            copy = head + MIXED
            tree = decode_structure(prepare(copy, len(blob)).structure)
            assert tree == scan(blob)
            found = section(tree, (1, 1), None, len(copy) - len(blob))
            assert found is not None
            assert copy[found[0] : found[1]] == b"caf=C3=A9"

    @pytest.mark.parametrize("message", [PLAIN, MIXED, FORWARDED, DIGEST])
    def test_a_blob_under_another_header_is_the_same_as_its_copy(self, message: bytes):
        blob, cut = message, scan(message).body_start
        for head in (b"", b"Date: Mon, 15 Jan 2024 08:00:00 +0100\r\n", b"X: " + b"y" * 500 + b"\r\n"):
            header = head + message[:cut]
            assert prepare_under(header, blob, cut) == prepare(header + blob[cut:], len(blob))

    def test_nothing_known_is_nothing(self):
        made = prepare(b"\r\nbody")
        assert (made.message_id, made.references, made.subject, made.sent) == (b"", (), b"", 0)

    @given(st.binary(max_size=400))
    def test_any_octets_can_be_prepared(self, data: bytes):
        unpack_overview(prepare(data).overview)

    @given(
        shuffled('Subject: References: Date: Message-ID: < > @ CRLF SP [ ] Re: =?utf-8?q? ?= ( ) \\ " 1 Jan 99 00:00 8BIT NUL')
    )
    def test_any_header_can_be_prepared(self, data: bytes):
        unpack_overview(prepare(data).overview)


class TestOverview:
    def test_it_survives(self):
        assert unpack_overview(pack_overview(b"(NIL)", b"\xff\r\n", b"")) == (b"(NIL)", b"\xff\r\n", b"")

    def test_other_octets_are_an_error(self):
        with pytest.raises(ValueError):
            unpack_overview(b"\x92\xc4\x00\xc4\x00")


class TestThreading:
    @pytest.mark.parametrize(
        ("header", "ids"),
        [
            ("References: <a@x> <b@x>", [b"a@x", b"b@x"]),
            ("References: <a@x>\n\t<b@x>\nIn-Reply-To: <b@x>", [b"a@x", b"b@x"]),
            ("In-Reply-To: <c@x>\nReferences: <a@x><b@x>", [b"a@x", b"b@x", b"c@x"]),
            ("In-Reply-To: Your message of Monday <c@x> (you)", [b"c@x"]),
            ("In-Reply-To: c@x", [b"c@x"]),
            ("In-Reply-To: your message", []),
            ("References: <a b@x> <> <c@x", []),
        ],
    )
    def test_references_come_oldest_first(self, header: str, ids: list[bytes]):
        assert list(prepare(crlf(header + "\n\n")).references) == ids

    def test_of_many_references_the_root_and_the_nearest_stay(self):
        found = prepare(b"References: " + b" ".join(b"<%d@x>" % n for n in range(1000)) + b"\r\n\r\n").references
        assert len(found) == MAX_REFERENCES
        assert (found[0], found[1], found[-1]) == (b"0@x", b"901@x", b"999@x")

    @pytest.mark.parametrize(
        "header", ["Message-ID: <a@x>", "Message-Id:<a@x>", "message-id: a@x", "MESSAGE-ID: <a@x> (c) <b@x>"]
    )
    def test_the_message_id_is_found(self, header: str):
        assert prepare(crlf(header + "\n\n")).message_id == b"a@x"


class TestBaseSubject:
    @pytest.mark.parametrize(
        ("subject", "base"),
        [
            ("Lunch", "Lunch"),
            ("Re: Lunch", "Lunch"),
            ("RE : re:FW: fwd: Lunch", "Lunch"),
            ("Re[2]: Lunch", "Lunch"),
            ("Re [2] : Lunch", "Lunch"),
            ("[list] Lunch", "Lunch"),
            ("[list] Re: [list] Re: Lunch", "Lunch"),
            ("[a][b] c", "c"),
            ("[list]", "[list]"),
            ("[a] [b]", "[b]"),
            ("Re: [list]", "[list]"),
            ("Lunch (fwd)", "Lunch"),
            ("Lunch (FWD) (fwd)  ", "Lunch"),
            ("[Fwd: Lunch]", "Lunch"),
            ("Re: [fwd: re: Lunch (fwd)]", "Lunch"),
            ("  Lunch \t today ", "Lunch today"),
            ("Re:", ""),
            ("", ""),
            ("Reply: x", "Reply: x"),
            ("Fw Lunch", "Fw Lunch"),
            ("[unclosed Re: x", "[unclosed Re: x"),
            ("Re: [[x] y", "[[x] y"),
        ],
    )
    def test_it_is_the_subject_without_decoration(self, subject: str, base: str):
        assert base_subject(subject) == base

    def test_it_is_decoded_and_folded_for_threads(self):
        assert prepare(crlf("Subject: Re: =?utf-8?q?GR=C3=9CSSE?=\n =?utf-8?b?IMOE?=\n\n")).subject == "grüsse ä".encode()

    @given(st.text(alphabet="reFWd:[] ()x", max_size=60))
    def test_doing_it_twice_changes_nothing(self, subject: str):
        once = base_subject(subject)
        assert base_subject(once) == once

    @pytest.mark.parametrize("unit", ["Re: ", "[x]", "[fwd:", "(fwd)", "re[", "[", " "])
    def test_long_ones_take_no_longer(self, unit: str):
        assert len(prepare(b"Subject: " + unit.encode() * 20_000 + b"\r\n\r\n").subject) <= 1000
