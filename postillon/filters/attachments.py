"""Dangerous content: what is attached by its true type, what is packed in archives, and messages that can be read in two ways.

What follows is a rule for each kind of danger, of which a domain may have its own: tag (the score counts), junk, quarantine,
refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..message.part import Part
from ..message.structure import ENCODED_MESSAGE
from ..message.transfer import IDENTITY
from ..model.errors import Refusal, Unavailable
from ..model.ids import AccountId
from ..model.verdict import NO_OPINION, Finding, Opinion, finding
from . import ambiguity
from .archive import MAX_FILE, Budget
from .examined import Examined
from .filetype import Danger
from .inspection import MAX_FOUND, Found, inspect, uuencoded

ON_LOOP = 32 * 1024
"""Octets of attachments that are looked at on the event loop; more goes to a thread."""
AT_ONCE = 2
"""Messages with more than that, at the same time in one worker: each may unpack much."""


class Action(Enum):
    TAG = "tag"
    JUNK = "junk"
    QUARANTINE = "quarantine"
    REFUSE = "refuse"


_STRICTNESS = tuple(Action)

CODES: Mapping[Danger, tuple[str, float]] = {
    Danger.EXECUTABLE: ("attachment.executable", 8.0),
    Danger.SCRIPT: ("attachment.script", 0.5),
    Danger.ACTIVE: ("attachment.macro", 3.5),
    Danger.ENCRYPTED: ("attachment.encrypted", 2.0),
    Danger.BOMB: ("attachment.bomb", 6.0),
    Danger.SMUGGLING: ("attachment.smuggling", 6.0),
}
"""The finding of each danger, and its score."""
AMBIGUOUS = "mime.ambiguous"
_AMBIGUOUS_SCORE = 1.0
_MAX_AMBIGUOUS = 4
"""Phrases that count; more of them prove no more."""
_HARMLESS = frozenset(
    (
        "bare LF in the header",
        "MIME without MIME-Version",
        "comment in a MIME field",
        "last delimiter is missing",
        "multipart is encoded",
        "boundary begins another line",
        "multipart without parts",
        "line in the header that is no field",
        "unknown transfer encoding",
        "to occurs twice",
        "cc occurs twice",
        "reply-to occurs twice",
        "folded line without text",
        "names with different endings",
    )
)
"""What honest but careless programs write: told, with a tenth of the score."""


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """What is done about each danger."""

    executables: Action = Action.REFUSE
    scripts: Action = Action.TAG
    macros: Action = Action.TAG
    encrypted: Action = Action.TAG
    bombs: Action = Action.QUARANTINE
    smuggling: Action = Action.QUARANTINE
    ambiguous: Action = Action.TAG

    def action(self, code: str) -> Action:
        """By the code of a finding."""
        action: Action = getattr(self, _RULES[code])
        return action


_RULES = {code: danger.value for danger, (code, _) in CODES.items()} | {AMBIGUOUS: "ambiguous"}


@dataclass(frozen=True, slots=True)
class ContentSettings:
    policy: ContentPolicy = ContentPolicy()
    domains: Mapping[str, ContentPolicy] = field(default_factory=dict)
    """By the recipient's domain, where it has its own."""


class Attachments:
    name = "attachments"
    is_local = True

    def __init__(self, settings: ContentSettings | None = None, *, wait_s: float = 5.0) -> None:
        """*wait_s*: how long a message waits for others that are looked at; then it is put off."""
        self._settings = settings or ContentSettings()
        self._wait_s = wait_s
        self._room = asyncio.Semaphore(AT_ONCE)

    async def examine(self, examined: Examined) -> Opinion:
        size = sum(part.size for part in examined.leaves if _is_file(part))
        if size <= ON_LOOP and len(examined.octets) <= 2 * ON_LOOP:
            findings = look(examined)
        else:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._room.acquire()
            except TimeoutError:
                # Going on unseen would be a way around the check: a flood of archives, and then what it is to hide.
                busy = Unavailable("Too many attachments are being looked at; try again later", detail=self.name)
                return Opinion((finding("attachment.busy"),), busy)
            try:
                findings = await asyncio.to_thread(look, examined)
            finally:
                self._room.release()
        return self._opinion(examined, findings) if findings else NO_OPINION

    def _opinion(self, examined: Examined, findings: list[Finding]) -> Opinion:
        stated: list[tuple[AccountId | None, Opinion]] = []
        if self._settings.domains:
            for one in examined.incoming.accepted:
                policy = self._settings.domains.get(one.recipient.address.domain)
                if policy is not None:
                    wanted = wish(policy, findings)
                    stated += [(account, wanted) for account in one.accounts]
                    stated += [(None, wanted)] if one.remote else []
        common = wish(self._settings.policy, findings)
        return Opinion(tuple(findings), common.refusal, common.junk, common.quarantine, stated=tuple(stated))


def wish(policy: ContentPolicy, findings: list[Finding]) -> Opinion:
    """What *policy* says about a message with *findings*; only the wishes of the opinion count."""
    worst = max(findings, key=lambda one: _STRICTNESS.index(policy.action(one.code)))
    action = policy.action(worst.code)
    if action is Action.REFUSE:
        return Opinion(refusal=_refusal(worst))
    return Opinion(junk=action is Action.JUNK, quarantine=action is Action.QUARANTINE)


def _refusal(worst: Finding) -> Refusal:
    if worst.code == AMBIGUOUS:
        return Refusal(f"The message can be read in two ways: {worst.fact('what')}", status="5.6.0", code=554)
    name = "".join(char if " " <= char <= "~" else "?" for char in worst.fact("name"))
    return Refusal(f"Not accepted here: {worst.fact('what')} ({name[:100]})", status="5.7.1", detail=worst.code)


def _ambiguous(examined: Examined) -> list[Finding]:
    """The weighty ones first."""
    survey = examined.survey
    phrases = dict.fromkeys(survey.ambiguities)
    phrases |= dict.fromkeys(ambiguity.in_header(examined.header, examined.content.by_name, bool(survey.part.children)))
    phrases |= dict.fromkeys(ambiguity.in_parts(examined.octets, examined.leaves))
    told = sorted(phrases, key=lambda phrase: phrase in _HARMLESS)[:_MAX_AMBIGUOUS]
    return [
        finding(AMBIGUOUS, _AMBIGUOUS_SCORE / 10 if phrase in _HARMLESS else _AMBIGUOUS_SCORE, what=phrase) for phrase in told
    ]


def look(examined: Examined) -> list[Finding]:
    """The findings about a message, each danger and file once; the first one of a danger has the whole score."""
    seen: dict[Danger, int] = {}
    findings = []
    for found in _found(examined):
        code, score = CODES[found.danger]
        seen[found.danger] = count = seen.get(found.danger, 0) + 1
        if count <= 3:
            findings.append(finding(code, score if count == 1 else 0.0, what=found.what, name=found.name))
        if sum(seen.values()) >= MAX_FOUND:
            break
    return findings + _ambiguous(examined)


def _found(examined: Examined) -> Iterator[Found]:
    budget = Budget(len(examined.octets))
    known: set[Found] = set()
    for part in (*examined.leaves, *_encoded_messages(examined)):
        for found in _in_part(examined, part, budget):
            if found not in known:
                known.add(found)
                yield found


def _encoded_messages(examined: Examined) -> list[Part]:
    """Embedded messages in a transfer encoding, which is forbidden: their parts are not in the tree, some programs show them."""
    if ENCODED_MESSAGE not in examined.survey.ambiguities:
        return []
    found, work = [], [examined.structure]
    while work:
        part = work.pop()
        if part.message is not None:
            if part.encoding not in IDENTITY:
                found.append(part)
            work.append(part.message)
        work += part.children
    return found


def _in_part(examined: Examined, part: Part, budget: Budget) -> Iterator[Found]:
    if not _is_file(part):
        octets = examined.octets
        if octets.find(b"begin ", part.body_start, part.body_end) >= 0 and part.encoding in (b"7bit", b"8bit", b"binary"):
            for name, data in uuencoded(bytes(octets[part.body_start : part.body_end])):
                yield from inspect(name, data, budget)
        return
    names = ambiguity.names_of(part) or [_default_name(part)]
    data = examined.decoded(part, MAX_FILE)
    for number, name in enumerate(names[:4]):
        if number == 0:
            yield from inspect(name, data, budget)
        else:  # the same octets under another name
            yield from inspect(name, data[:ON_LOOP], Budget(len(data)))


def _is_file(part: Part) -> bool:
    """Not a plain text to be read. HTML is looked at, whether it is shown or attached."""
    if part.type != b"text" or part.subtype == b"html":
        return True
    return part.disposition == b"attachment" or any(key.startswith((b"name", b"filename")) for key, _ in _all_params(part))


def _all_params(part: Part) -> Iterator[tuple[bytes, bytes]]:
    yield from part.params
    yield from part.disposition_params


def _default_name(part: Part) -> str:
    if part.type == b"message":  # one that is encoded: its parts are not in the tree
        return "message.eml"
    return f"{part.type.decode('latin-1')}/{part.subtype.decode('latin-1')}".replace("/", "-")[:60]
