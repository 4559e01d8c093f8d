"""A `seams.Resolver` over zone data as the SPF test suite writes it: name -> list of {type: value} or TIMEOUT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from postillon.seams import Answer, DnsStatus


class ZoneTable:
    """Follows aliases; a record type SPF (99) counts as TXT where the name has no TXT of its own."""

    def __init__(self, zones: Mapping[str, Sequence[Any]]) -> None:
        self._zones = {name.lower(): records for name, records in zones.items()}
        self.asked: list[tuple[str, str]] = []

    def _answer(self, name: str, kind: str, depth: int = 0) -> Answer:
        if not depth:
            self.asked.append((kind, name))
        name = name.lower().removesuffix(".")
        if any(len(label) > 63 for label in name.split(".")) or "" in name.split("."):
            return Answer(DnsStatus.NXDOMAIN, name=name)
        records = self._zones.get(name)
        if records is None:
            return Answer(DnsStatus.NXDOMAIN, name=name)
        found: list[Any] = []
        has_text = any(isinstance(record, dict) and "TXT" in record for record in records)
        for record in records:
            if record == "TIMEOUT":
                return (found and Answer(DnsStatus.OK, tuple(found), name)) or Answer(DnsStatus.TIMEOUT, name=name)
            for given, value in record.items():
                kind_of = "TXT" if given == "SPF" and not has_text else given
                if kind_of == "CNAME" and kind != "CNAME" and depth < 8:
                    return self._answer(value, kind, depth + 1)
                if kind_of == kind:
                    if value == "TIMEOUT":
                        return Answer(DnsStatus.TIMEOUT, name=name)
                    if value != "NONE":
                        found.append(value)
        return Answer(DnsStatus.OK if found else DnsStatus.NODATA, tuple(found), name, ttl=60)

    async def txt(self, name: str) -> Answer:
        answer = self._answer(name, "TXT")
        texts = tuple("".join(value) if isinstance(value, list) else value for value in answer.records)
        return Answer(answer.status, texts, answer.name)

    async def mx(self, name: str) -> Answer:
        answer = self._answer(name, "MX")
        return Answer(answer.status, tuple((value[0], value[1]) for value in answer.records), answer.name)

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        answers = [self._answer(name, kind) for kind, wanted in (("A", ipv4), ("AAAA", ipv6)) if wanted]
        return next((answer for answer in answers if answer.records), answers[0])

    async def ptr(self, address: str) -> Answer:
        import ipaddress

        return self._answer(ipaddress.ip_address(address).reverse_pointer, "PTR")

    async def tlsa(self, name: str) -> Answer:
        return Answer(DnsStatus.NODATA, name=name)
