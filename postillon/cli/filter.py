"""`postillon filter`: lists for everybody, training of the classifier, what it knows."""

from __future__ import annotations

import mailbox
from collections.abc import Iterator
from pathlib import Path

import click

from ..filters.stored import MOST, examined_again
from ..filters.tokens import VERSION, tokens
from .choices import _COLUMNS, _ENTRY
from .commands import Server, fail, on_server
from .policy import show, thresholds_of

STEP = 100


@click.group("filter")
def filter() -> None:  # noqa: A001  (the command's name)
    """What is thought of incoming mail, and what it learns."""


@filter.command("allow", short_help="Everybody wants mail of these, if it is proven theirs.", epilog=_ENTRY)
@click.argument("entries", nargs=-1, required=True)
@on_server
def filter_allow(server: Server, entries: tuple[str, ...]) -> None:
    """Everybody wants mail from ENTRIES, if it is proven to be from them."""
    server.show(server.ask("judging.set", entries=list(entries), verdict="allow"), _COLUMNS)


@filter.command("deny", epilog=_ENTRY)
@click.argument("entries", nargs=-1, required=True)
@on_server
def filter_deny(server: Server, entries: tuple[str, ...]) -> None:
    """Nobody wants mail from ENTRIES, unless he allows it himself."""
    server.show(server.ask("judging.set", entries=list(entries), verdict="deny"), _COLUMNS)


@filter.command("unlist")
@click.argument("entries", nargs=-1, required=True)
@on_server
def filter_unlist(server: Server, entries: tuple[str, ...]) -> None:
    """Undo `allow` or `deny`."""
    server.show(server.ask("judging.set", entries=list(entries), verdict=""), _COLUMNS)


@filter.command("lists")
@on_server
def filter_lists(server: Server) -> None:
    """Who is allowed and denied for everybody."""
    server.show(server.ask("judging.list"), _COLUMNS)


@filter.command("status")
@on_server
def filter_status(server: Server) -> None:
    """How many messages the classifier has learned, by whom."""
    server.show(server.ask("filter.status"), ("owner", "good", "junk"), "Nothing was learned yet.")


@filter.command("train", short_help="Learn messages as junk or as good.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--junk", "is_bad", flag_value=True, default=None, type=bool, help="The messages are unwanted.")
@click.option("--good", "is_bad", flag_value=False, type=bool, help="The messages are wanted.")
@click.option("--account", "address", metavar="ADDRESS", default="", help="Only this account learns; otherwise everybody.")
@on_server
def filter_train(server: Server, paths: tuple[Path, ...], is_bad: bool | None, address: str) -> None:
    """Learn the messages in PATHS: a Maildir, an mbox file, or files and folders of messages. Each time counts."""
    if is_bad is None:
        fail("say what the messages are: --junk or --good")
    count, batch = 0, []
    for path in paths:
        for octets in messages(path):
            batch.append(list(tokens(examined_again(octets))))
            if len(batch) == STEP:
                count += _teach(server, batch, is_bad, address)
                batch = []
    count += _teach(server, batch, is_bad, address)
    server.show({"learned": count, "as": "junk" if is_bad else "good"})


@filter.command("test", short_help="Ask the check in FILE about stored mail.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--account", "address", metavar="ADDRESS", default="", help="Only the mail of this account.")
@click.option("--count", type=click.IntRange(1, 5000), default=200, show_default=True, help="Latest messages of each mailbox.")
@on_server
def filter_test(server: Server, file: Path, address: str, count: int) -> None:
    """Ask the check in FILE about stored mail, in INBOX and Junk, and say what it would change. Changes nothing."""
    asked = {"path": str(file.resolve()), "hostname": server.config().hostname, "thresholds": thresholds_of(server)}
    result = server.ask("filter.test", address=address, count=count, **asked)
    show(server, result, ("account", "mailbox", "subject", "before", "after", "score", "findings"))
    if not server.as_json and result["failed"]:
        fail(f"it failed for {result['failed']} messages: {result['error']}")


def _teach(server: Server, batch: list[list[int]], is_bad: bool, address: str) -> int:
    if not batch:
        return 0
    learned: int = server.ask("filter.learn", messages=batch, is_bad=is_bad, version=VERSION, address=address)["learned"]
    return learned


def messages(path: Path) -> Iterator[bytes]:
    """The beginnings of the messages in *path*, at most MOST octets of each: a Maildir, an mbox file, files in folders."""
    if path.is_file():
        with open(path, "rb") as file:
            is_mbox = file.read(5) == b"From "
        if is_mbox:
            box = mailbox.mbox(path, create=False)
            for key in box.iterkeys():
                with box.get_file(key) as message:
                    yield _crlf(message.read(MOST))
            return
        with open(path, "rb") as file:
            yield _crlf(file.read(MOST))
        return
    for one in sorted(path.iterdir()):
        if not one.name.startswith((".", "dovecot")) and not one.is_symlink() and one.name != "tmp":
            yield from messages(one)


def _crlf(octets: bytes) -> bytes:
    return octets if b"\r\n" in octets[:1000] else octets.replace(b"\n", b"\r\n")
