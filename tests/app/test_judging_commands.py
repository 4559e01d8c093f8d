"""`postillon account allow` and its like, `postillon filter train`: over a running server."""

from __future__ import annotations

import json
import mailbox
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import Dev, dev

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with dev(tmp_path_factory.mktemp("dev"), "--workers", "1") as server:
        yield server


class Shown:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.exit_code, self.output = done.returncode, done.stdout if done.returncode == 0 else done.stderr


def run(server: Dev, *words: str) -> Shown:
    return Shown(server.command(*words, "--json"))


def test_lists_of_an_account_and_of_everybody(data: Dev):
    shown = run(data, "account", "deny", "alice@example.test", "Evil.Test", "192.0.2.9/24")
    assert json.loads(shown.output) == [{"entry": e, "verdict": "deny"} for e in ("192.0.2.0/24", "evil.test")]
    run(data, "account", "allow", "alice@example.test", "evil.test")
    run(data, "account", "unlist", "alice@example.test", "192.0.2.0/24")
    assert json.loads(run(data, "account", "lists", "alice@example.test").output) == [{"entry": "evil.test", "verdict": "allow"}]
    assert json.loads(run(data, "filter", "lists").output) == []
    assert json.loads(run(data, "filter", "allow", "@good.test").output) == [{"entry": "good.test", "verdict": "allow"}]
    assert json.loads(run(data, "filter", "deny", "good.test").output) == [{"entry": "good.test", "verdict": "deny"}]
    assert json.loads(run(data, "filter", "unlist", "good.test").output) == []
    wrong = run(data, "account", "deny", "alice@example.test", "not an entry")
    assert wrong.exit_code == 1 and "no address, domain or network" in wrong.output
    assert run(data, "account", "deny", "nobody@example.test", "x.test").exit_code == 1


def test_thresholds_of_an_account(data: Dev):
    assert run(data, "account", "language", "alice@example.test", "fr").exit_code == 0
    shown = json.loads(run(data, "account", "judging", "alice@example.test", "--junk", "4.5").output)
    assert (shown["tag"], shown["junk"], shown["language"]) == (None, 4.5, "fr")
    assert json.loads(run(data, "account", "judging", "alice@example.test").output) == shown
    reset = json.loads(run(data, "account", "judging", "alice@example.test", "--reset").output)
    assert reset["junk"] is None and reset["language"] == "fr"
    assert run(data, "account", "language", "alice@example.test", "xx").exit_code == 1


def test_training_from_a_maildir_an_mbox_and_files(data: Dev, tmp_path: Path):
    texts = [f"From: x@y.test\nSubject: {n}\n\nlottery number {n}\n" for n in range(4)]
    maildir = mailbox.Maildir(tmp_path / "maildir")
    maildir.add(texts[0])
    box = mailbox.mbox(tmp_path / "mbox")
    box.add(texts[1])
    box.add(texts[2])
    box.flush()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.eml").write_text(texts[3])
    places = [str(tmp_path / name) for name in ("maildir", "mbox", "files")]
    assert json.loads(run(data, "filter", "train", "--junk", *places).output) == {"learned": 4, "as": "junk"}
    assert json.loads(run(data, "filter", "train", "--good", "--account", "alice@example.test", places[2]).output)["learned"] == 1
    assert json.loads(run(data, "filter", "status").output) == [
        {"owner": "everybody", "good": 0, "junk": 4},
        {"owner": "alice@example.test", "good": 1, "junk": 0},
    ]
    assert run(data, "filter", "train", places[0]).exit_code == 1


def test_what_a_person_moves_to_junk_is_learned_and_the_verdict_is_told(data: Dev):
    def learned() -> dict[str, int]:
        rows = json.loads(run(data, "filter", "status").output)
        return {row["owner"]: row["junk"] for row in rows}

    before = learned().get("bob@example.test", 0)
    data.send("stranger@else.test", "bob@example.test", "An offer that shouts", mx=True)
    with data.imap("bob@example.test") as imap:
        deadline = time.monotonic() + 10
        while not int((imap.select("INBOX")[1][0] or b"0").decode()):
            assert time.monotonic() < deadline, data.log()
            time.sleep(0.1)
        imap.copy("1", "Junk")
        imap.store("1", "+FLAGS", "\\Deleted")
        imap.expunge()
    deadline = time.monotonic() + 30
    while learned().get("bob@example.test", 0) == before:
        assert time.monotonic() < deadline, data.log()
        time.sleep(0.3)
    (told,) = json.loads(run(data, "why", "--from", "stranger@else.test", "--to", "bob@example.test").output)
    assert told["verdict"].startswith("delivered")
    assert {"fraud.new_domain", "fraud.first_contact"} <= {one["code"] for one in told["evidence"]}
    shown = data.command("why", "--from", "stranger@else.test", "--language", "fr").stdout
    assert "Vous n’aviez encore jamais reçu de courrier de stranger@else.test" in shown


def test_whom_one_writes_to_is_known(data: Dev):
    data.send("alice@example.test", "bob@example.test", "Hello Bob")
    deadline = time.monotonic() + 30
    while True:
        data.send("bob@example.test", "alice@example.test", "Hello Alice", mx=True)
        found = json.loads(run(data, "why", "--from", "bob@example.test", "--to", "alice@example.test", "--limit", "1").output)
        if found and "fraud.contact" in {one["code"] for one in found[0]["evidence"]}:
            return
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_dry_runs_over_a_running_server(data: Dev, tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "from postillon.model.verdict import Opinion, finding\n"
        "def examine(incoming):\n    return Opinion((finding('own.shout', 7),)) if 'shouts' in incoming.subject else Opinion()\n"
    )
    data.send("stranger@else.test", "alice@example.test", "An offer that shouts", mx=True)
    result = json.loads(run(data, "filter", "test", str(tmp_path / "own.py")).output)
    assert ("alice@example.test", "file", "junk") in {(one["account"], one["before"], one["after"]) for one in result["changed"]}
    changed = json.loads(run(data, "policy", "dry-run", "--tag", "-50", "--junk", "-20").output)
    assert changed["looked_at"] >= 1 and {one["after"] for one in changed["changed"]} == {"junk"}
    assert "would change, of" in data.command("policy", "dry-run", "--off", "fraud", "--score", "own.x=3").stdout
    assert data.command("policy", "dry-run", "--score", "nonsense").returncode == 1
