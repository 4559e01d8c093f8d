"""Commands over a running server, the same ones without it, and mail from local programs."""

from __future__ import annotations

import base64
import hashlib
import imaplib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import Dev, command, dev

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    # A route to a port where nobody listens: what goes there stays in the queue.
    data = tmp_path_factory.mktemp("commands")
    with dev(data, "--workers", "2", "--route", "away.test=127.0.0.1:1") as running:
        yield running


def listed(server: Dev, *words: str) -> list[dict[str, object]]:
    ended = server.command(*words, "--json")
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, object]] = json.loads(ended.stdout)
    return found


def test_domains_come_and_go_while_the_server_runs(server: Dev):
    assert server.command("domain", "add", "new.test").returncode == 0
    assert "new.test" in [row["name"] for row in listed(server, "domain", "list")]
    assert server.command("domain", "remove", "new.test").returncode == 0
    assert "new.test" not in [row["name"] for row in listed(server, "domain", "list")]


def test_a_refusal_is_told_in_words(server: Dev):
    ended = server.command("domain", "add", "example.test")
    assert ended.returncode == 1
    assert "exists already" in ended.stderr


def test_an_account_lives_from_add_to_remove(server: Dev):
    address = "eve@example.test"
    added = server.command("account", "add", address, "--generate", "--quota", "1M", "--json")
    password = json.loads(added.stdout)["password"]
    assert server.subjects(address, password) == []
    assert [row["quota"] for row in listed(server, "account", "list") if row["address"] == address] == [1 << 20]
    assert server.command("account", "suspend", address).returncode == 0
    with pytest.raises(imaplib.IMAP4.error):
        server.subjects(address, password)
    assert server.command("account", "resume", address).returncode == 0
    assert server.subjects(address, password) == []
    assert server.command("account", "password", address, "--password-stdin", stdin="another-one\n").returncode == 0
    assert server.subjects(address, "another-one") == []
    assert server.command("account", "remove", address, "--yes").returncode == 0
    assert address not in [row["address"] for row in listed(server, "account", "list")]


def test_a_hash_from_another_server_lets_its_owner_in(server: Dev):
    salt = b"saltsalt"
    hashed = "{SSHA256}" + base64.b64encode(hashlib.sha256(b"from elsewhere" + salt).digest() + salt).decode()
    added = server.command("account", "add", "moved@example.test", "--hash-stdin", stdin=hashed + "\n")
    assert added.returncode == 0, added.stderr
    assert server.subjects("moved@example.test", "from elsewhere") == []
    ended = server.command("account", "password", "moved@example.test", "--hash-stdin", stdin="{MD5}x\n")
    assert ended.returncode == 1 and ended.stderr


def test_no_password_is_taken_from_the_command_line(server: Dev):
    ended = server.command("account", "add", "frank@example.test", "secret-word")
    assert ended.returncode == 2
    ended = server.command("account", "add", "frank@example.test")
    assert ended.returncode == 1
    assert "--password-stdin" in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "nobody"), "'nobody' is not an address"),
        (("add", "alice@example.test"), "exists already"),
        (("add", "alice+x@example.test"), "may not contain '+'"),
        (("add", "frank@elsewhere.test"), "no domain of this server"),
        (("password", "nobody@example.test"), "There is no account"),
    ],
)
def test_an_address_is_looked_at_before_a_password_is_asked_for(server: Dev, words: tuple[str, ...], said: str):
    ended = server.command("account", *words)
    assert ended.returncode == 1 and said in ended.stderr and "password" not in ended.stderr


def test_an_alias_leads_to_all_its_targets(server: Dev):
    for targets in (["alice@example.test"], ["bob@example.test"]):
        assert server.command("alias", "add", "team@example.test", *targets).returncode == 0
    assert listed(server, "alias", "list") == [
        {"address": "team@example.test", "targets": ["alice@example.test", "bob@example.test"]}
    ]
    server.send("x@elsewhere.test", "team@example.test", "for the team", mx=True)
    assert "for the team" in server.subjects("alice@example.test")
    assert "for the team" in server.subjects("bob@example.test")
    assert server.command("alias", "remove", "team@example.test", "bob@example.test").returncode == 0
    assert listed(server, "alias", "list")[0]["targets"] == ["alice@example.test"]
    assert server.command("alias", "remove", "team@example.test").returncode == 0
    assert listed(server, "alias", "list") == []


def test_the_queue_can_be_looked_at_held_and_dropped(server: Dev):
    server.send("alice@example.test", "someone@away.test", "stays here")
    row = next(row for row in listed(server, "queue", "list") if row["recipient"] == "someone@away.test")
    assert row["sender"] == "alice@example.test"
    name = str(row["id"])
    shown = server.command("queue", "show", name)
    assert "someone@away.test" in shown.stdout
    assert "Subject: stays here" in shown.stdout
    assert server.command("queue", "hold", name).returncode == 0
    assert {row["state"] for row in listed(server, "queue", "list")} == {"held"}
    assert server.command("queue", "release", name).returncode == 0
    assert server.command("queue", "retry", "--all").returncode == 0
    deadline = time.monotonic() + 20
    while not any(row["last_answer"] for row in listed(server, "queue", "list")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert server.command("queue", "drop", name).returncode == 0
    assert listed(server, "queue", "list") == []
    assert server.command("queue", "drop", name).returncode == 1


def test_status_tells_the_numbers(server: Dev):
    ended = server.command("status", "--json")
    told = json.loads(ended.stdout)
    assert told["accounts"] >= 2
    assert told["version"]


def test_sendmail_takes_recipients_from_the_header_and_hides_bcc(server: Dev):
    text = "To: alice@example.test\nBcc: Bob <bob@example.test>\nSubject: by sendmail\n\nfirst\n.\nsecond\n"
    ended = server.command("sendmail", "-t", "-i", stdin=text)
    assert (ended.returncode, ended.stderr) == (0, "")
    for address in ("alice@example.test", "bob@example.test"):
        with imaplib.IMAP4_SSL("127.0.0.1", server.told["imaps"], ssl_context=server.tls()) as imap:
            imap.login(address, server.accounts[address])
            imap.select()
            _, found = imap.search(None, "SUBJECT", '"by sendmail"')
            _, fetched = imap.fetch(found[0].split()[-1].decode(), "(BODY[])")
            message = fetched[0][1]
        assert b"bob@example.test" not in message.lower()
        assert b"first\r\n.\r\nsecond\r\n" in message
        assert b"\r\nMessage-ID: <" in message


def test_sendmail_without_i_ends_at_a_dot(server: Dev):
    assert server.command("sendmail", "alice@example.test", stdin="Subject: short\n\nfirst\n.\nsecond\n").returncode == 0
    assert "short" in server.subjects("alice@example.test")


def test_sendmail_tells_an_unknown_recipient(server: Dev):
    ended = server.command("sendmail", "nobody@example.test", stdin="Subject: x\n\n")
    assert ended.returncode == 67
    assert "nobody@example.test" in ended.stderr


AS_NOBODY = """
import os, socket, sys, json
os.chdir(sys.argv[1])  # while we still may
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect("sendmail.sock")
message = b"Subject: from nobody\\r\\n\\r\\nhi\\r\\n"
asked = {"recipients": ["alice@example.test"], "sender": sys.argv[2], "size": len(message)}
s.sendall(json.dumps({"operation": "sendmail", "arguments": asked}).encode() + b"\\n" + message)
print(s.makefile().readline())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_sendmail_knows_the_caller_from_the_kernel(server: Dev):
    """Another user is that user, and may be nobody else."""
    directory = server.data / "run"
    directory.chmod(0o755)

    def as_nobody(sender: str) -> dict[str, dict[str, str]]:
        words = [sys.executable, "-c", AS_NOBODY, str(directory), sender]
        ended = subprocess.run(words, capture_output=True, text=True, check=True)
        answer: dict[str, dict[str, str]] = json.loads(ended.stdout)
        return answer

    assert as_nobody("alice@example.test")["refusal"]["status"] == "5.7.1"
    assert "result" in as_nobody("")
    directory.chmod(0o700)
    with imaplib.IMAP4_SSL("127.0.0.1", server.told["imaps"], ssl_context=server.tls()) as imap:
        imap.login("alice@example.test", server.accounts["alice@example.test"])
        imap.select()
        _, found = imap.search(None, "SUBJECT", '"from nobody"')
        _, fetched = imap.fetch(found[0].split()[-1].decode(), "(BODY[HEADER.FIELDS (FROM RETURN-PATH)])")
    assert b"From: nobody@example.test" in fetched[0][1]
    assert b"Return-Path: <nobody@example.test>" in fetched[0][1]


def test_without_a_server_sendmail_says_so(tmp_path: Path):
    ended = command("sendmail", "--data", str(tmp_path), "a@b.test", stdin="Subject: x\n\n")
    assert ended.returncode == 75
    assert "not sent" in ended.stderr


def test_the_same_commands_work_while_no_server_runs(tmp_path: Path):
    with dev(tmp_path) as running:
        running.stop()
        shutil.rmtree(tmp_path / "run")  # a backup has none
        assert running.command("domain", "add", "later.test").returncode == 0
        added = running.command("account", "add", "gina@later.test", "--password-stdin", stdin="gina-secret\n")
        assert added.returncode == 0, added.stderr
        ended = running.command("status")
        assert ended.returncode == 3
    with dev(tmp_path) as again:
        assert again.subjects("gina@later.test", "gina-secret") == []


def test_commands_without_data_say_so(tmp_path: Path):
    ended = command("domain", "list", "--data", str(tmp_path / "nothing"))
    assert ended.returncode == 1
    assert "not the data directory" in ended.stderr


def test_capabilities_are_hidden_from_an_account(server: Dev):
    address = "hidden@example.test"
    password = json.loads(server.command("account", "add", address, "--generate", "--json").stdout)["password"]
    assert server.command("account", "hide", address, "qresync", "Compress=Deflate", "--offer", "uidonly").returncode == 0
    with server.imap(address, password) as imap:
        words = imap.capability()[1][0].split()
    assert b"QRESYNC" not in words and b"COMPRESS=DEFLATE" not in words and b"UIDONLY" in words
    shown = json.loads(server.command("account", "hide", address, "--json").stdout)
    assert shown == {"address": address, "hidden": ["COMPRESS=DEFLATE", "QRESYNC"], "offered": ["UIDONLY"]}
    wrong = server.command("account", "hide", address, "QRESINC")
    assert wrong.returncode == 1 and "is it QRESYNC?" in wrong.stderr
    assert server.command("account", "hide", address, "IMAP4rev1").returncode == 1
    assert server.command("account", "hide", address, "--default").returncode == 0
    with server.imap(address, password) as imap:
        words = imap.capability()[1][0].split()
    assert b"QRESYNC" in words and b"UIDONLY" not in words
