"""What TLS a mail host must give, over real DNS packets and sockets, also when somebody stands between."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postillon.model.queue import Outcome, OutcomeKind
from postillon.net.certificates import make_ca, make_certificate
from postillon.net.dns import DnsResolver, DnsSettings
from postillon.net.http_client import HttpError
from postillon.net.tls import client_context, server_context
from postillon.relay.hop import RelaySettings
from postillon.relay.mta_sts import StsPolicies
from postillon.relay.tls_policy import ClientContexts, TlsMode, TlsRules
from postillon.relay.transport import RelayTransport

from ..kinds import FixedClock
from ..net.dns_server import ZoneServer
from .https import Stripper
from .sink import Sink
from .test_mta_sts import Memory
from .test_transport import MESSAGE, TIMEOUTS, Octets, envelope

DELIVERED, DEFERRED, FAILED = OutcomeKind.DELIVERED, OutcomeKind.DEFERRED, OutcomeKind.FAILED
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 100000")


@dataclass(frozen=True)
class Keys:
    server: ssl.SSLContext
    ca: Path
    own: str
    """`3 1 1 …` of the server's certificate."""
    anchor: str
    """`2 0 1 …` of its authority's."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    directory = tmp_path_factory.mktemp("keys")
    ca, _ = make_ca(directory)
    chain = make_certificate(directory, ["mx.there.test"])
    leaf, authority = x509.load_pem_x509_certificates(chain[0].read_bytes())
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    whole = authority.public_bytes(Encoding.DER)
    return Keys(
        server_context([chain], "smtp"),
        ca,
        f"3 1 1 {hashlib.sha256(key).hexdigest()}",
        f"2 0 1 {hashlib.sha256(whole).hexdigest()}",
    )


@asynccontextmanager
async def sending(
    port: int,
    keys: Keys,
    *,
    tlsa: str = "",
    sts: str | None = None,
    ad: bool = False,
    trusted: bool | None = None,
    overrides: Mapping[str, TlsMode] | None = None,
    zone: str = "@ MX 10 mx\nmx A 127.0.0.1\n",
) -> AsyncIterator[tuple[RelayTransport, ZoneServer]]:
    """A transport towards there.test, whose mail host mx.there.test is at *port*; *sts* is the text of its policy."""
    zone += f"_{port}._tcp.mx TLSA {tlsa}\n" if tlsa else ""
    zone += '_mta-sts TXT "v=STSv1; id=1"\n' if sts is not None else ""

    async def fetch(domain: str) -> bytes:
        if sts is None:
            raise HttpError("nothing there")
        return sts.encode()

    async with ZoneServer({"there.test": zone}) as dns:
        dns.authentic = ad
        resolver = DnsResolver([dns.address], DnsSettings(timeout_s=0.3, attempts=1, trusted=trusted))
        transport = RelayTransport(
            settings=RelaySettings("us.test", port=port, loopback_allowed=True, timeouts=TIMEOUTS),
            resolver=resolver,
            contexts=ClientContexts(client_context(verify=False), client_context(verify=True, ca_file=str(keys.ca))),
            is_self=lambda _address, _port: False,
            shuffle=lambda _: None,
            rules=TlsRules(
                resolver,
                StsPolicies(resolver=resolver, fetch=fetch, memory=Memory(), clock=FixedClock()),
                port,
                overrides or {},
            ),
        )
        try:
            yield transport, dns
        finally:
            await transport.close()
            await resolver.close()


async def one(port: int, keys: Keys, **more: object) -> Outcome:
    async with sending(port, keys, **more) as (transport, _):  # type: ignore[arg-type]
        return (await transport.attempt(envelope(), Octets(MESSAGE)))[0]


ENFORCE = "version: STSv1\nmode: enforce\nmx: mx.there.test\nmax_age: 600\n"
TESTING = ENFORCE.replace("enforce", "testing")


# --- DANE -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["own", "anchor"])
async def test_a_certificate_that_fits_its_tlsa_record_gets_the_mail(keys: Keys, which: str):
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        outcome = await one(sink.port, keys, tlsa=getattr(keys, which), ad=True)
        assert outcome.kind is DELIVERED
        assert sink.received[0].tls


async def test_a_certificate_that_does_not_fit_gets_nothing(keys: Keys):
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        outcome = await one(sink.port, keys, tlsa="3 1 1 " + "00" * 32, ad=True)
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.5")
        assert sink.received == []


async def test_dane_needs_no_authority(keys: Keys, tmp_path: Path):
    make_ca(tmp_path)
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        stranger = replace(keys, ca=tmp_path / "ca.pem")
        assert (await one(sink.port, stranger, tlsa=keys.own, ad=True)).kind is DELIVERED


@pytest.mark.parametrize(("ad", "trusted"), [(False, True), (True, False)])
async def test_without_dnssec_from_a_trusted_resolver_records_mean_nothing(keys: Keys, ad: bool, trusted: bool):
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        outcome = await one(sink.port, keys, tlsa="3 1 1 " + "00" * 32, ad=ad, trusted=trusted)
        assert outcome.kind is DELIVERED


async def test_records_of_which_none_is_usable_still_demand_tls(keys: Keys):
    pkix = "1 1 1 " + "00" * 32
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink, Sink(extensions=EXTENSIONS) as clear:
        assert (await one(sink.port, keys, tlsa=pkix, ad=True)).kind is DELIVERED
        assert sink.received[0].tls
        outcome = await one(clear.port, keys, tlsa=pkix, ad=True)
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.4")
        assert clear.received == []


@pytest.mark.parametrize("fault", ["servfail", "bogus", "timeout"])
async def test_tlsa_records_that_cannot_be_had_defer(keys: Keys, fault: str):
    async with Sink(extensions=EXTENSIONS) as sink, sending(sink.port, keys, ad=True) as (transport, dns):
        dns.fail(f"_{sink.port}._tcp.mx.there.test", fault)
        outcome = (await transport.attempt(envelope(), Octets(MESSAGE)))[0]
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.4.3")
        assert sink.conversations == []


async def test_no_tlsa_records_is_as_before(keys: Keys):
    async with Sink(extensions=EXTENSIONS) as sink:
        assert (await one(sink.port, keys, ad=True)).kind is DELIVERED


async def test_behind_an_alias_the_records_of_the_true_name_count(keys: Keys):
    zone = "@ MX 10 alias\nalias CNAME mx\nmx A 127.0.0.1\n"
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        assert (await one(sink.port, keys, tlsa=keys.anchor, ad=True, zone=zone)).kind is DELIVERED
        assert (await one(sink.port, keys, tlsa="3 1 1 " + "00" * 32, ad=True, zone=zone)).kind is DEFERRED


# --- MTA-STS ----------------------------------------------------------------------------------------------------------


async def test_a_host_of_the_policy_that_proves_itself_gets_the_mail(keys: Keys):
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        assert (await one(sink.port, keys, sts=ENFORCE)).kind is DELIVERED
        assert sink.received[0].tls


async def test_a_host_that_does_not_prove_itself_gets_nothing(keys: Keys, tmp_path: Path):
    other = make_certificate(tmp_path, ["mx.there.test"])  # of another authority
    async with Sink(extensions=EXTENSIONS, tls=server_context([other], "smtp")) as sink:
        outcome = await one(sink.port, keys, sts=ENFORCE)
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.5")
        assert sink.received == []


async def test_a_host_that_the_policy_does_not_name_is_not_even_asked(keys: Keys):
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        outcome = await one(sink.port, keys, sts=ENFORCE.replace("mx.there.test", "*.elsewhere.test"))
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.5")
        assert sink.conversations == []


@pytest.mark.parametrize("text", [TESTING, TESTING.replace("mx.there", "elsewhere")])
async def test_testing_mode_never_stops_mail(keys: Keys, tmp_path: Path, text: str):
    other = make_certificate(tmp_path, ["wrong.test"])
    async with Sink(extensions=EXTENSIONS, tls=server_context([other], "smtp")) as sink, Sink(extensions=EXTENSIONS) as clear:
        assert (await one(sink.port, keys, sts=text)).kind is DELIVERED
        assert sink.received[0].tls
        assert (await one(clear.port, keys, sts=text)).kind is DELIVERED


async def test_dane_outweighs_mta_sts(keys: Keys):
    elsewhere = ENFORCE.replace("mx.there.test", "*.elsewhere.test")
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink:
        assert (await one(sink.port, keys, tlsa=keys.own, ad=True, sts=elsewhere)).kind is DELIVERED
        assert (await one(sink.port, keys, tlsa="3 1 1 " + "00" * 32, ad=True, sts=ENFORCE)).kind is DEFERRED


# --- somebody between -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["dane", "sts"])
async def test_who_takes_starttls_away_gets_nothing(keys: Keys, policy: str):
    async with Sink(extensions=EXTENSIONS, tls=keys.server) as sink, Stripper(sink.port) as thief:
        more = {"tlsa": keys.own, "ad": True} if policy == "dane" else {"sts": ENFORCE}
        outcome = await one(thief.port, keys, **more)
        assert (outcome.kind, outcome.status) == (DEFERRED, "4.7.4")
        assert sink.received == []
        assert b"MAIL" not in thief.seen and b"bob" not in thief.seen
        # The thief is no straw man: without a policy the mail goes through his hands.
        assert (await one(thief.port, keys)).kind is DELIVERED
        assert b"MAIL" in thief.seen


# --- wishes and orders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "has_tls", "kind"),
    [
        (TlsMode.NONE, True, DELIVERED),
        (TlsMode.OPPORTUNISTIC, False, DELIVERED),
        (TlsMode.ENCRYPTED, False, DEFERRED),
        (TlsMode.REQUIRED, True, DELIVERED),
        (TlsMode.REQUIRED, False, DEFERRED),
    ],
)
async def test_the_administrator_has_the_last_word(keys: Keys, mode: TlsMode, has_tls: bool, kind: OutcomeKind):
    async with Sink(extensions=EXTENSIONS, tls=keys.server if has_tls else None) as sink:
        outcome = await one(sink.port, keys, tlsa="3 1 1 " + "00" * 32, ad=True, overrides={"there.test": mode})
        assert outcome.kind is kind
        assert [received.tls for received in sink.received] == (
            [mode is not TlsMode.NONE and has_tls] if kind is DELIVERED else []
        )


@pytest.mark.parametrize("policy", ["dane", "sts", "dnssec"])
async def test_requiretls_goes_where_it_is_kept(keys: Keys, policy: str):
    more = {"dane": {"tlsa": keys.own, "ad": True}, "sts": {"sts": ENFORCE}, "dnssec": {"ad": True}}[policy]
    async with Sink(extensions=(*EXTENSIONS, "REQUIRETLS"), tls=keys.server) as sink:
        async with sending(sink.port, keys, **more) as (transport, _):  # type: ignore[arg-type]
            outcome = (await transport.attempt(envelope(require_tls=True), Octets(MESSAGE)))[0]
        assert outcome.kind is DELIVERED
        assert b" REQUIRETLS" in sink.received[0].mail


@pytest.mark.parametrize(("extensions", "more"), [((), {"sts": ENFORCE}), (("REQUIRETLS",), {})])
async def test_requiretls_fails_where_it_is_not_kept(keys: Keys, extensions: tuple[str, ...], more: dict[str, object]):
    """A hop that does not know it, and one whose name nobody vouches for."""
    async with Sink(extensions=(*EXTENSIONS, *extensions), tls=keys.server) as sink:
        async with sending(sink.port, keys, **more) as (transport, _):  # type: ignore[arg-type]
            outcome = (await transport.attempt(envelope(require_tls=True), Octets(MESSAGE)))[0]
        assert (outcome.kind, outcome.status) == (FAILED, "5.7.30")
        assert sink.received == []


async def test_tls_required_no_outweighs_the_policies_but_not_requiretls(keys: Keys):
    async with Sink(extensions=EXTENSIONS) as sink, sending(sink.port, keys, sts=ENFORCE) as (transport, _):
        assert (await transport.attempt(envelope(tls_optional=True), Octets(MESSAGE)))[0].kind is DELIVERED
        both = envelope(tls_optional=True, require_tls=True)
        assert (await transport.attempt(both, Octets(MESSAGE)))[0].kind is DEFERRED
