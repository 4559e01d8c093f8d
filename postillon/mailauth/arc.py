"""ARC (RFC 8617): the chain of seals that forwarders put on a message, verified; and a seal of our own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from ..message.header import Field
from ..seams import Resolver
from . import authres, dkim_field
from .canonical import Chunks, Wanted, digests, relaxed_field
from .content import Content
from .dkim_field import Signature, text_of, without_signature
from .dkim_key import KeyTrouble, fetch, is_right
from .dkim_sign import SIGNED, WANTED, SigningKey, folded_base64, folded_names
from .names import canonical
from .result import Result
from .tags import TagError, decode_base64, number, parse_tags

MAX_INSTANCE = 50
RESULTS, SIGNATURE, SEAL = b"ARC-Authentication-Results", b"ARC-Message-Signature", b"ARC-Seal"


@dataclass(frozen=True, slots=True)
class Seal:
    field: Field
    algorithm: str
    domain: str
    selector: str
    chain: str
    """`cv=`: what this sealer thought of the chain before it."""
    octets: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """What one forwarder added."""

    results: Field
    signature: Signature
    seal: Seal


@dataclass(frozen=True, slots=True)
class Arc:
    """The outcome for the chain; *links* from the first forwarder to the last, if they could be read."""

    result: Result
    links: tuple[Link, ...] = ()
    reason: str = ""

    @property
    def sealers(self) -> tuple[str, ...]:
        return tuple(link.seal.domain for link in self.links)

    def said(self, number_of: int) -> str:
        """The results that link *number_of* (from 0) wrote down, unfolded."""
        value = self.links[number_of].results.value.decode("utf-8", "replace")
        return " ".join(value.split())


def read(content: Content) -> Arc:
    """The chain as it stands, not verified: NONE, FAIL (badly built), or NEUTRAL with its links (RFC 8617 §5.2, steps 1 to 3)."""
    named = [content.named(name.lower()) for name in (RESULTS, SIGNATURE, SEAL)]
    if not any(named):
        return Arc(Result.NONE)
    count = len(named[2])
    if count > MAX_INSTANCE or any(len(fields) != count for fields in named):
        return Arc(Result.FAIL, reason="the sets of ARC fields are not complete")
    try:
        results, signatures, seals = ({_instance(field): field for field in fields} for fields in named)
        if not set(results) == set(signatures) == set(seals) == set(range(1, count + 1)):
            return Arc(Result.FAIL, reason="the sets of ARC fields are not complete")
        links = tuple(
            Link(results[at], dkim_field.parse(signatures[at], is_arc=True), _seal(seals[at])) for at in range(1, count + 1)
        )
    except TagError as error:
        return Arc(Result.FAIL, reason=f"bad ARC field: {error}")
    if any(link.seal.chain != ("pass" if at else "none") for at, link in enumerate(links)):
        return Arc(Result.FAIL, links, "a forwarder found the chain broken")
    if any(b"arc-seal" in link.signature.headers for link in links):
        return Arc(Result.FAIL, links, "a signature covers seals")
    return Arc(Result.NEUTRAL, links)


def _instance(field: Field) -> int:
    first, _, _ = text_of(field).partition(";")
    if field.name.lower() != RESULTS.lower():
        return number(parse_tags(text_of(field)).get("i", ""))
    name, _, value = first.partition("=")
    if name.strip() != "i":
        raise TagError("no instance")
    return number(value.strip())


def _seal(field: Field) -> Seal:
    tags = parse_tags(text_of(field))
    for name in ("a", "b", "cv", "d", "i", "s"):
        if not tags.get(name):
            raise TagError(f"tag {name} is missing")
    domain, selector = canonical(tags["d"]), canonical(tags["s"])
    if domain is None or selector is None or "h" in tags:
        raise TagError("bad seal")
    if tags["a"].lower() not in ("rsa-sha256", "ed25519-sha256"):
        raise TagError("unknown algorithm")
    return Seal(field, tags["a"].lower(), domain, selector, tags["cv"].lower(), decode_base64(tags["b"]))


def wanted(chain: Arc) -> list[Wanted]:
    """Body hashes that `evaluate` needs."""
    return [chain.links[-1].signature.body] if chain.result is Result.NEUTRAL else []


async def evaluate(content: Content, chain: Arc, resolver: Resolver) -> Arc:
    """Verify what `read` found (steps 4 to 6): the last signature, and every seal."""
    if chain.result is not Result.NEUTRAL:
        return chain
    await content.hash(wanted(chain))
    found = await asyncio.gather(
        _checked(_check_signature(content, chain.links[-1].signature, resolver)),
        *(_checked(_check_seal(content, chain.links[: at + 1], resolver)) for at in range(len(chain.links))),
    )
    troubles = [one for one in found if one is not None]
    if not troubles:
        return Arc(Result.PASS, chain.links)
    first = next((one for one in troubles if one.result is not Result.TEMPERROR), troubles[0])
    return Arc(Result.TEMPERROR if first.result is Result.TEMPERROR else Result.FAIL, chain.links, first.reason)


async def _checked(checking: Awaitable[None]) -> KeyTrouble | None:
    try:
        await checking
    except KeyTrouble as trouble:
        return trouble
    return None


async def _check_signature(content: Content, one: Signature, resolver: Resolver) -> None:
    if one.algorithm == "rsa-sha1":
        raise KeyTrouble(Result.FAIL, "SHA-1 is not believed any more")
    key = await fetch(resolver, one.selector, one.domain)
    digest = content.digests[one.body]
    if digest.octets != one.body_hash or one.body.length is not None:
        raise KeyTrouble(Result.FAIL, "the body has changed since the last forwarder")
    if (key.bits == 256) is not (one.kind == "ed25519"):
        raise KeyTrouble(Result.FAIL, "the key is of another kind than the signature")
    if not is_right(key.public, one.octets, one.signed(content.selected(one.headers, one.header_relaxed))):
        raise KeyTrouble(Result.FAIL, "the header has changed since the last forwarder")


async def _check_seal(content: Content, links: Sequence[Link], resolver: Resolver) -> None:
    seal = links[-1].seal
    key = await fetch(resolver, seal.selector, seal.domain)
    if (key.bits == 256) is not seal.algorithm.startswith("ed25519"):
        raise KeyTrouble(Result.FAIL, "the key is of another kind than the seal")
    if not is_right(key.public, seal.octets, _sealed(content, links)):
        raise KeyTrouble(Result.FAIL, f"seal {len(links)} does not fit")


def _sealed(content: Content, links: Sequence[Link]) -> bytes:
    """What the last of *links* sealed (§5.1.1)."""
    pieces = []
    for link in links:
        pieces += [content.canonical(link.results, True), content.canonical(link.signature.field, True)]
        if link is not links[-1]:
            pieces.append(content.canonical(link.seal.field, True))
    field = links[-1].seal.field
    return b"".join([*pieces, relaxed_field(field.name, without_signature(field.value))])


def seal(
    header: bytes, chunks: Chunks, key: SigningKey, now: int, chain: Arc, authserv_id: str, outcomes: Sequence[authres.Outcome]
) -> bytes:
    """The three fields of our link, with CRLF, to be put before *header*; empty if nothing can be added (§5.1).

    *chain* is what `evaluate` found on arrival, *outcomes* what our own checks did. Blocks for an RSA signature's time, twice.
    """
    instance = len(chain.links) + 1
    if instance > MAX_INSTANCE or (chain.result is not Result.NONE and chain.result is not Result.PASS):
        return b""
    content = Content(header, chunks)
    results = f" i={instance}; {authres.text(authserv_id, outcomes)}".encode("ascii", "replace")
    body_hash = digests(chunks(), [WANTED])[WANTED].octets
    names = [name.lower() for name in (*SIGNED, b"DKIM-Signature") for _ in content.named(name.lower())[:20]]
    signing = f" i={instance}; a={key.algorithm}; c=relaxed/relaxed;\r\n\td={key.domain}; s={key.selector}; t={now};\r\n\t"
    signing += "\r\n\t".join([*folded_names(names), f"bh={base64.b64encode(body_hash).decode()};", "b="])
    data = b"".join([*content.selected(names, True), relaxed_field(SIGNATURE, signing.encode())])
    signature = (signing + folded_base64(key.sign(data))).encode()
    chain_was = "pass" if chain.links else "none"
    sealing = f" i={instance}; a={key.algorithm}; cv={chain_was}; d={key.domain}; s={key.selector}; t={now};\r\n\tb="
    before = [
        # Not by `content`: these fields were read from the header as it came, where their offsets were others.
        relaxed_field(field.name, field.value) + b"\r\n"
        for link in chain.links
        for field in (link.results, link.signature.field, link.seal.field)
    ]
    own = [relaxed_field(RESULTS, results), relaxed_field(SIGNATURE, signature), relaxed_field(SEAL, sealing.encode())]
    octets = (sealing + folded_base64(key.sign(b"".join(before) + b"\r\n".join(own)))).encode()
    return b"".join(name + b":" + value + b"\r\n" for name, value in ((SEAL, octets), (SIGNATURE, signature), (RESULTS, results)))
