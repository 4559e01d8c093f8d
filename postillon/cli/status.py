"""`postillon status`."""

from __future__ import annotations

import click

from ..admin.client import NoAccess, NoServer, ask
from ..model.errors import Refusal
from .commands import Server, fail, on_server


@click.command()
@on_server
def status(server: Server) -> None:
    """What the server is doing. Ends with 3 when none runs."""
    try:
        server.show(ask(server.config().data, "status", {}))
    except NoServer as error:
        fail(str(error), 3)
    except NoAccess as error:
        fail(str(error))
    except Refusal as error:
        fail(error.text)
