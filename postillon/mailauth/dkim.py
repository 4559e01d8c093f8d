"""Verifying DKIM signatures (RFC 6376 §6, RFC 8301, RFC 8463)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass

from ..seams import Resolver
from . import dkim_field
from .content import Content
from .dkim_field import Signature
from .dkim_key import KeyTrouble, fetch, is_right
from .names import canonical, is_within
from .result import Result
from .tags import TagError

MAX_CONSIDERED = 50
"""Signature fields that are looked at, from the top."""
MAX_EVALUATED = 10
CLOCK_SKEW_S = 300


@dataclass(frozen=True, slots=True)
class Dkim:
    """The outcome for one signature."""

    result: Result
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    octets: str = ""
    """The beginning of the signature, to tell it from others (RFC 6008)."""
    reason: str = ""
    is_testing: bool = False
    """The key says that its domain is only trying; the result counts all the same (RFC 6376 §3.6.1)."""


Read = Signature | Dkim
"""A signature field that was understood, or what was wrong with it."""


def read(content: Content, authors: Sequence[str] = ()) -> list[Read]:
    """The signatures to evaluate: those that could speak for *authors* (domains) first, then from the top."""
    found: list[Read] = []
    for field in content.named(b"dkim-signature")[:MAX_CONSIDERED]:
        try:
            found.append(dkim_field.parse(field))
        except TagError as error:
            found.append(Dkim(Result.NEUTRAL, reason=f"bad signature field: {error}"))
    # Nobody must be able to push the signature that counts out of what is evaluated by putting others above it.
    found.sort(key=lambda one: not any(_may_speak(one.domain, author) for author in authors))
    return found[:MAX_EVALUATED]


def _may_speak(domain: str, author: str) -> bool:
    return bool(domain) and (is_within(domain, author) or is_within(author, domain))


async def evaluate(content: Content, signatures: Sequence[Read], resolver: Resolver, now: int) -> list[Dkim]:
    """Verify all of *signatures* (from `read`), keys fetched at the same time. *now*: epoch seconds."""
    await content.hash(one.body for one in signatures if isinstance(one, Signature))
    return list(await asyncio.gather(*(_outcome(content, one, resolver, now) for one in signatures)))


async def _outcome(content: Content, one: Read, resolver: Resolver, now: int) -> Dkim:
    if isinstance(one, Dkim):
        return one
    result, reason, is_testing = Result.PASS, "", False
    try:
        is_testing = await check(content, one, resolver, now)
    except KeyTrouble as trouble:
        result, reason = trouble.result, trouble.reason
    begin = base64.b64encode(one.octets[:6]).decode()
    return Dkim(result, one.domain, one.selector, one.identity, one.algorithm, begin, reason, is_testing)


async def check(content: Content, one: Signature, resolver: Resolver, now: int) -> bool:
    """Returns whether the key is marked as a test if the signature is good. Raises KeyTrouble with the result if not."""
    if one.algorithm == "rsa-sha1":
        raise KeyTrouble(Result.POLICY, "SHA-1 is not believed any more")  # RFC 8301 §3.1
    if b"from" not in one.headers:
        raise KeyTrouble(Result.PERMERROR, "the signature leaves From out")
    if one.expires is not None and one.expires + CLOCK_SKEW_S < now:
        raise KeyTrouble(Result.POLICY, "the signature has expired")
    key = await fetch(resolver, one.selector, one.domain)
    if key.hashes and "sha256" not in key.hashes:
        raise KeyTrouble(Result.PERMERROR, "the key is for another hash algorithm")
    if (key.bits == 256) is not (one.kind == "ed25519"):
        raise KeyTrouble(Result.PERMERROR, "the key is of another kind than the signature")
    if key.is_strict and one.identity and canonical(one.identity.rpartition("@")[2]) != one.domain:
        raise KeyTrouble(Result.PERMERROR, "the key is not for subdomains")
    digest = content.digests[one.body]
    if one.body.length is not None and one.body.length > digest.size:
        raise KeyTrouble(Result.FAIL, "the body is shorter than what was signed")
    if digest.octets != one.body_hash:
        raise KeyTrouble(Result.FAIL, "the body has changed")
    if not is_right(key.public, one.octets, one.signed(content.selected(one.headers, one.header_relaxed))):
        raise KeyTrouble(Result.FAIL, "the signature does not fit the header")
    if one.body.length is not None and one.body.length < digest.size:
        # Anything can be put behind the part that is signed, so this is no proof for anybody.
        raise KeyTrouble(Result.POLICY, f"only the first {one.body.length} octets of the body are signed")
    return key.is_testing
