"""The published test suite of RFC 7208 (data/rfc7208-tests.yml), each case against our SPF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from postillon.mailauth import spf

from .zones import ZoneTable

_DATA = Path(__file__).parent / "data" / "rfc7208-tests.yml"


def _cases() -> list[Any]:
    found = []
    for scenario in yaml.safe_load_all(_DATA.read_text("utf-8")):
        zone = ZoneTable(scenario["zonedata"])
        for name, case in scenario["tests"].items():
            found.append(pytest.param(zone, case, id=f"{scenario['description'].replace(' ', '-')}-{name}"))
    return found


@pytest.mark.parametrize(("zone", "case"), _cases())
async def test_rfc7208_suite(zone: ZoneTable, case: dict[str, Any]):
    wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
    found = await spf.evaluate(str(case["host"]), case["helo"], case["mailfrom"] or "", zone)
    assert found.result in wanted, found.reason
    if "explanation" in case and case["explanation"] != "DEFAULT":
        assert found.explanation == case["explanation"]
