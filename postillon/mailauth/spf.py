"""SPF (RFC 7208): may this host send with this domain in its envelope? Everything of the RFC, within its limits.

Ten terms that ask DNS, two empty answers, ten names of an MX or PTR answer (§4.6.4); more is a permanent error. One evaluation
asks one question at a time, in the record's order.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ..model.ip import Ip, ip_of
from ..seams import Answer, Resolver
from . import spf_macro as macro
from .names import is_within
from .result import Result
from .spf_macro import MacroError, Piece
from .spf_record import Mechanism, Record, RecordError, is_spf, parse

MAX_TERMS = 10
MAX_VOID = 2
MAX_NAMES = 10
MAX_EXPLANATION = 500
DEFAULT_EXPLANATION = ""
PTR_S = 5.0
"""Seconds for the client's own names, all together: their DNS is in the hands of whoever connects."""


@dataclass(frozen=True, slots=True)
class Spf:
    """The outcome for one identity."""

    result: Result
    domain: str = ""
    """The domain that was checked; empty if there was none."""
    is_helo: bool = False
    """The identity was the EHLO name, since the reverse-path was null (RFC 7208 §2.4)."""
    explanation: str = ""
    """What the domain wants its forged senders to be told, ASCII without control characters; only with FAIL."""
    reason: str = ""
    """What was wrong, or which mechanism matched."""


class _End(Exception):
    """The evaluation ends with an error."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


async def evaluate(client: str, helo: str, mail_from: str, resolver: Resolver, *, receiver: str = "unknown", now: int = 0) -> Spf:
    """May *client* (IP address) send as *mail_from* (`local@domain`, unquoted; empty: the null reverse-path, then as *helo*)?

    *receiver* is our host name and *now* epoch seconds, for explanations. Raises ValueError if *client* is no address.
    """
    address = ip_of(client.partition("%")[0])
    identity = mail_from or f"postmaster@{helo}"
    local, _, domain = identity.rpartition("@")
    check = _Check(address, helo, local or "postmaster", domain.lower().removesuffix("."), resolver, receiver, now)
    is_helo = not mail_from
    if not _is_checkable(check.domain):
        return Spf(Result.NONE, check.domain if domain.isascii() else "", is_helo, reason="no domain to check")
    try:
        result, reason = await check.host(check.domain)
    except _End as end:
        return Spf(end.result, check.domain, is_helo, reason=end.reason)
    return Spf(result, check.domain, is_helo, check.explanation if result is Result.FAIL else "", reason)


def _is_checkable(domain: str) -> bool:
    """RFC 7208 §4.3: a name of two labels or more that DNS can hold."""
    labels = domain.split(".")
    if len(labels) < 2 or len(domain) > macro.MAX_NAME or not domain.isascii() or domain.startswith("["):
        return False
    return all(0 < len(label) <= 63 for label in labels) and not labels[-1].isdigit()


class _Check:
    """One check_host() with all that it includes and redirects to."""

    def __init__(self, client: Ip, helo: str, local: str, domain: str, resolver: Resolver, receiver: str, now: int) -> None:
        self.client = client
        self.domain = domain
        self.explanation = DEFAULT_EXPLANATION
        self._number = int(client)
        self._is_4 = client.version == 4
        self._local = local
        self._resolver = resolver
        self._terms = 0
        self._voids = 0
        self._validated: list[str] | None = None
        text = client.compressed if self._is_4 else ".".join(client.exploded.replace(":", "").upper())
        self._values = {
            "s": f"{local}@{domain}",
            "l": local,
            "o": domain,
            "i": text,
            "h": helo,
            "v": "in-addr" if self._is_4 else "ip6",
            "c": client.compressed,
            "r": receiver,
            "t": str(now),
        }

    async def host(self, domain: str, is_included: bool = False) -> tuple[Result, str]:
        """check_host() of *domain* (§4): result and which mechanism it came from. Raises _End."""
        record = await self._record(domain)
        if record is None:
            return Result.NONE, "no SPF record"
        for mechanism in record.mechanisms:
            if await self._matches(mechanism, domain):
                if mechanism.result is Result.FAIL and not is_included:
                    await self._explain(record, domain)
                return mechanism.result, f"{mechanism.name} of {domain}"
        if record.redirect:
            return await self._redirect(record, domain, is_included)
        return Result.NEUTRAL, f"nothing of {domain} matches"

    async def _record(self, domain: str) -> Record | None:
        """§4.4, §4.5."""
        answer = await self._resolver.txt(domain)
        _check(answer)
        texts = [text for text in answer.records if is_spf(text)]
        if len(texts) > 1:
            raise _End(Result.PERMERROR, f"{domain} has more than one SPF record")
        if not texts:
            return None
        try:
            return parse(texts[0])
        except RecordError as error:
            raise _End(Result.PERMERROR, f"SPF record of {domain}: {error}") from error

    async def _redirect(self, record: Record, domain: str, is_included: bool) -> tuple[Result, str]:
        """§6.1."""
        self._count()
        target = await self._expanded(record.redirect, domain)
        result, reason = await self.host(target, is_included) if _is_name(target) else (Result.NONE, "")
        if result is Result.NONE:
            raise _End(Result.PERMERROR, f"{domain} redirects to {target[:100]}, which has no SPF record")
        return result, reason

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise _End(Result.PERMERROR, f"more than {MAX_TERMS} terms that ask DNS")

    def _count_void(self, answer: Answer) -> None:
        """§4.6.4: names that do not exist and answers without records."""
        if not answer.records:
            self._voids += 1
            if self._voids > MAX_VOID:
                raise _End(Result.PERMERROR, f"more than {MAX_VOID} empty answers")

    async def _matches(self, mechanism: Mechanism, domain: str) -> bool:
        """§5. Raises _End."""
        if mechanism.network is not None:
            return self._is_in(*mechanism.network)
        if mechanism.name == "all":
            return True
        self._count()
        target = await self._expanded(mechanism.domain, domain) if mechanism.domain else domain
        if mechanism.name == "include":
            return await self._included(target)
        if not _is_name(target):
            return False
        if mechanism.name == "a":
            return await self._has_address(target, mechanism)
        if mechanism.name == "mx":
            return await self._has_mx(target, mechanism)
        if mechanism.name == "ptr":
            return any(is_within(name, target.lower()) for name in await self._validated_names())
        answer = await self._resolver.addresses(target, ipv6=False)  # exists: §5.7
        _check(answer)
        self._count_void(answer)
        return bool(answer.records)

    async def _included(self, target: str) -> bool:
        """§5.2."""
        result, _ = await self.host(target, True) if _is_name(target) else (Result.NONE, "")
        if result is Result.NONE:
            raise _End(Result.PERMERROR, f"included domain {target[:100]} has no SPF record")
        return result is Result.PASS

    async def _has_address(self, name: str, mechanism: Mechanism, is_void_counted: bool = True) -> bool:
        """§5.3."""
        answer = await self._resolver.addresses(name, ipv6=not self._is_4, ipv4=self._is_4)
        _check(answer)
        if is_void_counted:
            self._count_void(answer)
        return self._is_among(answer.records, mechanism.bits4 if self._is_4 else mechanism.bits6)

    async def _has_mx(self, name: str, mechanism: Mechanism) -> bool:
        """§5.4."""
        answer = await self._resolver.mx(name)
        _check(answer)
        self._count_void(answer)
        if len(answer.records) > MAX_NAMES:
            raise _End(Result.PERMERROR, f"{name} has more than {MAX_NAMES} MX records")
        for _, host in answer.records:
            if host and await self._has_address(host, mechanism):
                return True
        return False

    def _is_among(self, addresses: Iterable[str], bits: int) -> bool:
        version = 4 if self._is_4 else 6
        for text in addresses:
            address = ipaddress.ip_address(text)
            if address.version == version and self._is_in(version, int(address), bits):
                return True
        return False

    def _is_in(self, version: int, number: int, bits: int) -> bool:
        if (version == 4) is not self._is_4:
            return False
        shift = (32 if self._is_4 else 128) - bits
        return self._number >> shift == number >> shift

    async def _validated_names(self) -> list[str]:
        """Names of the client that lead back to it (§5.5), asked for once. DNS trouble: none."""
        if self._validated is None:
            self._validated = []
            try:
                async with asyncio.timeout(PTR_S):
                    await self._validate(self._validated)
            except TimeoutError:
                pass
        return self._validated

    async def _validate(self, found: list[str]) -> None:
        answer = await self._resolver.ptr(self.client.compressed)
        if not answer.is_temporary:
            self._count_void(answer)
        for name in answer.records[:MAX_NAMES]:
            addresses = await self._resolver.addresses(name, ipv6=not self._is_4, ipv4=self._is_4)
            if self._is_among(addresses.records, 32 if self._is_4 else 128):
                found.append(name.lower().removesuffix("."))

    async def _expanded(self, pieces: tuple[Piece, ...], domain: str) -> str:
        return macro.as_name(await self._expand(pieces, domain))

    async def _expand(self, pieces: tuple[Piece, ...], domain: str) -> str:
        if len(pieces) == 1 and isinstance(pieces[0], str):
            return pieces[0]
        values = self._values | {"d": domain}
        if "p" in macro.letters(pieces):
            values["p"] = await self._name_of_client(domain)
        return macro.expand(pieces, values)

    async def _name_of_client(self, domain: str) -> str:
        """§7.3: of the validated names the domain itself, else one under it, else any."""
        names = await self._validated_names()
        best = [name for name in names if name == domain] or [name for name in names if is_within(name, domain)] or names
        return best[0] if best else "unknown"

    async def _explain(self, record: Record, domain: str) -> None:
        """§6.2; whatever goes wrong, there is no explanation then."""
        if not record.explanation:
            return
        try:
            target = await self._expanded(record.explanation, domain)
            answer = await self._resolver.txt(target)
            if len(answer.records) == 1 and answer.records[0].isascii():
                text = await self._expand(macro.parse(answer.records[0][: macro.MAX_EXPANDED], in_explanation=True), domain)
                self.explanation = "".join(char if " " <= char <= "~" else "?" for char in text[:MAX_EXPLANATION])
        except (MacroError, _End):
            pass


def _check(answer: Answer) -> None:
    if answer.is_temporary:
        raise _End(Result.TEMPERROR, f"DNS: {answer.status.value} for {answer.name[:100]}")


def _is_name(name: str) -> bool:
    """Whether DNS can be asked for an expanded name; others do not exist (§4.8)."""
    return 0 < len(name) <= macro.MAX_NAME and all(0 < len(label) <= 63 for label in name.split("."))
