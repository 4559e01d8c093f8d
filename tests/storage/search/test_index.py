"""`seams.SearchIndex`, every kind: the same documents are found as by looking at all of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postillon.message.folding import fold
from postillon.model.ids import AccountId, EmailId, MailboxId
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.search.documents import Document, head_of
from postillon.storage.search.index import TextIndex
from tests.storage.conftest import Wakes, postgres

ALICE, BOB, INBOX = AccountId(7), AccountId(5), MailboxId(1)
LETTERS = "abAß é\n-\"'日本語%_"


async def breathe() -> None:
    return None


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TextIndex]:
    if request.param == "sqlite":
        index = TextIndex(SqliteDatabase(str(tmp_path / "search.db"), lambda topics: None, checkpoints=False).open())
    else:
        index = TextIndex(postgres(request, Wakes()))
    yield await index.open(0)
    await index.close()


def document(email: int, subject: str, text: str) -> Document:
    head = head_of(f"Subject: {subject}\r\nX-Other: more\r\n\r\n".encode())
    return Document(EmailId(email), head.encode(), fold(text).encode())


async def found(index: TextIndex, emails: dict[int, Document], where: str, needle: str) -> set[int]:
    known = await index.known(list(emails))
    by_document = {name: email for email, name in known.items() if name}
    among = set(by_document)
    if where == "body":
        names = await index.in_body(needle, among, breathe)
    elif where == "head":
        names = await index.in_head(needle, among, breathe)
    else:
        names = await index.in_field(where.encode(), needle, among, breathe)
    return {by_document[name] for name in names}


async def test_every_substring_is_found_and_nothing_else(index: TextIndex):
    rng = random.Random(1)

    def text(most: int) -> str:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, most)))

    emails = {n: document(n, text(12).replace("\n", " "), text(60)) for n in range(1, 120)}
    await index.add(ALICE, list(emails.values())[:60], INBOX, 60)
    await index.add(BOB, [document(999, "abab", "abab ababab")], INBOX, 1)
    await index.add(ALICE, list(emails.values())[60:], INBOX, 119)
    for _ in range(120):
        needle = fold(text(5)) or "a"
        octets = needle.encode()
        expected = {n for n, one in emails.items() if octets in one.body}
        assert await found(index, emails, "body", needle) == expected, needle
        expected = {n for n, one in emails.items() if octets in one.head}
        assert await found(index, emails, "head", needle) == expected, needle
        expected = {n for n, one in emails.items() if octets in one.head.split(b"\n")[1].removeprefix(b"subject: ")}
        assert await found(index, emails, "subject", needle) == expected, needle
    assert await found(index, emails, "subject", "") == set(emails)
    assert await found(index, emails, "x-none", "") == set()


async def test_adding_again_changes_nothing_and_marks_are_kept(index: TextIndex):
    one = document(1, "a", "text")
    await index.add(ALICE, [one], INBOX, 4)
    await index.add(ALICE, [one, document(2, "b", "text")], MailboxId(2), 9)
    assert await index.marks(ALICE) == {1: 4, 2: 9}
    assert await index.marks(BOB) == {}
    assert [email for _, email in await index.sample(0, 10)] == [1, 2]


async def test_what_is_removed_is_gone(index: TextIndex):
    emails = {n: document(n, "subject", "needle") for n in range(1, 5)}
    await index.add(ALICE, list(emails.values()), INBOX, 4)
    await index.remove([2, 3, 77])
    assert await found(index, emails, "body", "needle") == {1, 4}
    assert await found(index, emails, "subject", "ubj") == {1, 4}
    await index.add(ALICE, [emails[2]], INBOX, 4)
    assert await found(index, emails, "body", "needle") == {1, 2, 4}


async def test_a_nul_hides_nothing_behind_it(index: TextIndex):
    emails = {1: Document(EmailId(1), b"\nsubject: x", b"before\0behind")}
    await index.add(ALICE, list(emails.values()), INBOX, 1)
    assert await found(index, emails, "body", "behind") == {1}
    assert await found(index, emails, "body", "beforebehind") == set()


async def test_a_document_without_its_text_is_known_as_such(index: TextIndex):
    await index.add(ALICE, [Document(EmailId(1), b"", b"", whole=False), document(2, "a", "b")], INBOX, 2)
    known = await index.known([1, 2, 3])
    assert known.keys() == {1, 2} and known[1] == 0 and known[2] > 0
