"""One server for most journeys (one in each process of the run), accounts of their own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..peers.postillon import Account, Postillon

NewAccount = Callable[..., Account]


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postillon]:
    """Two workers; it sends nothing elsewhere."""
    with Postillon(Path(tmp_path_factory.mktemp("office")) / "data", "--workers", "2") as running:
        yield running


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def new_account(office: Postillon, _numbers: Iterator[int]) -> NewAccount:
    """Makes an account that no other test knows."""

    def make(local: str = "", password: str = "", quota: int | None = None) -> Account:
        address = f"{local or 'p'}{next(_numbers)}@example.test"
        return office.add_account(address, password or "correct horse battery", quota)

    return make


@pytest.fixture
def alice(new_account: NewAccount) -> Account:
    return new_account("alice")


@pytest.fixture
def bob(new_account: NewAccount) -> Account:
    return new_account("bob")
