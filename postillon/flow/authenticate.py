"""Who sent it: what the checks of `mailauth` found becomes a header field and a vote on what is to be done.

Only DMARC refuses or files as junk: the domain in From says itself what it wants done with mail that it did not send. SPF or
DKIM alone prove too little, and trouble with DNS is never held against a message.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..mailauth import arc
from ..mailauth.content import Content
from ..mailauth.dkim_sign import SigningKey
from ..mailauth.dmarc_record import Policy
from ..mailauth.evaluate import MAX_AUTHOR_DOMAINS, Verdict, evaluate, field_of, outcomes, passed_by
from ..message.incoming import Incoming
from ..model.address import Address
from ..model.errors import Refusal
from ..model.plan import Body
from ..seams import Resolver
from .plan import Vote, Wish

CHUNK = 256 * 1024

KeysOf = Callable[[str], Sequence[SigningKey]]
"""The keys that sign for a domain now; none if it has none."""


@dataclass(frozen=True, slots=True)
class AuthenticationSettings:
    enforce: bool = True
    """Do what the author's domain asks for (DMARC); False: only write down what was found."""
    trusted_sealers: tuple[str, ...] = ()
    """Domains of forwarders whose ARC seals are believed when they say that DMARC passed there."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What the checks found, and what follows from it alone."""

    vote: Vote
    why: str
    """In a few words, for the log."""
    field: bytes
    """Authentication-Results, to be put before the message."""
    verdict: Verdict


class Authenticator:
    """For messages at the MX. *hostname* is our authserv-id."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        hostname: str,
        settings: AuthenticationSettings | None = None,
        keys: KeysOf | None = None,
    ) -> None:
        """*keys* seal what is handed on, see `seal`."""
        self._resolver = resolver
        self._keys = keys
        self._hostname = hostname
        self._settings = settings or AuthenticationSettings()

    async def authenticate(self, incoming: Incoming, content: Content) -> Authenticated:
        """All checks of *incoming*, whose header is *content*'s. Takes 20 seconds at most."""
        client, sender = incoming.client, incoming.envelope.sender
        verdict = await evaluate(
            content,
            client=client.address,
            helo=client.hello,
            mail_from=_unquoted(sender) if sender else "",
            resolver=self._resolver,
            receiver=self._hostname,
            now=incoming.at,
            lot=_lot(incoming.body),
        )
        vote, why = self._vote(verdict)
        return Authenticated(vote, why, field_of(verdict, client.address, self._hostname), verdict)

    async def seal(self, incoming: Incoming, header: bytes, kept: bytes | None, verdict: Verdict) -> bytes:
        """ARC fields (RFC 8617) that vouch, towards where *incoming* is handed on, for what we found; maybe none.

        *header* is as it was received, *kept* what is left of it if fields were left out.

        The seal is of the domain whose address leads elsewhere, if it has an RSA key.
        """
        domains = dict.fromkeys(one.recipient.address.domain for one in incoming.accepted if one.remote)
        keys = [key for domain in domains for key in (self._keys(domain) if self._keys else ())]
        key = next((key for key in keys if key.algorithm == "rsa-sha256"), None)
        if key is None:
            return b""
        return await asyncio.to_thread(
            arc.seal,
            header if kept is None else kept,
            body_chunks(incoming.body, len(header)),
            key,
            incoming.at,
            verdict.arc,
            self._hostname,
            outcomes(verdict, incoming.client.address),
        )

    def _vote(self, verdict: Verdict) -> tuple[Vote, str]:
        """What is to be done, and why in a few words for the log."""
        if not self._settings.enforce:
            return Vote(Wish.FILE), "not enforced"
        authors = verdict.authors
        if authors.fields > 1:
            # RFC 5322 §3.6: there is one. Which of several a reader sees is anybody's guess, and so is whom it was checked for.
            return _refused("The message has more than one From field"), "several From fields"
        forwarder = passed_by(verdict, self._settings.trusted_sealers)
        if verdict.policy is not Policy.NONE and forwarder:
            return Vote(Wish.FILE), f"vouched for by {forwarder}"
        if verdict.policy is Policy.REJECT:
            domain = next(one.domain for one in verdict.dmarc if one.applied is Policy.REJECT)
            return _refused(f"{domain} wants mail refused that it did not send (DMARC): neither SPF nor DKIM proves it"), "DMARC"
        if verdict.policy is Policy.QUARANTINE:
            return Vote(Wish.JUNK), "DMARC"
        if authors.is_bad or len(authors.domains) > MAX_AUTHOR_DOMAINS:
            return Vote(Wish.JUNK), "From cannot be judged"
        return Vote(Wish.FILE), ""


def _refused(text: str) -> Vote:
    return Vote(Wish.REFUSE_SPAM, Refusal(text, status="5.7.1"))


def _unquoted(address: Address) -> str:
    return f"{address.local}@{address.domain}"


def _lot(body: Body) -> int:
    """0 to 99 for DMARC's `pct`: drawn by the message, so that it draws the same when it is sent again."""
    return int.from_bytes(hashlib.sha256(body.sha256 + b"pct").digest()[:4], "big") % 100


def body_chunks(body: Body, start: int) -> Callable[[], Iterable[bytes]]:
    """The octets of *body* from *start* on, as often as they are wanted."""
    if body.data is not None:
        data = body.data[start:]
        return lambda: [data]
    return lambda: _read(body.path, start)


def _read(path: str, start: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        while chunk := file.read(CHUNK):
            yield chunk
