"""Clients that we did not write: Python's imaplib and IMAPClient do a day's work."""

from __future__ import annotations

import asyncio
import imaplib
import ssl
from datetime import UTC, datetime

from imapclient import DELETED, FLAGGED, SEEN, IMAPClient

from .house import NOW, PASSWORD, SIMPLE, House
from .letters import MULTIPART, RFC3501

USER = "alice@example.test"


async def test_imaplib(house: House):
    await asyncio.to_thread(_imaplib, house)


def _imaplib(house: House) -> None:
    with imaplib.IMAP4("127.0.0.1", house.port) as client:
        context = ssl.create_default_context(cafile=str(house.ca))
        client.starttls(context)
        client.login(USER, PASSWORD)
        assert client.create("Projects/One")[0] == "OK"
        assert client.append("Projects/One", r"(\Seen)", imaplib.Time2Internaldate(NOW), RFC3501)[0] == "OK"
        assert client.select("Projects/One") == ("OK", [b"1"])
        status, data = client.fetch("1", "(UID FLAGS INTERNALDATE RFC822)")
        assert status == "OK"
        assert data[0][1] == RFC3501
        assert b"Seen" in data[0][0] + data[1]
        assert client.search(None, "SUBJECT", '"afternoon"') == ("OK", [b"1"])
        assert client.uid("SEARCH", "ALL") == ("OK", [b"1"])
        assert client.copy("1", "INBOX")[0] == "OK"
        assert client.store("1", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.close()[0] == "OK"
        assert client.delete("Projects/One")[0] == "OK"
        assert client.status("INBOX", "(MESSAGES UNSEEN)") == ("OK", [b"INBOX (MESSAGES 1 UNSEEN 0)"])
        assert client.namespace()[0] == "OK"
        assert len(client.lsub()[1]) == 6


async def test_imaplib_authenticates_by_itself(house: House):
    """AUTHENTICATE with a response that imaplib encodes itself."""

    def work() -> None:
        with imaplib.IMAP4("127.0.0.1", house.port) as client:
            client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
            assert client.select()[0] == "OK"

    await asyncio.to_thread(work)


async def test_imapclient(house: House):
    await asyncio.to_thread(_imapclient, house)


def _imapclient(house: House) -> None:
    with IMAPClient("127.0.0.1", house.port, ssl=False) as client:
        client.login(USER, PASSWORD)
        assert client.has_capability("MOVE")
        client.id_({"name": "test"})
        client.create_folder("Entwürfe & mehr")
        names = {name for _, _, name in client.list_folders()}
        assert "Entwürfe & mehr" in names
        assert client.find_special_folder(b"\\Trash") == "Trash"
        client.append("INBOX", MULTIPART, (SEEN, "$Work"), datetime(2026, 2, 1, 12, tzinfo=UTC))
        client.append("INBOX", SIMPLE)
        info = client.select_folder("INBOX")
        assert info[b"EXISTS"] == 2
        assert info[b"UIDNEXT"] == 3
        uids = client.search(["UNDELETED"])
        assert uids == [1, 2]
        assert client.search(["TEXT", "Grüße"], charset="UTF-8") == [1]
        data = client.fetch(uids, ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])
        assert data[1][b"ENVELOPE"].subject.startswith(b"=?utf-8?B?")
        assert data[1][b"BODYSTRUCTURE"].is_multipart
        assert data[1][b"FLAGS"] == (SEEN, b"$Work")
        assert data[2][b"BODY[HEADER.FIELDS (SUBJECT)]"] == b"Subject: Hello\r\n\r\n"
        client.add_flags([2], [FLAGGED])
        assert client.get_flags([2]) == {2: (FLAGGED,)}
        client.move([1], "Archive")
        client.add_flags([2], [DELETED])
        client.expunge()
        assert client.search() == []
        assert client.folder_status("Archive", ["MESSAGES", "HIGHESTMODSEQ"])[b"MESSAGES"] == 1
        client.rename_folder("Entwürfe & mehr", "Briefe")
        client.subscribe_folder("Briefe")
        client.unsubscribe_folder("Briefe")
        client.delete_folder("Briefe")
        client.unselect_folder()


async def test_imapclient_hears_new_mail_while_it_idles(house: House):
    def begin() -> IMAPClient:
        client = IMAPClient("127.0.0.1", house.port, ssl=False)
        client.login(USER, PASSWORD)
        client.select_folder("INBOX")
        client.idle()
        return client

    client = await asyncio.to_thread(begin)
    await house.put(SIMPLE)
    assert await asyncio.to_thread(client.idle_check, 5) == [(1, b"EXISTS")]

    def end() -> None:
        client.idle_done()
        client.logout()

    await asyncio.to_thread(end)


async def test_clients_share_a_mailbox(house: House):
    await asyncio.to_thread(_sharing, house)


def _sharing(house: House) -> None:
    theirs = '"Other Users/alice@example.test/Team"'
    with imaplib.IMAP4("127.0.0.1", house.port) as alice, IMAPClient("127.0.0.1", house.port, ssl=False) as bob:
        alice.login(USER, PASSWORD)
        bob.login("bob@example.test", PASSWORD)
        assert bob.namespace().other == (("Other Users/", "/"),)
        assert alice.create("Team")[0] == "OK"
        assert alice.setacl("Team", "bob@example.test", "lrsi")[0] == "OK"
        assert alice.getacl("Team") == ("OK", [b'Team alice@example.test "lrswipkxteacd" bob@example.test "lrsi"'])
        names = [name for _, _, name in bob.list_folders("Other Users/", "*")]
        assert names == [theirs.strip('"').rpartition("/")[0], theirs.strip('"')]
        bob.append(theirs.strip('"'), SIMPLE, (SEEN,))
        assert alice.append("Team", "", imaplib.Time2Internaldate(NOW), RFC3501)[0] == "OK"
        assert bob.select_folder(theirs.strip('"'))[b"EXISTS"] == 2
        assert bob.search("UNSEEN") == [2]
        assert bob.fetch([2], ["BODY[]"])[2][b"BODY[]"] == RFC3501
        assert bob.search("UNSEEN") == []
        assert alice.status("Team", "(UNSEEN)") == ("OK", [b"Team (UNSEEN 2)"])
        bob.copy([1, 2], "INBOX")
        assert bob.folder_status("INBOX", "MESSAGES") == {b"MESSAGES": 2}
        bob.select_folder("INBOX")
        assert alice.myrights("Team") == ("OK", [b"Team lrswipkxteacd"])
        assert alice.deleteacl("Team", "bob@example.test")[0] == "OK"
        assert bob.list_folders("Other Users/", "*") == []
