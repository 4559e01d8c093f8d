"""Plays the dialogues of `tests/dialogues/imap` over a socket against a real session, store and directory.

A file reads like the examples of the RFCs:

    # why, and which section                       a comment
    @ login                                        C logs in as alice (on 127.0.0.1, in the clear)
    @ deflate                                      C compresses from here on
    @ plain                                        C compresses no more
    @ impatient                                    the server tells of progress at every turn
    @ put simple [\\Seen $Label]                    a message of MESSAGES arrives in INBOX
    @ put simple into Projects                     the same in another mailbox of hers
    @ second                                       D logs in as alice, too
    @ other                                        D logs in as bob
    @ limit messages 3                             one command deals with no more (or: `limit saves`)
    @ provider                                     tokens of a provider are a login: {{good}} and {{late}}, {{old}} for XOAUTH2
    @ suspend bob                                  bob may log in no more
    @ later 3600                                   so many seconds pass
    C: a1 SELECT INBOX                             the client says (CRLF is added); D: the other client
    C> {5+}\\r\\nabc                                 the same with escapes and no CRLF of its own
    S: * 1 EXISTS                                  the server says; T: to the other client. `...` is anything, and so is
                                                   `{{name}}`, which a later C: line repeats by that name
    S* * OK [UNSEEN 1] ...                         one of the responses up to the next plain S:, in any order
    S! * LIST ...                                  none of the responses up to the next plain S: is like that
    S. closed                                      the server closes

Responses between are read over only where an S* or S! stands before the next S:.
"""

from __future__ import annotations

import base64
import re
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from postillon.directory.oauth import OAuthSettings, OAuthTokens
from postillon.model.mail import SYSTEM_FLAGS
from tests.peers.provider import Provider, oauthbearer, xoauth2

from .house import PASSWORD, Client, House
from .letters import MESSAGES

FOLDER = Path(__file__).parents[2] / "dialogues" / "imap"
FILES = sorted(FOLDER.glob("*.txt"))


def unescaped(text: str) -> bytes:
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def pattern(text: str) -> re.Pattern[bytes]:
    pieces = re.split(r"(\.\.\.|\{\{\w+\}\})", text)
    return re.compile(b"".join(map(_piece, pieces)), re.DOTALL)


def _piece(text: str) -> bytes:
    if text == "...":
        return b".*"
    if text.startswith("{{"):
        return b"(?P<%b>.+)" % text[2:-2].encode()
    return re.escape(unescaped(text))


@dataclass
class Expected:
    """S* and S! lines that wait for the next S:."""

    some: list[str] = field(default_factory=list)
    none: list[str] = field(default_factory=list)


class Player:
    def __init__(self, house: House, stack: ExitStack) -> None:
        self.house = house
        self.stack = stack
        self.clients: dict[str, Client] = {}
        self.expected = {"S": Expected(), "T": Expected()}
        self.kept: dict[str, str] = {}

    async def directive(self, words: list[str]) -> None:
        match words:
            case ["greeting"]:
                self.clients["C"] = await self.house.client(login=False)
            case ["login"]:
                self.clients["C"] = await self.house.client()
            case ["second"]:
                self.clients["D"] = await self.house.client()
            case ["other"]:
                self.clients["D"] = await self.house.client(login=False)
                await self.clients["D"].ok(f'LOGIN bob@example.test "{PASSWORD}"')
            case ["provider"]:
                self.provide_tokens()
            case ["suspend", name]:
                await self.house.directory.suspend(f"{name}@example.test")
            case ["later", seconds]:
                self.house.clock.at += int(seconds)
            case ["limit", "messages", count]:
                self.house.server.settings = replace(self.house.server.settings, message_limit=int(count))
            case ["limit", "saves", count]:
                self.house.server.settings = replace(self.house.server.settings, save_limit=int(count))
            case ["impatient"]:
                self.house.server.settings = replace(self.house.server.settings, progress_s=0)
            case ["plain"]:
                self.clients["C"].coded = None
            case ["deflate"]:
                self.clients["C"].deflate()
            case ["put", name, "into", mailbox]:
                await self.house.put(MESSAGES[name], mailbox=mailbox)
            case ["put", name, *flags]:
                found = [flag.strip("[]").encode() for flag in flags]
                bits = sum(SYSTEM_FLAGS[flag] for flag in found if flag in SYSTEM_FLAGS)
                keywords = tuple(flag for flag in found if flag not in SYSTEM_FLAGS)
                await self.house.put(MESSAGES[name], flags=bits, keywords=keywords)
            case _:
                raise AssertionError(f"unknown directive {words}")

    def provide_tokens(self) -> None:
        provider = self.stack.enter_context(Provider())
        settings = OAuthSettings(provider.issuer, "postillon", scope="imap")
        directory = self.house.directory
        directory._tokens = OAuthTokens(settings=settings, clock=self.house.clock, context=ssl.create_default_context())
        name = self.house.alice.name
        tokens = {
            "good": oauthbearer(name, provider.token(email=name)),
            "late": oauthbearer(name, provider.token(exp=1, email=name)),
        }
        tokens["old"] = xoauth2(name, provider.token("ES256", email=name))
        self.kept |= {word: base64.b64encode(message).decode() for word, message in tokens.items()}

    async def line(self, line: str) -> None:
        kind, text = line[:2], line[3:]
        if kind[0] in "CD":
            text = re.sub(r"\{\{(\w+)\}\}", lambda found: self.kept[found[1]], text)
        if kind == "@ ":
            await self.directive(line[2:].split())
        elif kind in ("C:", "D:"):
            self.clients[kind[0]].send(text.encode() + b"\r\n")
        elif kind in ("C>", "D>"):
            self.clients[kind[0]].send(unescaped(text))
        elif kind in ("S*", "T*"):
            self.expected[kind[0]].some.append(text)
        elif kind in ("S!", "T!"):
            self.expected[kind[0]].none.append(text)
        elif kind in ("S.", "T."):
            assert await self.client(kind).response() == b""
        else:
            assert kind in ("S:", "T:"), line
            await self.heard(kind, text)

    def client(self, kind: str) -> Client:
        return self.clients[{"S": "C", "T": "D"}[kind[0]]]

    async def heard(self, kind: str, text: str) -> None:
        expected, self.expected[kind[0]] = self.expected[kind[0]], Expected()
        wanted = pattern(text)
        if not expected.some and not expected.none:
            response = await self.client(kind).response()
            matched = wanted.fullmatch(response)
            assert matched, f"{response!r} is not {text!r}"
            self.kept |= {name: value.decode("latin-1") for name, value in matched.groupdict().items()}
            return
        found = []
        while not wanted.fullmatch(response := await self.client(kind).response()):
            assert response, f"{found} without {text!r}"
            found.append(response)
        for one in expected.some:
            assert any(pattern(one).fullmatch(response) for response in found), f"{one!r} is not in {found}"
        for one in expected.none:
            assert not any(pattern(one).fullmatch(response) for response in found), f"{one!r} is in {found}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_dialogue(path: Path, house: House) -> None:
    with ExitStack() as stack:
        player = Player(house, stack)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                await player.line(line)
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"{path.name}:{number}: {line}\n{error}") from error


def test_there_are_dialogues() -> None:
    assert len(FILES) >= 25
