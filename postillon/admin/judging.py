"""The administrator's operations of the judgement of mail: choices, lists, what was learned. They register themselves."""

from __future__ import annotations

import math
from typing import Any

from ..filters.tokens import VERSION
from ..filters.words import LANGUAGES
from ..model.choice import Choice, Listed, PatternError, pattern
from ..model.errors import NotFound, Refusal
from ..model.ids import AccountId
from ..storage.knowledge import EVERYBODY, Knowledge, Learn
from .tools import Tools, operation

MOST = 1000
"""Entries of one list that one command may name, and messages that one step may teach."""


def _knowledge(tools: Tools) -> Knowledge:
    return Knowledge(tools.store.database, tools.clock)


async def _owner(tools: Tools, address: str) -> AccountId:
    """The account of *address*; everybody where it is empty."""
    return (await tools.directory.find_account(address)).id if address else EVERYBODY


def _pattern(text: str) -> str:
    try:
        return pattern(text)
    except PatternError as error:
        raise Refusal(str(error), status="5.5.4") from error


@operation("judging.list")
async def judging_list(tools: Tools, address: str = "") -> list[dict[str, Any]]:
    """Whom the account, or everybody, always or never wants to hear from."""
    found = await _knowledge(tools).listed(await _owner(tools, address))
    return [{"entry": entry, "verdict": verdict.name.lower()} for entry, verdict in found]


@operation("judging.set")
async def judging_set(tools: Tools, entries: list[str], verdict: str, address: str = "") -> list[dict[str, Any]]:
    """*verdict* is `allow`, `deny`, or empty to take the entries off the list."""
    owner, knowledge = await _owner(tools, address), _knowledge(tools)
    wanted = Listed[verdict.upper()] if verdict else None
    for entry in [_pattern(text) for text in entries[:MOST]]:
        if not await knowledge.set_listed(owner, entry, wanted):
            raise NotFound(f"{entry} is not on the list")
    return await judging_list(tools, address)  # type: ignore[no-any-return]


def _choice(address: str, choice: Choice) -> dict[str, Any]:
    return {
        "address": address,
        "tag": choice.tag,
        "junk": choice.junk,
        "refuse": choice.refuse,
        "language": choice.language or LANGUAGES[0],
    }


@operation("judging.choice")
async def judging_choice(tools: Tools, address: str) -> dict[str, Any]:
    """What the account has chosen; null where it goes by the configuration."""
    account = await tools.directory.find_account(address)
    return _choice(account.name, await _knowledge(tools).choice(account.id))


@operation("judging.choose")
async def judging_choose(
    tools: Tools,
    address: str,
    tag: float | None = None,
    junk: float | None = None,
    refuse: float | None = None,
    language: str | None = None,
    reset: bool = False,
) -> dict[str, Any]:
    """Change what is given; with *reset* the other thresholds are as configured again."""
    account, knowledge = await tools.directory.find_account(address), _knowledge(tools)
    before = await knowledge.choice(account.id)
    if reset:
        before = Choice(language=before.language)
    if not all(math.isfinite(score) and abs(score) < 1000 for score in (tag, junk, refuse) if score is not None):
        raise Refusal("A threshold is a number between -1000 and 1000", status="5.5.4")
    if language is not None and language not in LANGUAGES:
        raise Refusal(f"There are no sentences in {language!r}; known are {', '.join(LANGUAGES)}", status="5.5.4")
    choice = Choice(
        before.tag if tag is None else tag,
        before.junk if junk is None else junk,
        before.refuse if refuse is None else refuse,
        before.language if language is None else language,
    )
    await knowledge.choose(account.id, choice)
    return _choice(account.name, choice)


@operation("filter.learn")
async def filter_learn(tools: Tools, messages: list[list[int]], is_bad: bool, version: int, address: str = "") -> dict[str, int]:
    """Teach the tokens of *messages*, made in the way *version*."""
    if version != VERSION:
        raise Refusal("The running server makes tokens in another way than this program: restart it", status="5.5.4")
    owner = await _owner(tools, address)
    await _knowledge(tools).learn([Learn(owner, tuple(tokens), is_bad) for tokens in messages[:MOST]])
    return {"learned": len(messages[:MOST])}


@operation("filter.status")
async def filter_status(tools: Tools) -> list[dict[str, Any]]:
    """How many messages were learned, by whom."""
    found = []
    for owner, good, bad in await _knowledge(tools).totals():
        try:
            name = (await tools.directory.account(AccountId(owner))).name if owner else "everybody"
        except NotFound:
            name = f"removed account {owner:x}"
        found.append({"owner": name, "good": good, "junk": bad})
    return found
