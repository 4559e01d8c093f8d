from __future__ import annotations

import time

import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postillon.net import dns_wire as wire


def response(*records: str, authority: tuple[str, ...] = (), name: str = "example.test", kind: str = "MX") -> bytes:
    message = dns.message.make_response(dns.message.make_query(name, kind, id=7))
    for section, lines in ((message.answer, records), (message.authority, authority)):
        for line in lines:
            owner, ttl, type_, text = line.split(" ", 3)
            section.append(dns.rrset.from_text(owner + ".", int(ttl), "IN", type_, text))
    return message.to_wire()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("example.test 60 A 192.0.2.1", "192.0.2.1"),
        ("example.test 60 AAAA 2001:db8::1", "2001:db8::1"),
        ("example.test 60 MX 10 Mail.Example.Test.", (10, "mail.example.test")),
        ("example.test 60 MX 0 .", (0, "")),
        ("example.test 60 CNAME other.test.", "other.test"),
        ("example.test 60 PTR host.example.test.", "host.example.test"),
        ('example.test 60 TXT "v=spf1 " "-all"', "v=spf1 -all"),
        ('example.test 60 TXT "\\195\\188\\255"', "ü\udcff"),
        ("example.test 60 TLSA 3 1 0 abcd", (3, 1, 0, b"\xab\xcd")),
        ("example.test 60 SOA ns.example.test. host.example.test. 1 2 3 4 77", 77),
    ],
)
def test_every_record_that_mail_needs_is_read(line, value):
    message = wire.parse(response(line))
    assert [(record.name, record.ttl, record.value) for record in message.answers] == [("example.test", 60, value)]


def test_records_of_other_types_are_left_out():
    message = wire.parse(response("example.test 60 HINFO a b", "example.test 60 MX 5 m.test."))
    assert [record.type for record in message.answers] == [wire.MX]


def test_flags_and_sections_are_told_apart():
    message = wire.parse(response(authority=("example.test 60 SOA a. b. 1 2 3 4 5",)))
    assert (message.id, message.is_response, message.rcode, message.truncated) == (7, True, 0, False)
    assert message.answers == []
    assert message.authority[0].value == 5


def test_a_ttl_with_the_top_bit_counts_as_zero():
    data = bytearray(response("example.test 60 A 192.0.2.1", kind="A"))
    at = data.index((60).to_bytes(4, "big"))
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert wire.parse(bytes(data)).answers[0].ttl == 0


def test_odd_octets_in_names_are_escaped_and_dots_do_not_split_labels():
    message = wire.parse(response("example.test 60 PTR a\\.b\\032c\\255.test."))
    assert message.answers[0].value == "a\\046b\\032c\\255.test"


@pytest.mark.parametrize("name", ["a..b", "a" * 64 + ".test", ".".join(["abc"] * 64), "ü.test", "a b.test", "a\0b.test"])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(wire.BadName):
        wire.wire_name(name)


def test_names_on_the_wire():
    assert wire.wire_name("_25._tcp.Mail.test.") == b"\3_25\4_tcp\4Mail\4test\0"
    assert wire.wire_name(".") == wire.wire_name("") == b"\0"


@given(st.integers(0, 2**256 - 1))
def test_mixing_cases_changes_letters_only(bits):
    name = wire.wire_name("_dmarc.Example-1." + "a" * 63 + ".test")
    mixed = wire.randomize_case(name, bits)
    assert mixed.lower() == name.lower()
    assert wire.randomize_case(name, 2**256 - 1) == name.lower()


def test_a_query_is_what_others_read():
    asked = wire.question(wire.wire_name("example.test"), wire.MX)
    message = dns.message.from_wire(wire.query(4711, asked))
    assert message.id == 4711
    assert message.question[0].to_text() == "example.test. IN MX"
    assert message.edns == 0
    assert message.payload == 1232
    assert dns.message.from_wire(wire.query(1, asked, edns=False)).edns == -1


@pytest.mark.parametrize("pointer", [b"\xc0\x1d", b"\xc0\x1f", b"\xff\xff", b"\xc0"])
def test_pointers_that_loop_or_lead_forward_are_refused(pointer):
    question = wire.question(wire.wire_name("example.test"), wire.A)
    data = b"\0\7\x80\0\0\1\0\1\0\0\0\0" + question + pointer + b"\0\1\0\1\0\0\0\1\0\4\1\2\3\4"
    with pytest.raises(wire.BadMessage):
        wire.parse(data)


def test_the_most_expensive_message_is_cheap():
    """300 records that each lead through as many pointers and labels as we allow."""
    question = wire.question(wire.wire_name("a.test"), wire.MX)
    data = bytearray(b"\0\7\x80\0\0\1" + (300).to_bytes(2, "big") + bytes(4) + question)
    start = len(data) + 11
    data += b"\0\xff\0\0\1\0\0\0\1" + (2 * 126 + 1 + 2 * 30).to_bytes(2, "big") + b"\1a" * 126 + b"\0"
    last = start
    for _ in range(30):
        data += (0xC000 | last).to_bytes(2, "big")
        last = len(data) - 2
    for _ in range(299):
        data += (0xC000 | last).to_bytes(2, "big") + b"\0\x0c\0\1\0\0\0\1\0\2" + (0xC000 | last).to_bytes(2, "big")
    before = time.process_time()
    assert len(wire.parse(bytes(data)).answers) == 299
    assert time.process_time() - before < 0.5


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_octets_are_a_message_or_refused(data):
    try:
        wire.parse(data)
    except wire.BadMessage:
        pass


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_answer_is_a_message_or_refused(data):
    good = bytearray(
        response(
            "example.test 60 MX 10 mail.example.test.",
            "mail.example.test 60 A 192.0.2.1",
            'example.test 60 TXT "v=spf1 -all"',
            authority=("example.test 60 SOA a.example.test. b. 1 2 3 4 5",),
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    for octets in (bytes(good), bytes(good[:cut])):
        try:
            wire.parse(octets)
        except wire.BadMessage:
            pass


LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


@given(st.lists(st.tuples(NAME, st.integers(0, 65535), NAME), min_size=1, max_size=10))
def test_it_reads_the_same_as_another_implementation(records):
    lines = [f"{owner} 300 MX {preference} {host}." for owner, preference, host in records]
    data = response(*lines)
    ours = sorted((record.name, *record.value) for record in wire.parse(data).answers)
    theirs = sorted(
        (rrset.name.to_text(omit_final_dot=True), rdata.preference, rdata.exchange.to_text(omit_final_dot=True))
        for rrset in dns.message.from_wire(data).answer
        for rdata in rrset
    )
    assert sorted(set(ours)) == sorted(set(theirs))
