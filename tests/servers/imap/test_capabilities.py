"""Whatever is advertised, in whichever state, is there: each capability has its dialogue, and its command works.

Before TLS, before login, after login, with IMAP4rev2, UTF8=ACCEPT and UIDONLY enabled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from postillon.net.listener import bind, serve
from postillon.net.tls import ServerTls
from postillon.servers.imap.service import ImapServer, ImapSettings

from .house import PASSWORD, Client, House
from .letters import MESSAGES

FOLDER = Path(__file__).parents[2] / "dialogues" / "imap"
URL = "imap://alice%40example.test@localhost/INBOX/;uid=1;urlauth=anonymous"

# capability -> a command that only works with it, and what one of its responses has in it; {} are sequence numbers or uids.
PROBES: dict[str, tuple[str, bytes]] = {
    "IMAP4rev1": ("UID FETCH 1 RFC822.SIZE", b"RFC822.SIZE"),
    "IMAP4rev2": ("ENABLE IMAP4rev2", b"* ENABLED"),
    "ID": ("ID NIL", b"* ID ("),
    "ENABLE": ("ENABLE CONDSTORE", b"* ENABLED"),
    "LITERAL+": ("STATUS {5+}\r\nINBOX (MESSAGES)", b"MESSAGES"),
    "NAMESPACE": ("NAMESPACE", b"* NAMESPACE (("),
    "CHILDREN": ('LIST "" *', b"Has"),
    "UIDPLUS": ("UID COPY 1 Drafts", b""),
    "MOVE": ("UID MOVE 2 Trash", b"COPYUID"),
    "MULTIAPPEND": ("APPEND Drafts {6+}\r\na: b\r\n {6+}\r\na: c\r\n", b""),
    "CATENATE": ('APPEND Drafts CATENATE (URL "/INBOX/;UID=1")', b""),
    "URLAUTH": (f'GENURLAUTH "{URL}" INTERNAL', b":internal:"),
    "URLAUTH=BINARY": ('URLFETCH ("imap://nobody@localhost/INBOX/;uid=1" BINARY)', b" NIL"),
    "BINARY": ("UID FETCH 1 BINARY.SIZE[1]", b"BINARY.SIZE[1] "),
    "ESEARCH": ("UID SEARCH RETURN (COUNT) ALL", b"COUNT"),
    "PARTIAL": ("UID SEARCH RETURN (PARTIAL -1:-1) ALL", b"PARTIAL (-1:-1"),
    "SEARCHRES": ("UID SEARCH RETURN (SAVE COUNT) ALL", b"COUNT"),
    "MULTISEARCH": ("ESEARCH IN (personal) RETURN (COUNT) ALL", b"MAILBOX INBOX UIDVALIDITY"),
    "WITHIN": ("UID SEARCH RETURN (COUNT) YOUNGER 100000000", b"COUNT"),
    "SEARCH=FUZZY": ("UID SEARCH RETURN (RELEVANCY) FUZZY SUBJECT meeting", b"RELEVANCY"),
    "SORT": ("UID SORT (ARRIVAL) UTF-8 ALL", b"* SORT"),
    "SORT=DISPLAY": ("UID SORT (DISPLAYFROM) UTF-8 ALL", b"* SORT"),
    "ESORT": ("UID SORT RETURN (MIN) (ARRIVAL) UTF-8 ALL", b"MIN"),
    "CONTEXT=SEARCH": ("UID SEARCH RETURN (UPDATE COUNT) ALL", b"COUNT"),
    "CONTEXT=SORT": ("UID SORT RETURN (UPDATE COUNT) (ARRIVAL) UTF-8 ALL", b"COUNT"),
    "THREAD=ORDEREDSUBJECT": ("UID THREAD ORDEREDSUBJECT UTF-8 ALL", b"* THREAD"),
    "THREAD=REFERENCES": ("UID THREAD REFERENCES UTF-8 ALL", b"* THREAD"),
    "I18NLEVEL=1": ('UID SEARCH RETURN (COUNT) SUBJECT "gRÜßE"', b"COUNT"),
    "LIST-EXTENDED": ('LIST (SUBSCRIBED) "" (INBOX Sent) RETURN (CHILDREN)', b""),
    "LIST-STATUS": ('LIST "" INBOX RETURN (STATUS (MESSAGES))', b"* STATUS INBOX"),
    "SPECIAL-USE": ('LIST "" * RETURN (SPECIAL-USE)', b"\\Drafts"),
    "CREATE-SPECIAL-USE": ("CREATE New", b""),
    "CONDSTORE": ("UID FETCH 1 (MODSEQ)", b"MODSEQ ("),
    "QRESYNC": ("ENABLE QRESYNC", b"* ENABLED"),
    "STATUS=SIZE": ("STATUS INBOX (SIZE)", b"SIZE "),
    "STATUS=DELETED": ("STATUS INBOX (DELETED)", b"DELETED "),
    "OBJECTID": ("UID FETCH 1 (EMAILID THREADID)", b"EMAILID (E"),
    "SAVEDATE": ("UID FETCH 1 (SAVEDATE)", b'SAVEDATE "'),
    "PREVIEW": ("UID FETCH 1 (PREVIEW)", b"PREVIEW "),
    "REPLACE": ("UID REPLACE 3 INBOX {6+}\r\na: r\r\n", b"APPENDUID"),
    "UTF8=ACCEPT": ("ENABLE UTF8=ACCEPT", b"* ENABLED"),
    "LANGUAGE": ("LANGUAGE", b"* LANGUAGE ("),
    "UIDBATCHES": ("UIDBATCHES 1000", b"* UIDBATCHES"),
    "QUOTA": ("GETQUOTAROOT INBOX", b"* QUOTA "),
    "QUOTA=RES-MAILBOX": ('GETQUOTA ""', b"MAILBOX "),
    "QUOTA=RES-STORAGE": ("GETQUOTAROOT INBOX", b"STORAGE "),
    "METADATA": ('SETMETADATA INBOX (/private/comment "x")', b""),
    "METADATA-SERVER": ('GETMETADATA "" /private/comment', b"* METADATA"),
    "LIST-METADATA": ('LIST "" INBOX RETURN (METADATA (/private/comment))', b"* METADATA"),
    "UIDONLY": ("ENABLE UIDONLY", b"* ENABLED"),
    "NOTIFY": ("NOTIFY SET (personal (MessageNew MessageExpunge))", b""),
    "ACL": ("GETACL INBOX", b"* ACL"),
    "RIGHTS=texk": ("MYRIGHTS INBOX", b"kxte"),
    "LIST-MYRIGHTS": ('LIST "" INBOX RETURN (MYRIGHTS)', b"* MYRIGHTS"),
    "APPENDLIMIT": ("STATUS INBOX (APPENDLIMIT)", b"APPENDLIMIT "),
    "SAVELIMIT": ("UID SEARCH UIDAFTER 1", b"SEARCH"),
    "UNSELECT": ("UNSELECT", b""),
}
ELSEWHERE = {
    "SASL-IR", "LITERAL-", "STARTTLS", "LOGINDISABLED", "AUTH",  # the states before login, below
    "IDLE", "INPROGRESS", "UNAUTHENTICATE", "COMPRESS=DEFLATE",  # take more than one command: their dialogues
}  # fmt: skip
DIALOGUES = {
    "SORT": "rfc5256_sort",
    "SORT=DISPLAY": "rfc5256_sort",
    "ESORT": "rfc5256_sort",
    "THREAD=ORDEREDSUBJECT": "rfc5256_thread",
    "THREAD=REFERENCES": "rfc5256_thread",
    "SEARCH=FUZZY": "rfc6203_fuzzy",
    "I18NLEVEL=1": "rfc5255_collation",
    "IMAP4rev1": "rfc9051_fetch",
    "IMAP4rev2": "rfc9051_select",
    "SASL-IR": "rfc4959_sasl_ir",
    "AUTH": "rfc4959_sasl_ir",
    "STARTTLS": "rfc9051_starttls",
    "ID": "rfc2971_id",
    "ENABLE": "rfc5161_enable",
    "LITERAL-": "rfc7888_literals",
    "LITERAL+": "rfc7888_literals",
    "IDLE": "rfc2177_idle",
    "NAMESPACE": "rfc9051_names",
    "UNSELECT": "rfc9051_select",
    "CHILDREN": "rfc5258_list_extended",
    "UIDPLUS": "rfc9051_append",
    "MOVE": "rfc9051_copy_move",
    "MULTIAPPEND": "rfc3502_multiappend",
    "BINARY": "rfc3516_binary",
    "ESEARCH": "rfc4731_esearch",
    "PARTIAL": "rfc4731_esearch",
    "SEARCHRES": "rfc5182_searchres",
    "WITHIN": "rfc5032_within",
    "LIST-EXTENDED": "rfc5258_list_extended",
    "LIST-STATUS": "rfc5258_list_extended",
    "SPECIAL-USE": "rfc5258_list_extended",
    "CREATE-SPECIAL-USE": "rfc5258_list_extended",
    "CONDSTORE": "rfc7162_condstore",
    "QRESYNC": "rfc7162_qresync",
    "STATUS=SIZE": "rfc9051_status",
    "STATUS=DELETED": "rfc9051_status",
    "OBJECTID": "rfc8474_objectid",
    "SAVEDATE": "rfc8474_objectid",
    "APPENDLIMIT": "rfc9051_append",
    "PREVIEW": "rfc8970_preview",
    "REPLACE": "rfc8508_replace",
    "UTF8=ACCEPT": "rfc9755_utf8",
    "LANGUAGE": "rfc5255_language",
    "UNAUTHENTICATE": "rfc8437_unauthenticate",
    "UIDBATCHES": "uidbatches",
    "QUOTA": "rfc9208_quota",
    "QUOTA=RES-STORAGE": "rfc9208_quota",
    "QUOTA=RES-MAILBOX": "rfc9208_quota",
    "COMPRESS=DEFLATE": "rfc4978_compress",
    "METADATA": "rfc5464_metadata",
    "METADATA-SERVER": "rfc5464_metadata",
    "LIST-METADATA": "rfc5464_metadata",
    "MULTISEARCH": "rfc7377_multisearch",
    "SAVELIMIT": "rfc9738_savelimit",
    "MESSAGELIMIT": "rfc9738_messagelimit",
    "CATENATE": "rfc4469_catenate",
    "CONTEXT=SEARCH": "rfc5267_context",
    "CONTEXT=SORT": "rfc5267_context",
    "URLAUTH": "rfc4467_urlauth",
    "URLAUTH=BINARY": "rfc4467_urlauth",
    "UIDONLY": "rfc9586_uidonly",
    "INPROGRESS": "rfc9585_inprogress",
    "NOTIFY": "rfc5465_notify",
    "ACL": "rfc4314_acl",
    "RIGHTS=texk": "rfc4314_other_users",
    "LIST-MYRIGHTS": "rfc8440_list_myrights",
}

LAST = ["UIDONLY", "UNSELECT"]
"""What changes the state comes at the end."""


def words_of(line: str | bytes) -> list[str]:
    text = line if isinstance(line, str) else line.decode()
    return text.partition("CAPABILITY ")[2].partition("]")[0].split()


def name_of(word: str) -> str:
    return word.partition("=")[0] if word.startswith(("AUTH=", "APPENDLIMIT=", "SAVELIMIT=", "MESSAGELIMIT=")) else word


async def after_login(house: House, *enabled: str) -> Client:
    await house.put(*[MESSAGES[name] for name in ("rfc3501", "multipart", "simple", "simple")])
    client = await house.client()
    for name in enabled:
        assert name.encode() in (await client.ok(f"ENABLE {name}"))[0]
    await client.ok("SELECT INBOX")
    return client


@pytest.mark.parametrize("enabled", [(), ("IMAP4rev2",), ("UTF8=ACCEPT",), ("QRESYNC",), ("UIDONLY",), ("IMAP4rev2", "UIDONLY")])
async def test_every_capability_works_in_every_state_after_login(house: House, enabled: tuple[str, ...]):
    client = await after_login(house, *enabled)
    said = [name_of(word) for word in words_of((await client.ok("CAPABILITY"))[0])]
    assert len(said) == len(set(said)) >= 60
    for name in sorted(said, key=lambda name: LAST.index(name) if name in LAST else -1):
        if name in ELSEWHERE:
            continue
        assert name in PROBES, f"{name} is advertised and nobody tries it"
        command, answer = PROBES[name]
        *lines, tagged = await client.command(command)
        assert tagged.startswith(b"OK"), (name, command, tagged)
        assert any(answer in line for line in [*lines, tagged]), (name, command, lines, tagged)


async def test_every_capability_has_its_dialogue_in_every_state(house: House):
    said: set[str] = set()
    for enabled in ((), ("IMAP4rev2",), ("UTF8=ACCEPT",), ("UIDONLY",)):
        client = await after_login(house, *enabled)
        said |= {name_of(word) for word in words_of((await client.ok("CAPABILITY"))[0])}
    for line in [(await house.client(login=False)).greeting, *[line async for line in before_login(house)]]:
        said |= {name_of(word) for word in words_of(line)}
    for name in said - {"LOGINDISABLED"}:
        assert (FOLDER / f"{DIALOGUES[name]}.txt").exists(), name
    assert {"STARTTLS", "LOGINDISABLED", "AUTH", "SASL-IR"} <= said
    assert said <= PROBES.keys() | ELSEWHERE


async def before_login(house: House) -> AsyncIterator[str]:
    """What a listener says that allows no login in the clear: before TLS, and after it."""
    settings = ImapSettings(name="localhost")
    server = ImapServer(
        store=house.store, directory=house.directory, bus=house.bus, clock=house.clock, session_id=lambda: "s",
        tls=ServerTls([(house.tmp / "tls" / "cert.pem", house.tmp / "tls" / "key.pem")], "imap"), settings=settings,
    )  # fmt: skip
    listener = await serve(bind("127.0.0.1", 0), server.session, tls=None)
    client = await house.client(login=False, port=listener.port)
    yield client.greeting
    await client.ok("STARTTLS")
    await client.start_tls(house.ca)
    yield (await client.ok("CAPABILITY"))[0].decode()
    await client.close()
    await listener.close(0)


async def test_before_tls_nobody_can_log_in_and_afterwards_everybody_can(house: House):
    clear, secure = [words_of(line) async for line in before_login(house)]
    assert "LOGINDISABLED" in clear and "STARTTLS" in clear and not any(word.startswith("AUTH=") for word in clear)
    assert "LOGINDISABLED" not in secure and "STARTTLS" not in secure
    assert {"AUTH=PLAIN", "AUTH=LOGIN", "AUTH=SCRAM-SHA-256"} <= set(secure)
    for words in (clear, secure):
        assert words[:2] == ["IMAP4rev1", "IMAP4rev2"] and "LITERAL-" in words and "LITERAL+" not in words
        assert not set(words) & {"IDLE", "SORT", "ACL", "CONDSTORE"}, "nothing that needs a login"


async def test_after_unauthenticate_it_is_as_before_login(house: House):
    client = await house.client()
    tagged = (await client.command("UNAUTHENTICATE"))[-1]
    assert words_of(tagged) == words_of((await house.client(login=False)).greeting)
    await client.ok(f'LOGIN bob@example.test "{PASSWORD}"')


async def test_a_limit_of_messages_takes_the_place_of_the_limit_of_saves(house: House):
    house.server.settings = replace(house.server.settings, message_limit=1000)
    said = words_of((await (await house.client()).ok("CAPABILITY"))[0])
    assert "MESSAGELIMIT=1000" in said and not any(word.startswith("SAVELIMIT") for word in said)
