"""What happens once before any worker runs: the schema, old leases, certificates, and what the developer mode wishes for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Any

from ..cli.generate import generated
from ..config import Config
from ..directory.administration import canonical_address
from ..log import Log
from ..model.errors import AlreadyExists, NotFound, Refusal
from ..net.certificates import make_ca, make_certificate
from ..storage.db import side_schema
from ..storage.db.migrate import migrate
from ..storage.db.sqlite import SqliteDatabase
from ..storage.space import Space
from ..supervisor.lifeline import Lifeline, Spec, Wishes
from ..supervisor.privileges import PrivilegeError, confine, drop
from .data import SECRET, DataError, Layout, Opened, opened
from .remembered import Remembered, remember, remembered

log = Log("prepare")


def prepare() -> int:
    """The preparing child's main function; its exit status."""
    line = Lifeline()
    spec = line.spec()
    os.umask(0o077)
    try:
        drop(spec.config.user, spec.config.group)
        confine(spec.supervisor)
        line.tell(**asyncio.run(_prepare(spec)))
    except (DataError, PrivilegeError, OSError, ValueError) as error:
        line.tell(error=str(error))
        return 1
    except Refusal as error:
        line.tell(error=error.detail or error.text)
        return 1
    return 0


async def _prepare(spec: Spec) -> dict[str, Any]:
    layout = Layout(Path(spec.config.data))
    layout.make(must_be_private=spec.config.development is None)
    Space(str(layout.root)).begin()
    await make_schema(layout)
    for name in os.listdir(layout.spool):  # bodies whose commit never came
        os.unlink(os.path.join(layout.spool, name))
    async with opened(spec.config, instance=spec.instance, checkpoints=False) as data:
        freed = await data.store.void_all()
        if freed:
            log.info("leases and locks of the former run are void", count=freed)
        accounts = await _fulfil(data, spec.wishes) if spec.wishes else []
    make_own_certificate(spec.config, layout, spec.wishes.domains if spec.wishes else ())
    return {"accounts": accounts, "ca": str(layout.root / "ca.pem")}


async def make_schema(layout: Layout) -> None:
    """Bring both databases to the schema that this program knows, and make the installation's secret. Raises ValueError."""
    now = int(time.time())
    mail = SqliteDatabase(layout.mail, lambda topics: None, checkpoints=False).open()
    side = SqliteDatabase(layout.side, lambda topics: None, readers=1, checkpoints=False).open()
    try:
        await migrate(mail, now)
        await migrate(side, now, side_schema)
        secret = secrets.token_bytes(32)
        sql = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
        await mail.write(lambda tx: tx.run(sql, SECRET.encode(), secret))
    finally:
        await side.close()
        await mail.close()


def make_own_certificate(config: Config, layout: Layout, domains: tuple[str, ...] = ()) -> None:
    """A certificate of our own authority, where no other is configured."""
    if config.tls.certificate:
        return
    names = [config.hostname, *domains]
    if config.development is not None:
        names = ["localhost", "127.0.0.1", "::1", *domains, config.hostname, *_addresses(config)]
    make_ca(layout.root)
    make_certificate(layout.root, list(dict.fromkeys(names)))


def _addresses(config: Config) -> list[str]:
    """The IP addresses we listen on by name of the address."""
    return [address for address in config.listen.addresses if address.replace(".", "").isdigit() or ":" in address]


# --- the developer mode's wishes ----------------------------------------------------------------------------------------


async def _fulfil(data: Opened, wishes: Wishes) -> list[dict[str, str]]:
    """Domains and accounts exist afterwards, with these passwords; all accounts with their passwords, those asked for first."""
    known = remembered(data.layout.root)
    for domain in wishes.domains:
        with contextlib.suppress(AlreadyExists):
            await data.directory.create_domain(domain)
    wanted = {str(canonical_address(address)): password for address, password in wishes.accounts}
    if wishes.default_accounts:
        for local in ("alice", "bob"):
            address = f"{local}@{wishes.domains[0]}"
            wanted.setdefault(address, known.accounts.get(address, (generated(), 0))[0])
    for addresses in _rounds(list(wanted)):
        await asyncio.gather(*(_ensure(data, address, wanted[address], known) for address in addresses))
    for address in list(known.accounts):
        if address not in wanted and not await _is_current(data, address, known):
            del known.accounts[address]
    known.domains = list(dict.fromkeys([*wishes.domains, *known.domains]))
    remember(data.layout.root, known)
    told = {**wanted, **{address: entry[0] for address, entry in known.accounts.items()}}
    return [{"address": address, "password": password} for address, password in told.items()]


def _rounds(addresses: list[str]) -> list[list[str]]:
    """Which accounts are made at a time: the first of each domain by itself and in order, since the oldest account gets
    postmaster's mail, the others four at a time, as many as the pool of password threads takes.
    """
    firsts = {address.rpartition("@")[2]: address for address in reversed(addresses)}.values()
    others = [address for address in addresses if address not in firsts]
    return [*([address] for address in addresses if address in firsts), *(others[at : at + 4] for at in range(0, len(others), 4))]


async def _ensure(data: Opened, address: str, password: str, known: Remembered) -> None:
    if known.accounts.get(address, ("", 0))[0] == password and await _is_current(data, address, known):
        return  # no hash is computed at a restart
    await data.directory.ensure_account(address, password)
    account = await data.directory.find_account(address)
    known.accounts[address] = (password, account.credential_version)


async def _is_current(data: Opened, address: str, known: Remembered) -> bool:
    try:
        account = await data.directory.find_account(address)
    except NotFound:
        return False
    return account.credential_version == known.accounts[address][1]
