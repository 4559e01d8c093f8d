"""Searches with the index: the same answers as without it, at every moment."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postillon.model.account import SERVER
from postillon.servers.imap.indexed import IndexedMailboxes
from postillon.storage.search.index import FileIndex
from postillon.workers.indexer import Indexer, IndexerSettings

from .house import House
from .letters import MESSAGES
from .test_searching import tree, write


@pytest.fixture
async def index(house: House, tmp_path: Path) -> AsyncIterator[FileIndex]:
    index = await FileIndex(str(tmp_path / "search.db"), house.clock.now, checkpoints=False).open()
    house.server.indexed = IndexedMailboxes(house.store, index)
    house.store.index = index
    yield index
    await index.close()


@pytest.fixture
def indexer(house: House, index: FileIndex) -> Indexer:
    return Indexer(house.store, index, IndexerSettings(batch=7, share=1, busy_pause_s=0))


async def found(client, text: str) -> list[int]:
    (answer,) = await client.ok(f"UID SEARCH CHARSET UTF-8 {text}".encode())
    return [int(uid) for uid in answer.split()[2:]]


@pytest.mark.parametrize("seed", range(4))
async def test_any_keys_find_what_they_mean_however_much_is_indexed(house: House, indexer: Indexer, seed: int):
    rng = random.Random(seed)
    letters = await write(house, rng, 40)
    client = await house.client(select="INBOX")
    for step in range(60):
        if step == 20:
            assert await indexer.catch_up() == 40
        if step == 40:
            letters += await write(house, rng, 10, first=41)
            await client.ok("NOOP")
        text, matches = tree(rng, len(letters), 3)
        assert await found(client, text) == [letter.uid for letter in letters if matches(letter)], text


async def test_parts_charsets_and_encoded_words_are_found(house: House, indexer: Indexer):
    await house.put(MESSAGES["multipart"])
    await house.put(
        b"Subject: =?koi8-r?B?8NLJ18XU?=\r\nContent-Type: text/plain; charset=iso-8859-5\r\n\r\n"
        + "Привет мир".encode("iso8859-5")
    )
    client = await house.client(select="INBOX")
    questions = {
        f"TEXT {literal('schöne grüße')}": [1],
        f"SUBJECT {literal('GRÜSSE')}": [1],
        f"SUBJECT {literal('grusse')}": [],
        f"BODY {literal('привет')}": [2],
        f"TEXT {literal('ПРИВЕТ')}": [2],
        f"SUBJECT {literal('в')}": [2],
        f"BODY {literal('м')}": [2],
        "BODY inner": [1],
        "BODY qqq": [],
        'TEXT "inner subject"': [1],
        'SUBJECT "inner subject"': [],
        'HEADER X-None ""': [],
        'HEADER SUBJECT ""': [1, 2],
        'TEXT "a b c d e f g h i j k l m n o p q r s t u v w x y z"': [],
        'BODY ""': [1, 2],
    }
    before = {text: await found(client, text) for text in questions}
    assert await indexer.catch_up() == 2
    after = {text: await found(client, text) for text in questions}
    assert before == after == questions


def literal(text: str) -> str:
    return f"{{{len(text.encode())}+}}\r\n{text}"


async def test_what_was_expunged_is_found_no_more_and_leaves_the_index(house: House, index: FileIndex, indexer: Indexer):
    await house.put(*[b"Subject: s%d\r\n\r\nneedle %d\r\n" % (n, n) for n in range(5)])
    await indexer.catch_up()
    client = await house.client(select="INBOX")
    assert await found(client, "BODY needle") == [1, 2, 3, 4, 5]
    await client.ok("UID STORE 2:3 +FLAGS (\\Deleted)")
    await client.ok("EXPUNGE")
    assert await found(client, "BODY needle") == [1, 4, 5]
    assert len(await index.sample(0, 100)) == 5
    house.clock.at += 1000
    while await house.store.clean():
        pass
    assert len(await index.sample(0, 100)) == 3


async def test_copies_are_found_without_being_read_again(house: House, index: FileIndex, indexer: Indexer):
    await house.put(b"Subject: one\r\n\r\nneedle\r\n")
    await indexer.catch_up()
    client = await house.client(select="INBOX")
    await client.ok("CREATE copies")
    await client.ok("COPY 1 copies")
    await client.ok("COPY 1 copies")
    await client.ok("SELECT copies")
    assert await found(client, "BODY needle") == [1, 2]
    assert await indexer.catch_up() == 0


async def test_a_message_with_too_much_text_is_read_itself(house: House, index: FileIndex):
    await house.put(b"Subject: large\r\n\r\n" + b"word " * 1000 + b"needle\r\n", b"Subject: small\r\n\r\nneedle\r\n")
    assert await Indexer(house.store, index, IndexerSettings(largest=1000, share=1, busy_pause_s=0)).catch_up() == 2
    client = await house.client(select="INBOX")
    assert await found(client, "BODY needle") == [1, 2]
    assert await found(client, "SUBJECT large") == [1]


@pytest.mark.parametrize("harm", ["gone", "damaged"])
async def test_an_index_that_is_lost_while_we_run_is_made_again(house: House, index: FileIndex, indexer: Indexer, harm: str):
    await house.put(*[b"Subject: s%d\r\n\r\nneedle %d\r\n" % (n, n) for n in range(50)])
    await indexer.catch_up()
    client = await house.client(select="INBOX")
    assert len(await found(client, "BODY needle")) == 50
    path = index._path
    if harm == "gone":
        for ending in ("", "-wal", "-shm"):
            if os.path.exists(path + ending):
                os.unlink(path + ending)
    else:
        await index.close()
        Path(path).write_bytes(b"not a database at all" * 1000)
    assert len(await found(client, "BODY needle")) == 50
    assert await found(client, "SUBJECT s7") == [8]
    for _ in range(3):
        await indexer.run_once()
    assert len(await index.sample(0, 100)) == 50
    assert len(await found(client, "BODY needle")) == 50


async def test_a_new_start_goes_on_where_the_index_was_left(house: House, index: FileIndex, indexer: Indexer):
    await house.put(*[b"Subject: s\r\n\r\nbody\r\n"] * 10)
    assert await indexer.catch_up() == 10
    await house.put(*[b"Subject: s\r\n\r\nbody\r\n"] * 3)
    again = await FileIndex(index._path, house.clock.now, checkpoints=False).open()
    assert await Indexer(house.store, again, IndexerSettings(share=1, busy_pause_s=0)).catch_up() == 3
    await again.close()


async def test_a_word_lost_by_the_janitor_is_made_good_by_the_walk(house: House, index: FileIndex, indexer: Indexer):
    uids = await house.put(*[b"Subject: s\r\n\r\nbody\r\n"] * 3)
    await indexer.catch_up()
    house.store.index = None
    box = await house.mailbox()
    await house.store.remove(SERVER, house.alice.id, box.id, uids[:2])
    house.clock.at += 1000
    while await house.store.clean():
        pass
    assert len(await index.sample(0, 10)) == 3
    await Indexer(house.store, index, IndexerSettings(share=1, busy_pause_s=0)).catch_up()
    assert len(await index.sample(0, 10)) == 1
