"""The administrator's commands against a running server with two workers: what they change is true at once, everywhere."""

from __future__ import annotations

import contextlib
import imaplib
import json
import poplib
import smtplib
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..peers.clients import client
from ..peers.postillon import Account, Postillon, mail
from ..peers.processes import wait_until
from .conftest import NewAccount

pytestmark = pytest.mark.real

TRIES = 10
"""Connections enough that each of two workers gets some."""
CLOSED = (imaplib.IMAP4.abort, ConnectionError, EOFError)


def done(office: Postillon, *words: str, stdin: str = "") -> str:
    ended = office.command(*words, stdin=stdin)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def in_parallel(what: Callable[[], bool]) -> list[bool]:
    with ThreadPoolExecutor(TRIES) as pool:
        return [future.result() for future in [pool.submit(what) for _ in range(TRIES)]]


def can_log_in(account: Account) -> bool:
    try:
        with account.imap():
            return True
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error) or "[CONTACTADMIN] This account is suspended" in str(error)
        return False


@contextlib.contextmanager
def idling(account: Account, count: int) -> Iterator[list[imaplib.IMAP4_SSL]]:
    """Sessions that wait for news."""
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(account.imap("INBOX")) for _ in range(count)]
        for session in sessions:
            session.send(b"i IDLE\r\n")
            assert session.readline().startswith(b"+")
        yield sessions


def last_words(session: imaplib.IMAP4_SSL) -> bytes:
    """What comes until the connection ends."""
    session.sock.settimeout(10)
    said = b""
    while line := session.readline():
        said += line
    return said


# --- accounts -----------------------------------------------------------------------------------------------------------


def test_a_new_account_can_log_in_at_once_on_every_worker(office: Postillon):
    done(office, "account", "add", "nina@example.test", "--password-stdin", stdin="nina-secret\n")
    nina = office.account("nina@example.test", "nina-secret")
    assert all(in_parallel(lambda: can_log_in(nina)))
    office.deliver("nina+tag@example.test", b"Subject: welcome\r\n\r\n")
    assert len(nina.messages()) == 1
    listed = json.loads(done(office, "account", "list", "--json"))
    assert next(row["state"] for row in listed if row["address"] == "nina@example.test") == "active"


def test_a_changed_password_voids_the_old_one_at_once_on_every_worker(office: Postillon, bob: Account):
    assert all(in_parallel(lambda: can_log_in(bob)))  # every worker remembers it now
    done(office, "account", "password", bob.address, "--password-stdin", stdin="the new one\n")
    assert not any(in_parallel(lambda: can_log_in(bob)))
    assert all(in_parallel(lambda: can_log_in(Account(office, bob.address, "the new one"))))


def test_a_generated_password_is_shown_once(office: Postillon, bob: Account):
    made = json.loads(done(office, "account", "password", bob.address, "--generate", "--json"))
    assert can_log_in(Account(office, bob.address, made["password"]))
    assert made["password"] not in office.log_text


def test_suspending_ends_every_session_everywhere(office: Postillon, bob: Account):
    with idling(bob, 8) as sessions, office.smtp("submission") as smtp, contextlib.closing(pop3(bob)) as pop:
        smtp.login(bob.address, bob.password)
        began = time.monotonic()
        done(office, "account", "suspend", bob.address)
        for session in sessions:
            assert last_words(session).startswith(b"* BYE ")
        assert time.monotonic() - began < 5
        with pytest.raises((smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException)):
            smtp.mail(bob.address)
            raise smtplib.SMTPResponseException(*smtp.getreply())
        with pytest.raises((poplib.error_proto, *CLOSED)):
            pop.stat()
    assert not can_log_in(bob)
    office.deliver(bob.address, b"Subject: meanwhile\r\n\r\n")  # mail is still taken
    done(office, "account", "resume", bob.address)
    assert len(bob.messages()) == 1


def pop3(account: Account) -> poplib.POP3_SSL:
    server = account.server
    session = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=server.tls(), timeout=20)
    session.user(account.address)
    session.pass_(account.password)
    return session


def test_a_removed_account_is_gone_with_its_sessions_and_its_mail(office: Postillon, bob: Account):
    bob.append(b"Subject: old\r\n\r\n")
    with idling(bob, 3) as sessions:
        done(office, "account", "remove", bob.address, "--yes")
        for session in sessions:
            assert b"* BYE " in last_words(session)
    with office.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("s@elsewhere.test")
        assert smtp.rcpt(bob.address)[0] == 550
    assert not can_log_in(bob)
    again = office.add_account(bob.address)
    assert again.messages() == []


# --- domains and aliases ------------------------------------------------------------------------------------------------


def test_a_new_domain_takes_mail_at_once_on_every_worker(office: Postillon):
    def accepted() -> bool:
        with office.smtp() as smtp:
            smtp.ehlo()
            smtp.mail("s@elsewhere.test")
            return smtp.rcpt("postmaster@fresh.test")[0] == 250

    assert not any(in_parallel(accepted))
    done(office, "domain", "add", "fresh.test")
    assert all(in_parallel(accepted))
    done(office, "domain", "remove", "fresh.test")
    assert not any(in_parallel(accepted))


def test_an_alias_leads_to_accounts_and_ends(office: Postillon, new_account: NewAccount):
    one, two = new_account(), new_account()
    done(office, "alias", "add", "pair@example.test", one.address, two.address)
    office.deliver("pair+x@example.test", b"Subject: to the pair\r\n\r\n")
    assert len(one.messages()) == len(two.messages()) == 1
    done(office, "alias", "remove", "pair@example.test")
    with office.smtp() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("s@elsewhere.test", ["pair@example.test"], b"Subject: too late\r\n\r\n")


def test_a_catch_all_gets_what_nobody_else_gets(office: Postillon, bob: Account):
    done(office, "domain", "add", "catch.test", "--catch-all", bob.address)
    done(office, "account", "add", "real@catch.test", "--password-stdin", stdin="real-secret\n")
    office.deliver("whoever@catch.test", b"Subject: for whoever\r\n\r\n")
    office.deliver("real@catch.test", b"Subject: for the real one\r\n\r\n")
    office.deliver("real+anything@catch.test", b"Subject: for a subaddress\r\n\r\n")
    assert len(bob.messages()) == 1
    assert len(office.account("real@catch.test", "real-secret").messages()) == 2


def test_a_domain_that_repeats_another(office: Postillon, bob: Account):
    done(office, "domain", "add", "other-name.test", "--alias-of", "example.test")
    office.deliver(f"{bob.local}@other-name.test", b"Subject: by the other name\r\n\r\n")
    assert len(bob.messages()) == 1


# --- quota --------------------------------------------------------------------------------------------------------------


def test_the_quota_is_judged_at_rcpt(office: Postillon, new_account: NewAccount):
    small = new_account(quota=20_000)
    with office.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("s@elsewhere.test", ["SIZE=30000"])
        code, text = smtp.rcpt(small.address)
        assert (code, text[:6]) == (452, b"4.2.2 ")
        smtp.rset()
        smtp.mail("s@elsewhere.test", ["SIZE=3000"])
        assert smtp.rcpt(small.address)[0] == 250
        smtp.rset()
        done(office, "account", "quota", small.address, "1M")
        smtp.mail("s@elsewhere.test", ["SIZE=30000"])
        assert smtp.rcpt(small.address)[0] == 250


def test_a_full_mailbox_refuses_in_every_protocol_until_there_is_room(office: Postillon, new_account: NewAccount):
    small, full = new_account(quota=5_000), mail("s@elsewhere.test", ["x@example.test"], "filling", ("x" * 70 + "\n") * 60)
    office.deliver(small.address, full)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        office.deliver(small.address, full)
    assert refused.value.recipients[small.address][0] == 452
    with small.imap("INBOX") as imap:
        status, said = imap.append("INBOX", "", "", full)
        assert (status, b"[OVERQUOTA]" in said[0]) == ("NO", True)
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        assert imap.append("INBOX", "", "", full)[0] == "OK"


# --- queue, status, sendmail --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postillon, Postillon]]:
    """A server with a route to another one, which is not started yet."""
    place = Path(tmp_path_factory.mktemp("away"))
    there = Postillon(place / "there", "--account", "zoe@away.test:zoe-secret", "--workers", "1")
    with Postillon(place / "here", "--route", f"away.test=127.0.0.1:{there.port('smtp')}", "--workers", "2") as here:
        yield here, there
        if there.told:
            there.end()


def queue(office: Postillon) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(done(office, "queue", "list", "--json"))
    return rows


def test_what_waits_can_be_seen_dropped_and_tried_again(away: tuple[Postillon, Postillon]):
    here, there = away
    alice = here.account("alice@example.test")
    for subject in ("to be dropped", "to be tried again"):
        alice.submit(["zoe@away.test"], subject)
    wait_until(lambda: all(row["attempts"] for row in queue(here)) and len(queue(here)) == 2, 20, "first attempts")
    ids = {name for row in queue(here) if (name := row["id"])}
    assert len(ids) == 2
    shown = {name: done(here, "queue", "show", name) for name in ids}
    dropped = next(name for name, text in shown.items() if "Subject: to be dropped" in text)
    (other,) = ids - {dropped}
    assert "zoe@away.test" in shown[other]
    assert "alice@example.test" in done(here, "queue", "list")
    done(here, "queue", "drop", dropped)
    assert [row["id"] for row in queue(here)] == [other]
    there.start()
    done(here, "queue", "retry", other)
    there.account("zoe@away.test", "zoe-secret").wait_for(b"Subject: to be tried again")
    wait_until(lambda: queue(here) == [], 10, "an empty queue")
    assert len(there.account("zoe@away.test", "zoe-secret").messages()) == 1
    assert alice.messages() == []


def test_what_is_held_is_not_tried(away: tuple[Postillon, Postillon]):
    here, there = away
    if there.told:
        there.stop()
    here.account("alice@example.test").submit(["zoe@away.test"], "held back")
    wait_until(lambda: [row["attempts"] for row in queue(here)] == [1], 20, "the first attempt")
    (row,) = queue(here)
    done(here, "queue", "hold", row["id"])
    there.start()
    zoe = there.account("zoe@away.test", "zoe-secret")
    assert queue(here)[0]["state"] == "held"
    done(here, "queue", "release", row["id"])
    done(here, "queue", "retry", "--all")
    zoe.wait_for(b"Subject: held back")


def test_status_tells_what_goes_on(office: Postillon):
    told = json.loads(done(office, "status", "--json"))
    assert told["worker_pid"] in office.workers
    assert told["accounts"] >= 2
    assert told["queued"] == 0
    assert "version" in done(office, "status")


def test_local_mail_of_cron(office: Postillon, bob: Account):
    text = f"To: {bob.address}\nSubject: Cron <root@host> run-parts\n\nall is well\n.\nreally\n"
    done(office, "sendmail", "-FCronDaemon", "-i", "-B8BITMIME", "-oem", bob.address, stdin=text)
    (message,) = bob.messages()
    assert b"\r\nall is well\r\n.\r\nreally\r\n" in message
    assert b"\r\nFrom: " in message
    ended = office.command("sendmail", "nobody@example.test", stdin="Subject: x\n\n")
    assert (ended.returncode, "nobody@example.test" in ended.stderr) == (67, True)


def test_cron_may_say_the_same_again(office: Postillon, bob: Account):
    for _ in range(3):
        done(office, "sendmail", bob.address, stdin="Subject: disk is full\n\nreally\n")
    assert len(bob.messages()) == 3


def test_mutt_sends_through_our_sendmail(office: Postillon, bob: Account, tmp_path: Path):
    """A program that only knows /usr/sbin/sendmail."""
    script = tmp_path / "sendmail"
    root = Path(__file__).resolve().parents[2]
    script.write_text(f'#!/bin/sh\ncd {root} && exec {sys.executable} -m postillon sendmail --data {office.data} "$@"\n')
    script.chmod(0o755)
    (tmp_path / "muttrc").write_text(
        f'set sendmail="{script} -oem -oi" from="root@example.test" use_envelope_from=yes record=""\n'
    )
    client("mutt", "-F", str(tmp_path / "muttrc"), "-s", "by sendmail", bob.address, home=tmp_path, stdin="Hello\n")
    assert b"Subject: by sendmail" in bob.messages()[0]
