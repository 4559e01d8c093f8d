"""What an administrator may ask: one table, name → function (`tools.OPERATIONS`). Results are JSON values. Raises Refusal."""

from __future__ import annotations

import base64
import ipaddress
import os
import time
from collections import Counter
from typing import Any

from .. import __version__
from ..flow.removal import remove
from ..model.account import Account
from ..model.address import AddressError, parse_domain
from ..model.errors import NotFound, Refusal, Unavailable
from ..model.queue import QueueState, QueueView
from ..model.record import Record, Stage
from ..relay.replies import cause_of_answer
from ..relay.smarthost import via
from ..seams import QUEUE_TOPIC
from ..storage.db.check import quick_check
from ..storage.store import Chosen
from ..storage.store.quarantine import Quarantine
from . import dkim as dkim
from . import dns as dns
from . import dry_run as dry_run
from . import imap as imap
from . import judging as judging
from . import probing as probing
from . import protection as protection
from . import quarantine as quarantine
from . import reports as reports
from . import sending as sending
from . import sharing as sharing
from . import traces
from . import why as why
from .header import header
from .look import check_look
from .tools import OPERATIONS, Tools, queue_number
from .tools import operation as _operation

PAGE = 500
DUMP_STEP = 1 << 20
"""Octets of a message in one answer."""
MAX_DAYS = 1000
"""So far back records are looked for."""


async def perform(tools: Tools, operation: str, arguments: dict[str, Any]) -> Any:
    """One operation. Raises Refusal; TypeError for arguments that it does not have."""
    function = OPERATIONS.get(operation)
    if function is None:
        raise NotFound(f"There is no operation {operation!r}")
    return await function(tools, **arguments)


# --- domains ------------------------------------------------------------------------------------------------------------


@_operation("domain.add")
async def domain_add(tools: Tools, name: str, alias_of: str = "", catch_all: str = "") -> None:
    await tools.directory.create_domain(name, alias_of=alias_of or None)
    if catch_all:
        await tools.directory.set_catch_all(name, catch_all)


@_operation("domain.catch_all")
async def domain_catch_all(tools: Tools, name: str, catch_all: str = "") -> None:
    await tools.directory.set_catch_all(name, catch_all or None)


@_operation("domain.list")
async def domain_list(tools: Tools) -> list[dict[str, Any]]:
    found = []
    for view in await tools.directory.domains():
        count = len(await tools.directory.accounts(view.name))
        found.append({"name": view.name, "accounts": count, "alias_of": view.alias_of, "catch_all": view.catch_all})
    return found


@_operation("domain.remove")
async def domain_remove(tools: Tools, name: str) -> None:
    await tools.directory.remove_domain(name)


# --- accounts -----------------------------------------------------------------------------------------------------------


def _account(account: Account) -> dict[str, Any]:
    return {"address": account.name, "state": account.state.name.lower(), "used": account.used, "quota": account.quota}


@_operation("account.add")
async def account_add(
    tools: Tools, address: str, password: str | None = None, imported_hash: str | None = None, quota: int | None = None
) -> dict[str, Any]:
    await check_look(tools, address)
    return _account(await tools.directory.create_account(address, password, imported_hash=imported_hash, quota=quota))


@_operation("account.look")
async def account_look(tools: Tools, address: str) -> None:
    """Whether `account.add` would take the address, so that nobody thinks of a password in vain."""
    await check_look(tools, address)
    await tools.directory.check_new_account(address)


@_operation("account.list")
async def account_list(tools: Tools, domain: str = "") -> list[dict[str, Any]]:
    return [_account(account) for account in await tools.directory.accounts(domain or None)]


@_operation("account.show")
async def account_show(tools: Tools, address: str) -> dict[str, Any]:
    return _account(await tools.directory.find_account(address))


@_operation("account.remove")
async def account_remove(tools: Tools, address: str) -> None:
    await tools.directory.remove_account(address)


@_operation("account.password")
async def account_password(
    tools: Tools, address: str, password: str | None = None, imported_hash: str | None = None
) -> dict[str, Any]:
    await tools.directory.set_password(address, password, imported_hash=imported_hash)
    return {"address": address}


@_operation("account.quota")
async def account_quota(tools: Tools, address: str, quota: int) -> dict[str, Any]:
    await tools.directory.set_quota(address, quota)
    return await account_show(tools, address)  # type: ignore[no-any-return]


@_operation("account.suspend")
async def account_suspend(tools: Tools, address: str) -> dict[str, Any]:
    await tools.directory.suspend(address)
    return await account_show(tools, address)  # type: ignore[no-any-return]


@_operation("account.resume")
async def account_resume(tools: Tools, address: str) -> dict[str, Any]:
    await tools.directory.resume(address)
    return await account_show(tools, address)  # type: ignore[no-any-return]


# --- aliases ------------------------------------------------------------------------------------------------------------


async def _targets(tools: Tools, address: str) -> list[str] | None:
    """What an alias leads to now; None if there is none."""
    rows = await tools.directory.aliases()
    wanted = address.strip().casefold()
    return next((list(row.targets) for row in rows if row.key == wanted), None)


@_operation("alias.add")
async def alias_add(tools: Tools, address: str, targets: list[str]) -> None:
    before = await _targets(tools, address)
    if before is None:
        await check_look(tools, address)
        await tools.directory.create_alias(address, targets)
    else:
        await tools.directory.set_targets(address, [*before, *targets])


@_operation("alias.list")
async def alias_list(tools: Tools) -> list[dict[str, Any]]:
    return [{"address": row.key, "targets": list(row.targets)} for row in await tools.directory.aliases()]


@_operation("alias.remove")
async def alias_remove(tools: Tools, address: str, targets: list[str] | None = None) -> None:
    before = await _targets(tools, address)
    left = [target for target in before or [] if target not in (targets or [])]
    if targets and left:
        await tools.directory.set_targets(address, left)
    else:
        await tools.directory.remove_alias(address)


# --- the queue ----------------------------------------------------------------------------------------------------------


def queue_name(queue_id: int) -> str:
    """A queue id as people see it."""
    return f"{queue_id:x}"


def _row(view: QueueView) -> dict[str, Any]:
    return {
        "id": queue_name(view.queue_id),
        "number": view.number,
        "sender": view.sender or "<>",
        "recipient": view.recipient,
        "destination": view.destination,
        "state": view.state.name.lower(),
        "size": view.size,
        "made_at": view.made_at,
        "due": view.due,
        "expires": view.expires,
        "attempts": view.attempts,
        "last_answer": view.last_answer,
        "cause": cause_of_answer(view.last_answer).value,
    }


async def _views(tools: Tools) -> list[QueueView]:
    """All that waits, by message."""
    found: list[QueueView] = []
    after = 0
    while page := await tools.store.queue_views(None, after, PAGE):
        after = page[-1].queue_id
        if len(page) == PAGE:  # the page may end in the middle of a message with many recipients
            page = [view for view in page if view.queue_id != after] + await tools.store.queue_views(after)
        found += page
    return found


@_operation("queue.list")
async def queue_list(tools: Tools) -> list[dict[str, Any]]:
    return [_row(view) for view in await _views(tools)]


@_operation("queue.show")
async def queue_show(tools: Tools, id: str) -> dict[str, Any]:  # noqa: A002
    views = await tools.store.queue_views(queue_number(id))
    if not views:
        raise NotFound(f"Nothing is queued as {id}")
    history = await trace(tools, id, limit=1)
    return {
        "id": id,
        "recipients": [_row(view) for view in views],
        "history": history[0]["records"] if history else [],
        "header": await header(tools.store, await tools.store.queue_octets(queue_number(id))),
    }


async def _each(tools: Tools, ids: list[str], everything: bool) -> list[int]:
    if everything:
        return sorted({int(view.queue_id) for view in await _views(tools)})
    return [queue_number(name) for name in ids]


def _found(count: int, ids: list[str]) -> dict[str, int]:
    if not count and ids:
        raise NotFound(f"Nothing is queued as {', '.join(ids)}")
    return {"recipients": count}


def _chosen(ids: list[str], everything: bool, destination: str) -> list[Chosen]:
    if destination:
        return [Chosen(destination=destination)]
    return [Chosen()] if everything else [Chosen(queue_number(name)) for name in ids]


async def _note(tools: Tools, ids: list[str], stage: Stage, detail: str = "") -> None:
    """Write down what is done to messages that are named; of all, or of a destination, it would be too much."""
    for name in ids:
        await tools.store.note_queued(queue_number(name), Record(stage, tools.clock.now(), {"detail": detail} if detail else {}))


def _changed(tools: Tools, counts: list[int], ids: list[str]) -> dict[str, int]:
    tools.bus.publish([QUEUE_TOPIC])
    return _found(sum(counts), ids)


@_operation("queue.totals")
async def queue_totals(tools: Tools) -> list[dict[str, Any]]:
    """By destination and state; the last answer, attempts and age are those of the recipient that is due next."""
    return [
        {
            "destination": total.destination,
            "state": total.state.name.lower(),
            "recipients": total.count,
            "due": total.due,
            "made_at": total.made_at,
            "attempts": total.attempts,
            "cause": cause_of_answer(total.last_answer).value,
            "last_answer": total.last_answer,
        }
        for total in await tools.store.queue_totals()
    ]


@_operation("queue.retry")
async def queue_retry(tools: Tools, ids: list[str], everything: bool = False, destination: str = "") -> dict[str, int]:
    now = tools.clock.now()
    await _note(tools, ids, Stage.RESCHEDULED, "to now")
    return _changed(tools, [await tools.store.queue_due(each, now) for each in _chosen(ids, everything, destination)], ids)


@_operation("queue.reschedule")
async def queue_reschedule(
    tools: Tools, ids: list[str], seconds: int, everything: bool = False, destination: str = ""
) -> dict[str, int]:
    """The next attempt comes in *seconds*."""
    due = tools.clock.now() + max(seconds, 0)
    await _note(tools, ids, Stage.RESCHEDULED, f"to {max(seconds, 0)} seconds later")
    return _changed(tools, [await tools.store.queue_due(each, due) for each in _chosen(ids, everything, destination)], ids)


@_operation("queue.reroute")
async def queue_reroute(
    tools: Tools, ids: list[str], host: str = "", port: int = 25, everything: bool = False, destination: str = ""
) -> dict[str, int]:
    """By *host* from now on, or, without one, by the recipients' own domains again."""
    target = via(_host(host), port) if host else ""
    await _note(tools, ids, Stage.REROUTED, f"by {host} port {port}" if host else "by the recipients' domains")
    chosen = _chosen(ids, everything, destination)
    return _changed(tools, [await tools.store.queue_reroute(each, target) for each in chosen], ids)


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    try:
        return parse_domain(text)
    except AddressError as error:
        raise Refusal(f"{text!r} is no host: {error}", status="5.5.4") from error


@_operation("queue.dump")
async def queue_dump(tools: Tools, id: str, start: int = 0) -> dict[str, Any]:  # noqa: A002
    """The octets of a queued message as it would be sent, from *start* on, a piece at a time, in base64."""
    rope = await tools.store.queue_octets(queue_number(id))
    stop = min(rope.size, max(start, 0) + DUMP_STEP)
    octets = await tools.store.read_octets(rope, max(start, 0), stop) if start < rope.size else b""
    return {"size": rope.size, "next": stop, "octets": base64.b64encode(octets).decode("ascii")}


@_operation("queue.drop")
async def queue_drop(
    tools: Tools, ids: list[str], everything: bool = False, report: bool = False, words: str = ""
) -> dict[str, int]:
    """Remove; with *report* the senders are told that delivery failed, and *words* as the reason."""
    if report:
        if tools.reporter is None:
            raise Unavailable("The server must run to write reports")
        words = "".join(char if char.isprintable() else " " for char in words)[:500]
        return _found(
            sum([await remove(tools.store, tools.reporter, each, words) for each in await _each(tools, ids, everything)]), ids
        )
    await _note(tools, ids, Stage.DROPPED, "without a report to its sender")
    return _found(sum([await tools.store.queue_drop(each) for each in await _each(tools, ids, everything)]), ids)


async def _set_state(tools: Tools, chosen: list[Chosen], ids: list[str], state: QueueState) -> dict[str, int]:
    await _note(tools, ids, Stage.HELD if state is QueueState.HELD else Stage.RELEASED)
    return _changed(tools, [await tools.store.queue_state(each, state) for each in chosen], ids)


@_operation("queue.hold")
async def queue_hold(tools: Tools, ids: list[str], everything: bool = False, destination: str = "") -> dict[str, int]:
    return await _set_state(tools, _chosen(ids, everything, destination), ids, QueueState.HELD)


@_operation("queue.release")
async def queue_release(tools: Tools, ids: list[str], everything: bool = False, destination: str = "") -> dict[str, int]:
    return await _set_state(tools, _chosen(ids, everything, destination), ids, QueueState.WAITING)


# --- what became of messages --------------------------------------------------------------------------------------------


@_operation("trace")
async def trace(tools: Tools, name: str, since: int = 0, until: int = 0, limit: int = 20) -> list[dict[str, Any]]:
    """The ways of the messages that *name* names, with refusals; times are epoch seconds."""
    last = until or tools.clock.now() + 60
    earliest = last - MAX_DAYS * 86400
    return await traces.trace(tools.directory, tools.store, name, max(since, earliest), last, limit)


# --- the server ---------------------------------------------------------------------------------------------------------


@_operation("check")
async def check(tools: Tools) -> list[str]:
    """What is wrong with the database; reads all of it."""
    return await quick_check(tools.store.database)


@_operation("status")
async def status(tools: Tools) -> dict[str, Any]:
    """The server as a whole: connections are those of all workers, a second ago."""
    views = await tools.directory.domains()
    accounts = await tools.directory.accounts()
    now = tools.clock.now()
    due = await tools.store.next_due()
    place = os.statvfs(tools.data)
    working = tools.working()
    connections = sum((Counter(worker.connections) for worker in working), Counter[str]())
    return {
        "version": __version__,
        "worker_pid": os.getpid(),
        "worker_up_s": now - tools.started,
        "workers": len(working),
        "domains": len(views),
        "accounts": len(accounts),
        "mail_octets": sum(account.used for account in accounts),
        "queued": await tools.store.queue_size(),
        "in_quarantine": (await Quarantine(tools.store).total())[0],
        "next_attempt_s": None if due is None else max(0, due - now),
        "disk_free_octets": place.f_bavail * place.f_frsize,
        "connections": [f"{service} {count}" for service, count in connections.items() if count],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
    }
