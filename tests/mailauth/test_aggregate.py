"""Aggregate reports as XML: what we write is read back, and what strangers write is read within bounds."""

from __future__ import annotations

import contextlib
import random
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from postillon.mailauth.aggregate import (
    MAX_ROWS,
    BadAggregate,
    DkimResult,
    Feedback,
    Published,
    Row,
    SpfResult,
    read,
    write,
)

ROW = Row(
    source="192.0.2.7",
    count=3,
    disposition="quarantine",
    dkim=False,
    spf=True,
    header_from="example.org",
    envelope_from="bounce.example.org",
    reasons=(("trusted_forwarder", "vouched for by <lists> & co"),),
    dkim_results=(DkimResult("example.net", "pass", "s1"), DkimResult("example.org", "fail", "s2")),
    spf_results=(SpfResult("bounce.example.org", "pass", "mfrom"),),
)
FEEDBACK = Feedback(
    "mx.example.test",
    "postmaster@example.test",
    "1.2@mx.example.test",
    1_700_000_000,
    1_700_086_399,
    Published("example.org", "quarantine", "reject", "reject", "s", "r", 50, True),
    (ROW, replace(ROW, source="2001:db8::1", count=1, reasons=())),
)

# The form of RFC 7489's appendix C, with what other implementations add.
FOREIGN = b"""<?xml version="1.0" encoding="UTF-8" ?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <org_name>Big Mail</org_name><email>noreply@big.example</email><extra_contact_info>https://big.example</extra_contact_info>
    <report_id>12345</report_id><date_range><begin>1700000000</begin><end>1700086399</end></date_range>
  </report_metadata>
  <policy_published><domain>Example.ORG</domain><p>none</p><fo>1</fo></policy_published>
  <record>
    <row><source_ip>192.0.2.7</source_ip><count>17</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>example.org</header_from></identifiers>
    <auth_results><dkim><domain>example.org</domain><result>pass</result></dkim></auth_results>
  </record>
</feedback>"""


def test_what_is_written_is_read_back() -> None:
    assert read(write(FEEDBACK)) == FEEDBACK


def test_what_is_written_is_xml_for_other_readers_too() -> None:
    root = ElementTree.fromstring(write(FEEDBACK))
    assert root.findtext("report_metadata/report_id") == "1.2@mx.example.test"
    assert [each.findtext("row/count") for each in root.findall("record")] == ["3", "1"]


def test_no_value_becomes_markup_or_breaks_the_report() -> None:
    nasty = "</header_from><x>&amp;\x00\x08\ud800\ufffe]]>"
    found = read(write(replace(FEEDBACK, rows=(replace(ROW, header_from=nasty.lower()),))))
    assert found.rows[0].header_from == "</header_from><x>&amp;]]>"


def test_a_report_of_another_program_is_read() -> None:
    found = read(FOREIGN)
    assert (found.organization, found.published.domain, found.published.pct) == ("Big Mail", "example.org", 100)
    (row,) = found.rows
    assert (row.count, row.dkim, row.spf, row.dkim_results[0].domain) == (17, True, False, "example.org")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no xml",
        b"<feedback>",
        b"<feedback></feedback>",
        b"<other><policy_published><domain>x.example</domain></policy_published></other>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><feedback/>',
        b'<?xml version="1.0" encoding="klingon"?><feedback/>',
        b"<feedback>" + b"<a>" * 100 + b"</a>" * 100 + b"</feedback>",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_report_is_refused(octets: bytes) -> None:
    with pytest.raises(BadAggregate):
        read(octets)


def test_a_bomb_of_entities_is_refused_at_once() -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    with pytest.raises(BadAggregate):
        read(f'<!DOCTYPE r [<!ENTITY e0 "x">{levels}]><feedback>&e11;</feedback>'.encode())


def test_damaged_reports_are_read_or_refused_and_nothing_else() -> None:
    chance = random.Random(7489)
    for octets in (FOREIGN, write(FEEDBACK)):
        for _ in range(400):
            broken = bytearray(octets)
            for _ in range(chance.randint(1, 8)):
                at = chance.randrange(len(broken))
                broken[at : at + chance.randint(0, 9)] = chance.choice(
                    (b"", b"<", b"</", b">", b"&", b"&#0;", b"\xff", b"<!--", b"9" * 30)
                )
            with contextlib.suppress(BadAggregate):
                read(bytes(broken))


def test_rows_and_values_are_bounded() -> None:
    record = b"<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>"
    head, tail = FOREIGN.split(b"  <record>", 1)[0], b"</feedback>"
    assert len(read(head + record * (MAX_ROWS + 10) + tail).rows) == MAX_ROWS
    assert len(read(FOREIGN.replace(b"Big Mail", b"x" * 100_000)).organization) <= 500


def test_the_cost_grows_with_the_size_only() -> None:
    def seconds(count: int) -> float:
        octets = FOREIGN.replace(b"<fo>1</fo>", b"<fo>1</fo>" * count)
        began = time.perf_counter()
        read(octets)
        return time.perf_counter() - began

    seconds(1000)
    assert seconds(20_000) < 30 * max(seconds(2000), 0.001)
