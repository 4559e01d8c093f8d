"""An authoritative DNS server for tests: real packets over UDP and TCP, dnspython's wire code, faults on demand.

In a test::

    async with ZoneServer({"example.test": "@ MX 10 mail\\nmail A 127.0.0.1"}) as dns:
        resolver = DnsResolver([dns.address])
        dns.fail("other.example.test", "servfail")

For other processes: `python -m tests.net.dns_server --port 5353 example.test=zonefile …` (prints `host port` when ready).
It answers for its zones as a recursive server would (RA set, aliases followed across its zones) and REFUSED for all else.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

HEAD = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
"""Put before zone text that has no SOA record, so that a test writes only what it is about."""

FAULTS = (
    "servfail",
    "refused",
    "formerr",
    "timeout",
    "truncate",
    "wrong-id",
    "wrong-question",
    "wrong-case",
    "garbage",
    "bogus",
    "no-edns",
)
"""What `fail` can make of answers:

servfail refused formerr: that rcode. bogus: SERVFAIL with the extended error 6 (RFC 8914). timeout: no answer at all.
truncate: TC and nothing else over UDP. wrong-id wrong-question wrong-case garbage: a flood of those *before* the true answer.
no-edns: FORMERR as long as the query has an OPT record.
"""

Answerer = Callable[[dns.message.Message], dns.message.Message | bytes | None]


class ZoneServer:
    """Serves *zones* (origin -> zone-file text) on one loopback address over UDP and TCP. A test changes it while it runs."""

    def __init__(self, zones: Mapping[str, str] | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self.authentic = False
        """Set AD in answers."""
        self.queries: list[tuple[str, str, str]] = []
        """(name in lower case, type, `udp` or `tcp`) of each query, in order."""
        self.clients: list[tuple[str, int]] = []
        """Address and port that each query came from."""
        self.ids: list[int] = []
        self.spellings: list[str] = []
        """The names as they were spelled."""
        self._zones: dict[dns.name.Name, dns.zone.Zone] = {}
        self._faults: dict[tuple[str, str], tuple[str, int]] = {}
        self._answerers: dict[str, Answerer] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        for origin, text in (zones or {}).items():
            self.set_zone(origin, text)

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def set_zone(self, origin: str, text: str) -> None:
        """Add a zone or replace it. Names in *text* are relative to *origin*."""
        if " SOA " not in text:
            text = HEAD + text
        name = dns.name.from_text(origin)
        self._zones[name] = dns.zone.from_text(text, origin=name, relativize=False, check_origin=False)

    def fail(self, name: str, fault: str | None, *, kind: str = "", times: int = -1) -> None:
        """From now on treat queries for *name* (and *kind*, all types if empty) so, *times* times (-1 for ever; None ends it)."""
        key = (name.lower().removesuffix("."), kind.upper())
        self._faults.pop(key, None)
        if fault is not None:
            if fault not in FAULTS:
                raise ValueError(f"no such fault: {fault}")
            self._faults[key] = (fault, times)

    def answer(self, name: str, answerer: Answerer) -> None:
        """Let *answerer* make the answer to queries for *name*: a message, raw octets, or None for silence."""
        self._answerers[name.lower().removesuffix(".")] = answerer

    def count(self, name: str, kind: str = "") -> int:
        """How many queries there were for *name* (and *kind*)."""
        return sum(1 for asked, type_, _ in self.queries if asked == name and kind in ("", type_))

    async def __aenter__(self) -> ZoneServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind; with port 0 a port that is free for both UDP and TCP is chosen."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, self.host, self.port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(self.host, self.port))

    async def stop(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                for data in self.respond(await reader.readexactly(size), peer, "tcp"):
                    writer.write(len(data).to_bytes(2, "big") + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def respond(self, packet: bytes, peer: tuple[str, int], transport: str) -> list[bytes]:
        """All packets to send back for *packet*."""
        try:
            query = dns.message.from_wire(packet)
        except dns.exception.DNSException:
            return []
        asked = query.question[0]
        spelling = asked.name.to_text(omit_final_dot=True)
        name, kind = spelling.lower(), dns.rdatatype.to_text(asked.rdtype)
        self.queries.append((name, kind, transport))
        self.clients.append((peer[0], peer[1]))
        self.ids.append(query.id)
        self.spellings.append(spelling)
        answerer = self._answerers.get(name)
        if answerer is not None:
            made = answerer(query)
            return [] if made is None else [made if isinstance(made, bytes) else made.to_wire(max_size=65535)]
        return self._faulty(query, self._fault(name, kind), transport)

    def _fault(self, name: str, kind: str) -> str:
        for key in ((name, kind), (name, ""), ("*", kind), ("*", "")):
            fault, times = self._faults.get(key, ("", 0))
            if fault:
                if times > 0:
                    self._faults[key] = (fault, times - 1)
                if times == 1:
                    del self._faults[key]
                return fault
        return ""

    def _faulty(self, query: dns.message.Message, fault: str, transport: str) -> list[bytes]:
        if fault == "timeout":
            return []
        if fault in ("servfail", "refused", "formerr", "bogus") or (fault == "no-edns" and query.edns >= 0):
            response = self._empty(query)
            codes = {"refused": dns.rcode.REFUSED, "formerr": dns.rcode.FORMERR, "no-edns": dns.rcode.FORMERR}
            response.set_rcode(codes.get(fault, dns.rcode.SERVFAIL))
            if fault == "bogus":
                response.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS)])
            return [response.to_wire()]
        response = self._lookup(query)
        if transport == "tcp":
            return [response.to_wire(max_size=65535)]
        wire = self._fit(query, response, fault == "truncate")
        return [*self._lies(query, wire, fault), wire]

    def _fit(self, query: dns.message.Message, response: dns.message.Message, truncate: bool) -> bytes:
        limit = query.payload if query.edns >= 0 else 512
        wire = response.to_wire(max_size=65535)
        if not truncate and len(wire) <= limit:
            return wire
        empty = self._empty(query)
        empty.flags |= dns.flags.TC
        return empty.to_wire()

    def _lies(self, query: dns.message.Message, wire: bytes, fault: str) -> list[bytes]:
        if fault == "wrong-id":
            return [((query.id + n) % 65536).to_bytes(2, "big") + wire[2:] for n in range(1, 6)]
        if fault == "wrong-question":
            lie = dns.message.make_query("evil.invalid", query.question[0].rdtype, id=query.id)
            return [dns.message.make_response(lie).to_wire()]
        if fault == "wrong-case":
            end = wire.index(b"\0", 12)
            return [wire[:12] + wire[12:end].lower() + wire[end:]] * 40
        if fault == "garbage":
            return [b"", b"\0", wire[:11], wire[2:], bytes(600)]
        return []

    def _empty(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        if self.authentic:
            response.flags |= dns.flags.AD
        return response

    def _lookup(self, query: dns.message.Message) -> dns.message.Message:
        response = self._empty(query)
        name, kind = query.question[0].name, query.question[0].rdtype
        for _ in range(12):
            zone = self._zone_of(name)
            if zone is None:
                if not response.answer:
                    response.set_rcode(dns.rcode.REFUSED)
                return response
            node = self._node(zone, name)
            for rdataset in node or ():
                if rdataset.rdtype == kind:
                    response.answer.append(_rrset(name, rdataset))
                    return response
            alias = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME) if node else None
            if alias is None:
                self._no(response, zone, name, node is not None)
                return response
            response.answer.append(_rrset(name, alias))
            name = alias[0].target
        return response

    def _no(self, response: dns.message.Message, zone: dns.zone.Zone, name: dns.name.Name, exists: bool) -> None:
        if not exists and not any(other.is_subdomain(name) for other in zone.nodes):
            response.set_rcode(dns.rcode.NXDOMAIN)
        assert zone.origin is not None
        soa = zone.get_rdataset(zone.origin, "SOA")
        if soa is not None:
            response.authority.append(_rrset(zone.origin, soa))

    def _zone_of(self, name: dns.name.Name) -> dns.zone.Zone | None:
        inside = [origin for origin in self._zones if name.is_subdomain(origin)]
        return self._zones[max(inside, key=len)] if inside else None

    def _node(self, zone: dns.zone.Zone, name: dns.name.Name) -> dns.node.Node | None:
        node = zone.nodes.get(name)
        if node is None and len(name) > 1 and not any(other.is_subdomain(name) for other in zone.nodes):
            node = zone.nodes.get(dns.name.Name((b"*", *name.labels[1:])))
        return node


def _rrset(name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: ZoneServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        for packet in self._server.respond(data, addr, "udp"):
            self._transport.sendto(packet, addr)


async def _serve(options: argparse.Namespace) -> None:
    server = ZoneServer({}, options.host, options.port)
    for spec in options.zones:
        origin, _, path = spec.rpartition("=")
        server.set_zone(origin or Path(path).stem, Path(path).read_text("utf-8"))
    for spec in options.fail:
        fault, _, name = spec.partition(":")
        server.fail(name, fault)
    await server.start()
    print(server.host, server.port, flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="an authoritative DNS server for tests")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fail", action="append", default=[], metavar="FAULT:NAME", help=f"FAULT is one of {' '.join(FAULTS)}")
    parser.add_argument("zones", nargs="*", metavar="[ORIGIN=]FILE", help="zone file; the origin is the file's stem if not given")
    asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
