"""Python's own clients and IMAPClient: what the others of these journeys do not try."""

from __future__ import annotations

import contextlib
import email.policy
import imaplib
import poplib
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any

import pytest
from imapclient import DELETED, FLAGGED, SEEN, IMAPClient

from ..peers.postillon import Account, Postillon, mail
from .conftest import NewAccount

pytestmark = pytest.mark.real

STRANGER = "stranger@elsewhere.test"


# --- smtplib ------------------------------------------------------------------------------------------------------------


def test_a_size_that_is_too_large_is_refused_at_mail(office: Postillon):
    with office.smtp() as smtp:
        smtp.ehlo()
        limit = int(smtp.esmtp_features["size"])
        code, text = smtp.mail(STRANGER, [f"SIZE={limit + 1}"])
        assert (code, text[:6]) == (552, b"5.3.4 ")
        assert smtp.mail(STRANGER, [f"SIZE={limit}"])[0] == 250


def test_auth_is_unknown_to_the_mx_even_when_tried(office: Postillon, alice: Account):
    with office.smtp() as smtp:
        smtp.starttls(context=office.tls())
        smtp.ehlo()
        assert "auth" not in smtp.esmtp_features
        code, _ = smtp.docmd("AUTH", "PLAIN AGFsaWNlAHNlY3JldA==")
        assert code in (500, 502, 503)


def test_some_recipients_are_refused_and_the_others_get_it(office: Postillon, bob: Account):
    with office.smtp() as smtp:
        refused = smtp.sendmail(STRANGER, [bob.address, "nobody@example.test", "x@elsewhere.test"], b"Subject: x\r\n\r\n")
    assert {name: code for name, (code, _) in refused.items()} == {"nobody@example.test": 550, "x@elsewhere.test": 550}
    assert len(bob.messages()) == 1


def test_chunks_are_put_together(office: Postillon, bob: Account):
    with office.smtp() as smtp:
        smtp.ehlo()
        smtp.mail(STRANGER)
        smtp.rcpt(bob.address)
        for part, last in ((b"Subject: in chunks\r\n\r\n", ""), (b".\r\nnot the", ""), (b" end\r\n", " LAST")):
            smtp.send(b"BDAT %d%s\r\n" % (len(part), last.encode()) + part)
            assert smtp.getreply()[0] == 250
    assert bob.messages()[0].endswith(b"\r\n\r\n.\r\nnot the end\r\n")


def test_an_international_message(office: Postillon, new_account: NewAccount):
    alice, jose = new_account(), new_account("josé")
    message = EmailMessage(policy=email.policy.SMTPUTF8)
    message["From"], message["To"], message["Subject"] = alice.address, jose.address, "Ñandú"
    message.set_content("¡Hola!\n", cte="8bit")
    with office.smtp("submissions") as smtp:
        smtp.login(alice.address, alice.password)
        smtp.send_message(message)
    (found,) = jose.messages()
    assert "\r\nSubject: Ñandú\r\n".encode() in found
    assert b"with UTF8SMTPSA" in found


@pytest.mark.parametrize("goodbye", ["QUIT", "close"])
def test_the_same_message_from_many_connections_is_many_messages(office: Postillon, bob: Account, goodbye: str):
    """As load generators and scripts send it: the same octets, over both workers, at the same time and one after the other."""

    def send(_: int) -> None:
        with smtplib.SMTP("127.0.0.1", office.port("smtp"), timeout=20) as smtp:
            for _ in range(3):
                smtp.sendmail(STRANGER, [bob.address], b"Subject: always the same\r\n\r\n")
            if goodbye == "close":
                smtp.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    for number in range(8):
        send(number)
    assert len(bob.messages()) == 48


def test_a_message_sent_again_because_the_answer_was_lost_is_one_message(office: Postillon, bob: Account):
    for _ in range(3):
        with office.smtp() as smtp:
            smtp.ehlo()
            smtp.mail(STRANGER)
            smtp.rcpt(bob.address)
            smtp.docmd("DATA")
            smtp.send(b"Subject: are you there?\r\n\r\n.\r\n")
            assert smtp.sock.recv(1, socket.MSG_PEEK) == b"2"  # it has come, but we never read it: the close is a reset
            smtp.close()
        time.sleep(0.2)  # time for the server to notice
    assert len(bob.messages()) == 1


# --- imaplib ------------------------------------------------------------------------------------------------------------


def test_imaplib_walks_through_its_commands(office: Postillon, bob: Account):
    texts = [mail(STRANGER, [bob.address], f"number {n}", f"word{n}\n") for n in range(1, 6)]
    bob.append(*texts)
    with bob.imap("INBOX") as imap:
        assert imap.search(None, "ALL")[1] == [b"1 2 3 4 5"]
        assert imap.search(None, "BODY", "word3")[1] == [b"3"]
        assert imap.search("UTF-8", "SUBJECT", '"number 2"')[1] == [b"2"]
        assert imap.uid("SEARCH", "HEADER", "Subject", '"number 5"')[1] == [b"5"]
        assert imap.store("2", "+FLAGS", r"(\Flagged keyword)")[1][0].startswith(rb"2 (")
        assert imap.search(None, "KEYWORD", "keyword")[1] == [b"2"]
        assert imap.copy("2:3", "Archive")[0] == "OK"
        assert imap.response("COPYUID")[1][0].split()[1:] == [b"2:3", b"1:2"]
        assert imap.status("Archive", "(MESSAGES UIDNEXT UNSEEN)")[1] == [b"Archive (MESSAGES 2 UIDNEXT 3 UNSEEN 2)"]
        assert imap.fetch("1", "(RFC822.SIZE)")[1] == [b"1 (RFC822.SIZE %d)" % len(texts[0])]
        assert imap.fetch("1", "(BODY.PEEK[TEXT]<1.3>)")[1][0][1] == b"ord"
        assert imap.store("4", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert imap.expunge()[1] == [b"4"]
        assert imap.uid("FETCH", "5", "(UID)")[1] == [b"4 (UID 5)"]
        assert imap.create("Projects/New")[0] == "OK"
        assert imap.rename("Projects", "Work")[0] == "OK"
        assert imap.subscribe("Work/New")[0] == "OK"
        assert b'() "/" Work/New' in imap.lsub()[1]
        assert imap.delete("Work/New")[0] == "OK"
        assert imap.namespace()[1] == [b'(("" "/")) (("Other Users/" "/")) NIL']
        assert imap.close()[0] == "OK"
        assert imap.select("Nowhere")[0] == "NO"
        assert imap.logout()[0] == "BYE"


@pytest.mark.parametrize("password", ['quotes " and \\ backslash', "späße für alle", "x" * 200, "{5}literal"])
def test_passwords_of_many_shapes(office: Postillon, new_account: NewAccount, password: str):
    account = new_account(password=password)
    with account.imap() as imap:  # AUTHENTICATE PLAIN
        imap.logout()
    if password.isascii():  # imaplib's LOGIN can do no other
        client = imaplib.IMAP4("127.0.0.1", office.port("imap"))
        assert client.login(account.address, password)[0] == "OK"
        client.logout()


# --- IMAPClient ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def imapclient(account: Account, folder: str = "INBOX") -> Iterator[Any]:
    server = account.server
    client = IMAPClient("127.0.0.1", server.port("imaps"), ssl_context=server.tls(), timeout=20)
    try:
        client.login(account.address, account.password)
        client.select_folder(folder)
        yield client
    finally:
        client.shutdown()


def idle_until(client: Any, wanted: Callable[[list[Any]], bool], seconds: float = 15) -> list[Any]:
    """What came until *wanted* is true of all of it."""
    deadline, found = time.monotonic() + seconds, []
    while not wanted(found):
        assert time.monotonic() < deadline, found
        found += client.idle_check(timeout=1)
    return found


def test_every_idling_session_on_every_worker_hears_of_a_message(office: Postillon, bob: Account):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(imapclient(bob)) for _ in range(8)]
        for client in clients:
            client.idle()
        began = time.monotonic()
        office.deliver(bob.address, mail(STRANGER, [bob.address], "news"))
        for client in clients:
            idle_until(client, lambda found: (1, b"EXISTS") in found)
        took = time.monotonic() - began
        assert took < 5, took
        clients[0].idle_done()
        clients[0].add_flags([1], [SEEN, FLAGGED])
        for client in clients[1:]:
            idle_until(client, lambda found: any(line[1] == b"FETCH" and SEEN in str(line).encode() for line in found))
        clients[0].delete_messages([1])
        clients[0].expunge()
        for client in clients[1:]:
            idle_until(client, lambda found: (1, b"EXPUNGE") in found)
            client.idle_done()


def test_move_and_folders_with_international_names(office: Postillon, bob: Account):
    bob.append(*(mail(STRANGER, [bob.address], f"number {n}") for n in range(1, 11)))
    with imapclient(bob) as client:
        client.create_folder("Müll & 日本")
        assert "Müll & 日本" in [name for _, _, name in client.list_folders()]
        client.move([2, 4, 6], "Müll & 日本")
        assert client.search("ALL") == [1, 3, 5, 7, 8, 9, 10]
        client.select_folder("Müll & 日本")
        assert [client.fetch([uid], ["ENVELOPE"])[uid][b"ENVELOPE"].subject for uid in client.search()] == [
            b"number 2",
            b"number 4",
            b"number 6",
        ]
        client.rename_folder("Müll & 日本", "Müll/alt")
        assert client.folder_status("Müll/alt", ["MESSAGES"])[b"MESSAGES"] == 3
        client.delete_folder("Müll/alt")


def test_condstore_tells_what_changed_since(office: Postillon, bob: Account):
    bob.append(*(mail(STRANGER, [bob.address], f"number {n}") for n in range(1, 6)))
    with imapclient(bob) as client, imapclient(bob) as other:
        before = client.folder_status("INBOX", ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"]
        other.add_flags([2, 4], [FLAGGED])
        changed = client.fetch(client.search(), ["FLAGS"], modifiers=[f"CHANGEDSINCE {before}"])
        assert set(changed) == {2, 4}
        assert all(FLAGGED in item[b"FLAGS"] and item[b"MODSEQ"][0] > before for item in changed.values())
        assert client.search(["MODSEQ", str(before + 1)])[0:2] == [2, 4]


def test_two_sessions_see_each_others_changes(office: Postillon, bob: Account):
    bob.append(*(mail(STRANGER, [bob.address], f"number {n}") for n in range(1, 6)))
    with imapclient(bob) as one, imapclient(bob) as two:
        two.add_flags([3], [DELETED])
        two.expunge()
        # Sequence numbers stay valid while FETCH runs (RFC 9051 §7.5.1); uids always.
        assert set(one.fetch([1, 2, 3, 4, 5], ["FLAGS"])) <= {1, 2, 3, 4, 5}
        one.noop()
        assert one.search() == [1, 2, 4, 5]
        assert one.fetch([3], ["FLAGS"]) == {}


# --- poplib -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def pop(account: Account, *, login: bool = True) -> Iterator[poplib.POP3]:
    client = poplib.POP3("127.0.0.1", account.server.port("pop3"), timeout=20)
    client.stls(account.server.tls())
    try:
        if login:
            client.user(account.address)
            client.pass_(account.password)
        yield client
    finally:
        with contextlib.suppress(OSError, poplib.error_proto):
            client.close()


def test_pop3_from_capa_to_quit(office: Postillon, bob: Account):
    texts = [mail(STRANGER, [bob.address], f"number {n}", "one\n.\n..two\nthree\n") for n in range(1, 4)]
    bob.append(*texts)
    with pop(bob) as client:
        assert {"UIDL", "TOP", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG", "EXPIRE"} <= set(client.capa())
        assert client.stat() == (3, sum(map(len, texts)))
        assert b"\r\n".join(client.retr(2)[1]) + b"\r\n" == texts[1]
        assert client.top(1, 2)[1][-2:] == [b"one", b"."]
        uids = [line.split()[1] for line in client.uidl()[1]]
        assert len(set(uids)) == 3
        client.dele(1)
        client.rset()
        client.dele(3)
        assert client.stat()[0] == 2
        client.quit()
    with pop(bob) as client:
        assert [line.split()[1] for line in client.uidl()[1]] == uids[:2]
        client.dele(1)  # without QUIT nothing is deleted
    with pop(bob) as client:
        assert client.stat()[0] == 2


def test_one_pop3_session_at_a_time_on_all_workers(office: Postillon, bob: Account):
    with pop(bob) as holder:
        for _ in range(6):  # some of these come to the other worker
            with pop(bob, login=False) as other:
                other.user(bob.address)
                with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
                    other.pass_(bob.password)
        holder.quit()
    with pop(bob) as after:
        assert after.stat()[0] == 0


def test_what_imap_expunged_meanwhile_is_an_error_and_never_another_message(office: Postillon, bob: Account):
    bob.append(*(mail(STRANGER, [bob.address], f"number {n}") for n in range(1, 4)))
    with pop(bob) as client:
        with bob.imap("INBOX") as imap:
            imap.store("2", "+FLAGS", r"(\Deleted)")
            imap.expunge()
        with pytest.raises(poplib.error_proto, match="-ERR"):
            client.retr(2)
        assert b"Subject: number 3" in client.retr(3)[1]
        client.dele(3)
        client.quit()
    assert len(bob.messages()) == 1


def test_many_clients_at_once(office: Postillon, new_account: NewAccount):
    """Deliveries, IDLE and fetching side by side: everything arrives once."""
    accounts = [new_account() for _ in range(4)]
    failures: list[BaseException] = []

    def send(number: int) -> None:
        try:
            with office.smtp() as smtp:
                for count in range(20):
                    recipients = [account.address for account in accounts]
                    smtp.sendmail(STRANGER, recipients, f"Subject: {number}.{count}\r\n\r\nHello\r\n".encode())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    wanted = sorted(f"Subject: {number}.{count}".encode() for number in range(5) for count in range(20))
    for account in accounts:
        subjects = sorted(line for octets in account.messages() for line in octets.split(b"\r\n") if line.startswith(b"Subject"))
        assert subjects == wanted
