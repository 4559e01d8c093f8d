"""One server reports to another how mail in its domain's name fared, and that one shows it by sender."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..peers.postillon import OFFSETS, Postillon, mail, port_base
from ..peers.processes import wait_until
from ..peers.zones import Zones

pytestmark = pytest.mark.real

NORTH, SOUTH = "127.0.0.1", "127.0.0.2"


def zone(host: str, policy: str) -> str:
    rua = "" if policy == "none" else "; rua=mailto:dmarc@north.test"
    return f'@ MX 10 mx\n@ A {host}\nmx A {host}\n@ TXT "v=spf1 ip4:{NORTH} -all"\n_dmarc TXT "v=DMARC1; p={policy}{rua}"\n'


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postillon, Postillon]]:
    place = Path(tmp_path_factory.mktemp("reports"))
    base = port_base(NORTH, SOUTH)
    with Zones({"north.test": zone(NORTH, "quarantine"), "south.test": zone(SOUTH, "none")}) as served:
        common = ("--dns", served.option, "--mx-port", str(base.base + OFFSETS["smtp"]), "--workers", "1")
        north = Postillon(place / "north", "--account", "alice@north.test:alice-secret", *common, host=NORTH, base=base)
        south = Postillon(place / "south", "--account", "bob@south.test:bob-secret", *common, host=SOUTH, base=base)
        with north, south:
            yield north, south
    base.release()


def test_a_report_goes_round(offices: tuple[Postillon, Postillon]) -> None:
    north, south = offices
    assert north.command("alias", "add", "dmarc@north.test", "alice@north.test").returncode == 0
    alice, bob = north.account("alice@north.test"), south.account("bob@south.test")
    alice.submit(["bob@south.test"], "honest")
    bob.wait_for(b"Subject: honest")
    with smtplib.SMTP(SOUTH, south.port("smtp"), source_address=("127.0.0.77", 0), timeout=20) as forger:
        forger.sendmail("x@forger.test", ["bob@south.test"], mail("alice@north.test", ["bob@south.test"], "forged"))
    done = south.command("reports", "send", "--today")
    assert done.stdout == "1 reports sent.\n", (done, south.log_text)
    report = alice.wait_for(b"Report Domain: north.test")
    assert b"dmarc=pass" in report and b"application/gzip" in report
    wait_until(lambda: north.ask("reports.dmarc"), 10, "the report to be read")
    (found,) = north.ask("reports.dmarc")
    assert (found["domain"], found["policy"], found["messages"], found["aligned"]) == ("north.test", "quarantine", 2, 1)
    assert found["reporters"] == ["south.test"]
    shown = north.command("reports", "dmarc", "north.test").stdout
    assert "north.test" in shown and "127.0.0.0/24" in shown and "Leave p=quarantine: reports of 1 days are too few" in shown
    # What was sent is not sent again, and a report is not reported on.
    assert south.command("reports", "send", "--today").stdout == "0 reports sent.\n"
    assert north.command("reports", "send", "--today").stdout == "0 reports sent.\n"


def test_what_a_server_sees_of_its_own_domain_is_shown_too(offices: tuple[Postillon, Postillon]) -> None:
    north, _ = offices
    before = sum(one["messages"] for one in north.ask("reports.dmarc"))
    with smtplib.SMTP(NORTH, north.port("smtp"), source_address=("127.0.0.78", 0), timeout=20) as forger:
        message = mail("alice@north.test", ["alice@north.test"], "forged at home")
        forger.sendmail("x@forger.test", ["alice@north.test"], message)
    assert north.command("reports", "send", "--today").stdout == "1 reports sent.\n"
    wait_until(lambda: sum(one["messages"] for one in north.ask("reports.dmarc")) == before + 1, 10, "our own report")
    assert "north.test" in north.ask("reports.dmarc")[0]["reporters"]


def test_nothing_is_told_where_no_report_has_come(offices: tuple[Postillon, Postillon]) -> None:
    assert "No report has come" in offices[1].command("reports", "dmarc").stdout
