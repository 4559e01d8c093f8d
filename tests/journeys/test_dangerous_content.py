"""Dangerous content and a running server: what is refused, what is held, and what an administrator does about it."""

from __future__ import annotations

import json
import smtplib
from typing import Any

import pytest

from ..filters import dangerous as d
from ..peers.postillon import Account, Postillon
from ..peers.processes import wait_until

pytestmark = pytest.mark.real


def held(office: Postillon, account: Account) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(office.command("quarantine", "list", "--json").stdout)
    return [row for row in rows if account.address in row["recipients"]]


def test_a_program_is_refused_in_the_dialogue(office: Postillon, alice: Account):
    with office.smtp() as smtp, pytest.raises(smtplib.SMTPDataError) as caught:
        text = d.with_attachments(d.part("photo.jpg.zip", d.zipped({"photo.exe": d.PROGRAM})))
        smtp.sendmail("joe@sender.test", [alice.address], text)
    assert caught.value.smtp_code == 550
    assert caught.value.smtp_error == b"5.7.1 Not accepted here: Windows program (photo.jpg.zip/photo.exe)"
    assert alice.messages() == []


def test_what_is_held_is_listed_shown_released_and_deleted(office: Postillon, alice: Account, bob: Account):
    text = d.with_attachments(d.part("invoice.html", d.SMUGGLING, "text/html")).replace(b"hello", b"smuggled\x1b[2J")
    with office.smtp() as smtp:
        smtp.sendmail("joe@sender.test", [alice.address, bob.address], text)
    (mine,), (his,) = held(office, alice), held(office, bob)
    assert mine["sender"] == "joe@sender.test" and mine["subject"].startswith("smuggled")
    assert "brings a file in by a script: page that makes a file by a script, invoice.html" in mine["reason"]
    listed, shown = office.command("quarantine", "list").stdout, office.command("quarantine", "show", mine["id"]).stdout
    assert mine["id"] in listed and "\x1b" not in listed + shown and "Content-Type: multipart/mixed" in shown
    assert alice.messages() == bob.messages() == []

    assert f"goes to {alice.address}" in office.command("quarantine", "release", mine["id"]).stdout
    message = alice.wait_for(b"smuggled")
    assert message.startswith(b"Return-Path: <joe@sender.test>") and b"attachment.smuggling" in message
    assert office.command("quarantine", "delete", his["id"]).returncode == 0
    wait_until(lambda: not held(office, alice) and not held(office, bob))
    assert bob.messages() == [] and len(alice.messages()) == 1
    again = office.command("quarantine", "release", mine["id"])
    assert again.returncode == 1 and "no such message in the quarantine" in again.stderr

    story = office.command("trace", mine["message"]).stdout
    assert f"kept in quarantine for {alice.address}" in story and f"released from the quarantine for {alice.address}" in story
