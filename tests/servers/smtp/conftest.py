"""Every asynchronous test here runs on asyncio's loop and on uvloop; one certificate serves them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from postillon.net.certificates import make_ca, make_certificate
from postillon.net.tls import ServerTls


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    folder = tmp_path_factory.mktemp("tls")
    make_ca(folder)
    return ServerTls([make_certificate(folder, ["localhost", "127.0.0.1"])], "smtp")
