"""`postillon filter test` and `postillon policy dry-run`: what would change, and nothing does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postillon.admin.dry_run import filter_test, policy_dry_run
from postillon.model.errors import Refusal
from postillon.model.verdict import Opinion, finding
from tests.flow.conftest import Office, office, table

from .test_why import _EMPTY, CONTACT, SHOUTED, TEXT, judged

__all__ = ["office", "table"]

LIMITS = {"tag": 3.0, "junk": 6.0, "refuse": 15.0}
OWN = """
from postillon.model.verdict import Opinion, finding
def examine(incoming):
    assert incoming.author != "broken@sender.test", "this one breaks it"
    is_spf = incoming.verdict is not None and incoming.verdict.spf.result == "pass"
    return Opinion((finding("own.x", 4.0 if is_spf else 0.5),)) if "Hello" in incoming.text else Opinion()
"""


def tools(office: Office) -> Any:
    return replace(_EMPTY, directory=office.directory, store=office.store, clock=office.clock)


async def dry(office: Office, **words: Any) -> dict[str, Any]:
    result: dict[str, Any] = await policy_dry_run(tools(office), **({"thresholds": LIMITS} | words))
    return result


async def test_other_thresholds_scores_and_checks_over_what_came(office: Office):
    mine = Opinion((SHOUTED,), personal=((office.alice, (CONTACT,)),))
    await judged(office, mine).receive("joe@sender.test", ["alice@example.test", "bob@example.test"], TEXT)
    office.clock.at += 10
    assert await dry(office, days=400) == {"looked_at": 1, "changed": [], "is_complete": True}
    (one,) = (await dry(office, days=400, thresholds=LIMITS | {"junk": 7.0}))["changed"]
    assert (one["account"], one["before"], one["after"], one["score_after"]) == ("everybody else", "junk", "file", 6.5)
    assert one["sender"] == "joe@sender.test" and one["recipients"] == ["alice@example.test", "bob@example.test"]
    (two,) = (await dry(office, days=400, thresholds=LIMITS | {"tag": 1.0, "junk": 4.0}))["changed"]
    assert (two["account"], two["before"], two["after"]) == ("alice@example.test", "file", "junk")
    (three,) = (await dry(office, days=400, off=["skeleton"]))["changed"]
    assert (three["after"], three["score_before"], three["score_after"]) == ("file", 6.5, 0)
    changed = (await dry(office, days=400, scores={"skeleton.shouted": 18.0}))["changed"]
    assert [one["after"] for one in changed] == ["refuse as spam", "refuse as spam"]
    with pytest.raises(Refusal):
        await dry(office, thresholds={"tag": 9.0, "junk": 1.0, "refuse": 2.0})


async def test_a_check_is_left_out_by_its_name_though_its_findings_have_others(office: Office):
    await judged(office, Opinion((finding("attachment.executable", 8), finding("mime.ambiguous", 1)))).receive(
        "joe@sender.test", ["bob@example.test"], TEXT
    )
    office.clock.at += 10
    (one,) = (await dry(office, days=400, off=["attachments"]))["changed"]
    assert (one["before"], one["after"], one["score_after"]) == ("junk", "file", 0)


async def test_what_is_no_check_and_no_finding_cannot_be_left_out(office: Office):
    with pytest.raises(Refusal, match="'atachments' is no check and no finding; checks are blocklists, attachments"):
        await dry(office, off=["atachments"])


async def test_what_was_asked_for_outright_stands(office: Office):
    await judged(office, Opinion((finding("skeleton.shouted", 1),), junk=True)).receive(
        "joe@sender.test", ["bob@example.test"], TEXT
    )
    office.clock.at += 10
    assert (await dry(office, days=400, thresholds=LIMITS | {"junk": 8.0}))["changed"] == []


async def test_a_filters_file_over_stored_mail(office: Office, tmp_path: Path):
    (tmp_path / "own.py").write_text(OWN)
    await judged(office, Opinion((replace(SHOUTED, score=2.5),))).receive("joe@sender.test", ["bob@example.test"], TEXT)
    await office.submit("alice@example.test", ["bob@example.test"], TEXT.replace(b"joe@sender", b"alice@example"))
    broken = TEXT.replace(b"joe@sender.test>\r\nM", b"broken@sender.test>\r\nM")
    await judged(office).receive("joe@sender.test", ["bob@example.test"], broken)
    before = await office.mail(office.bob)
    result = await filter_test(tools(office), str(tmp_path / "own.py"), "mail.example.test", LIMITS)
    assert (result["looked_at"], result["found"], result["failed"]) == (3, 2, 1) and "this one breaks it" in result["error"]
    (one,) = result["changed"]
    assert (one["account"], one["mailbox"], one["before"], one["after"], one["score"]) == (
        "bob@example.test",
        "INBOX",
        "file",
        "junk",
        6.5,
    )
    assert await office.mail(office.bob) == before
    missing = await filter_test(tools(office), str(tmp_path / "no.py"), "mail.example.test", LIMITS, address="bob@example.test")
    assert missing["failed"] == 3 and "No such file" in missing["error"]
