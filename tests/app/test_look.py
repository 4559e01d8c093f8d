"""Addresses that nobody could tell apart are not made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.admin.operations import perform
from postillon.model.account import SERVER
from postillon.model.errors import AlreadyExists
from postillon.storage.knowledge import Counts, Knowledge, Learn, Met
from tests.flow.conftest import Office, office, table

from .test_why import _EMPTY

__all__ = ["SERVER", "office", "table"]


@pytest.mark.parametrize("address", ["аlice@example.test", "alicé@example.test", "ａlice@example.test"])
async def test_a_look_alike_of_an_account_is_refused(office: Office, address: str):
    tools = replace(_EMPTY, directory=office.directory, store=office.store, clock=office.clock)
    for operation, more in (("account.add", {"password": "x" * 12}), ("alias.add", {"targets": ["bob@example.test"]})):
        with pytest.raises(AlreadyExists):
            await perform(tools, operation, {"address": address, **more})


async def test_names_that_look_like_nobody_are_made(office: Office):
    tools = replace(_EMPTY, directory=office.directory, store=office.store, clock=office.clock)
    await perform(tools, "account.add", {"address": "jörg@example.test", "password": "x" * 12})
    await perform(tools, "account.add", {"address": "a1ice@example.test", "password": "x" * 12})


async def test_what_a_removed_account_knew_is_forgotten(office: Office):
    knowledge = Knowledge(office.store.database, office.clock)
    await knowledge.learn([Learn(office.alice, tuple(range(2500)), True), Learn(office.bob, (1,), True)])
    await knowledge.note([Met(office.alice, "x@y.test", wrote=1), Met(office.bob, "x@y.test", wrote=1)], {})
    await office.directory.remove_account("alice@example.test")
    office.clock.at += 1000
    while await office.store.clean():
        pass
    assert await knowledge.tokens([office.alice, office.bob], [1]) == {office.bob: Counts(0, 1, {1: (0, 1)})}
    assert await knowledge.writes_to([office.alice, office.bob], ["y.test"]) == {(office.bob, "y.test")}
