"""Keys change their state only when DNS has their records, and retired ones stay for a week; by hand and by themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from postillon.app.dkim import RETIRED, SIGNING, WAITING, DkimKeys, record_text
from postillon.app.dkim_rotation import DkimRotation, Published, RotationSettings, published, rotate
from postillon.model.errors import Refusal, Unavailable
from postillon.seams import DnsStatus
from tests.kinds import FixedClock, TableResolver

DOMAIN = "example.test"
DAY = 86_400


@dataclass
class Office:
    keys: DkimKeys
    clock: FixedClock = field(default_factory=FixedClock)
    table: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def resolver(self) -> TableResolver:
        return TableResolver(self.table)

    def publish(self, *states: str) -> None:
        for one in self.keys.of(DOMAIN):
            if one.state in states:
                self.table[one.record_name] = {"txt": [record_text(one.path)]}

    def states(self) -> list[str]:
        return sorted({one.state for one in self.keys.of(DOMAIN)})

    def rotation(self, days: int = 180) -> DkimRotation:
        async def tell(subject: str, text: str) -> None:
            self.told.append(subject)
            self.texts.append(text)

        return DkimRotation(
            keys=self.keys, resolver=self.resolver, clock=self.clock, tell=tell, settings=RotationSettings(days * DAY)
        )


@pytest.fixture
def office(tmp_path: Path) -> Office:
    keys = DkimKeys(tmp_path / "dkim")
    keys.add(DOMAIN, "202611")
    return Office(keys)


async def test_new_keys_do_not_sign_before_dns_has_them(office: Office) -> None:
    await rotate(office.keys, office.resolver, DOMAIN, office.clock.at)
    for wrong in ({}, {"txt": ["v=DKIM1; k=rsa; p=AAAA"]}, {"txt": ["nonsense"]}):
        for one in office.keys.of(DOMAIN):
            office.table[one.record_name] = wrong
        with pytest.raises(Refusal, match="publish what"):
            await rotate(office.keys, office.resolver, DOMAIN, office.clock.at)
    office.table = dict.fromkeys([one.record_name for one in office.keys.of(DOMAIN)], DnsStatus.SERVFAIL)
    with pytest.raises(Unavailable, match="no answer"):
        await rotate(office.keys, office.resolver, DOMAIN, office.clock.at)
    assert office.states() == [SIGNING, WAITING]
    office.publish(WAITING)
    await rotate(office.keys, office.resolver, DOMAIN, office.clock.at)
    assert office.states() == [RETIRED, SIGNING]


async def test_force_needs_no_dns(office: Office) -> None:
    for _ in range(2):
        await rotate(office.keys, office.resolver, DOMAIN, office.clock.at, force=True)
    assert office.states() == [RETIRED, SIGNING]


async def test_a_retired_key_stays_for_a_week(office: Office) -> None:
    for _ in range(2):
        await rotate(office.keys, office.resolver, DOMAIN, office.clock.at, force=True)
    old = next(one.selector for one in office.keys.of(DOMAIN) if one.state == RETIRED)
    with pytest.raises(Refusal, match="7 more days"):
        office.keys.retire(old, DOMAIN, office.clock.at)
    office.keys.retire(old, DOMAIN, office.clock.at + 7 * DAY)


async def test_a_record_in_pieces_or_with_other_tags_is_the_same_key(office: Office) -> None:
    (one, *_) = office.keys.of(DOMAIN)
    text = record_text(one.path).replace("v=DKIM1; ", "v=DKIM1; t=s; ").replace("p=", "p = ")
    office.table[one.record_name] = {"txt": [text[:100] + " " + text[100:]]}
    assert await published(office.resolver, one) is Published.YES


async def test_by_itself_a_rotation_makes_waits_switches_and_removes(office: Office) -> None:
    before = {one.selector for one in office.keys.of(DOMAIN)}
    office.keys.saw(DOMAIN, 0)
    rotation = office.rotation()
    office.clock.at = max(one.since for one in office.keys.of(DOMAIN)) + 100 * DAY
    assert await office.rotation().step() == 0 and office.told == []
    office.clock.at += 100 * DAY
    assert await rotation.step() == 1
    assert office.states() == [SIGNING, WAITING] and "Publish new DKIM records" in office.told[-1]
    office.clock.at += DAY
    assert await office.rotation().step() == 0
    office.publish(WAITING)
    assert await office.rotation().step() == 1
    assert office.states() == [SIGNING, WAITING]
    office.clock.at += DAY
    assert await office.rotation().step() == 1
    assert office.states() == [RETIRED, SIGNING]
    assert {one.selector for one in office.keys.of(DOMAIN) if one.state == RETIRED} == before
    office.clock.at += 6 * DAY
    assert await office.rotation().step() == 0
    office.clock.at += DAY
    assert await office.rotation().step() == 1
    assert office.states() == [SIGNING] and office.told[-1].startswith("Remove the DKIM record")


async def test_it_reminds_once_a_week_who_does_not_publish(office: Office) -> None:
    rotation = office.rotation(days=1)
    office.clock.at = max(one.since for one in office.keys.of(DOMAIN)) + 2 * DAY
    for _ in range(15):
        await rotation.step()
        office.clock.at += DAY
    assert len(office.told) == 3 and office.states() == [SIGNING, WAITING]


async def test_without_the_setting_nothing_happens_by_itself(office: Office) -> None:
    office.clock.at += 10_000 * DAY
    assert await office.rotation(days=0).step() == 0 and office.states() == [SIGNING]


def test_states_of_before_there_were_times_are_understood(office: Office) -> None:
    folder = office.keys.of(DOMAIN)[0].path.parent
    (folder / "state.json").write_text('{"r202611": "retired"}')
    assert {one.selector: one.state for one in office.keys.of(DOMAIN)} == {"r202611": RETIRED, "e202611": SIGNING}
    (folder / "state.json").write_text('{"r202611": {"state": "odd"}}')
    with pytest.raises(Refusal):
        office.keys.of(DOMAIN)


async def test_the_records_it_asks_for_can_be_pasted_into_a_zone(office: Office) -> None:
    office.clock.at = max(one.since for one in office.keys.of(DOMAIN)) + 2 * DAY
    await office.rotation(days=1).step()
    (text,) = office.texts
    records = [re.findall(r'"([^"]*)"', line) for line in text.splitlines() if " TXT " in line]
    assert all(len(string) <= 255 for record in records for string in record)  # RFC 1035 §3.3
    waiting = [one for one in office.keys.of(DOMAIN) if one.state == WAITING]
    assert sorted("".join(record) for record in records) == sorted(record_text(one.path) for one in waiting)
