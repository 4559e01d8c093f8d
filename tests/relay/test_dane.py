"""Which chains fit which TLSA records."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postillon.net.certificates import make_ca, make_certificate
from postillon.relay.dane import Tlsa, is_trusted, usable

NOW = datetime.datetime.now(datetime.UTC)
NAMES = ("mx.there.test", "there.test")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[x509.Certificate]:
    """The server's certificate, and its authority's."""
    directory = tmp_path_factory.mktemp("dane")
    certificate, _ = make_certificate(directory, ["mx.there.test"])
    return x509.load_pem_x509_certificates(certificate.read_bytes())


def der(chain: list[x509.Certificate]) -> list[bytes]:
    return [one.public_bytes(Encoding.DER) for one in chain]


def record(usage: int, selector: int, matching: int, certificate: x509.Certificate) -> Tlsa:
    octets = certificate.public_bytes(Encoding.DER)
    if selector:
        octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    hashed = {0: octets, 1: hashlib.sha256(octets).digest(), 2: hashlib.sha512(octets).digest()}
    return usage, selector, matching, hashed[matching]


KINDS = [(selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]


@pytest.mark.parametrize(("selector", "matching"), KINDS)
def test_the_servers_own_certificate(chain: list[x509.Certificate], selector: int, matching: int):
    fitting, other = record(3, selector, matching, chain[0]), record(3, selector, matching, chain[1])
    assert is_trusted(der(chain), [fitting], NAMES, NOW)
    assert is_trusted(der(chain)[:1], [other, fitting], NAMES, NOW)
    assert not is_trusted(der(chain), [other], NAMES, NOW)  # the authority's is not the server's


@pytest.mark.parametrize(("selector", "matching"), KINDS)
def test_an_authority_in_the_chain(chain: list[x509.Certificate], selector: int, matching: int):
    anchor = record(2, selector, matching, chain[1])
    assert is_trusted(der(chain), [anchor], NAMES, NOW)
    assert not is_trusted(der(chain), [record(2, selector, matching, chain[0])], NAMES, NOW)


def test_an_authority_that_is_not_shown_must_stand_in_dns_whole(chain: list[x509.Certificate]):
    assert not is_trusted(der(chain)[:1], [record(2, 0, 1, chain[1])], NAMES, NOW)
    assert is_trusted(der(chain)[:1], [record(2, 0, 0, chain[1])], NAMES, NOW)


def test_names_and_dates_count_for_an_authority_only(chain: list[x509.Certificate]):
    later = NOW + datetime.timedelta(days=5000)
    own, anchor = record(3, 1, 1, chain[0]), record(2, 0, 1, chain[1])
    for names, at in ((("other.test",), NOW), (NAMES, later)):
        assert is_trusted(der(chain), [own], names, at)
        assert not is_trusted(der(chain), [anchor], names, at)
    assert is_trusted(der(chain), [anchor], ("MX.There.Test.",), NOW)


def test_an_authority_of_the_same_name_is_not_enough(chain: list[x509.Certificate], tmp_path: Path):
    make_ca(tmp_path)
    stranger = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    shown = [*der(chain)[:1], stranger.public_bytes(Encoding.DER)]
    assert not is_trusted(shown, [record(2, 0, 1, stranger)], NAMES, NOW)


def test_what_is_no_chain_is_not_trusted(chain: list[x509.Certificate]):
    own = record(3, 1, 1, chain[0])
    assert not is_trusted([], [own], NAMES, NOW)
    assert not is_trusted([b"garbage"], [own], NAMES, NOW)
    assert not is_trusted(der(chain), [], NAMES, NOW)


def test_only_some_records_are_usable():
    sha256, sha512 = bytes(32), bytes(64)
    good = [(3, 1, 1, sha256), (2, 0, 2, sha512), (3, 0, 0, b"x")]
    bad = [(0, 0, 1, sha256), (1, 1, 1, sha256), (3, 2, 1, sha256), (3, 1, 3, sha256), (3, 1, 1, b"short"), (3, 0, 0, b"")]
    assert set(usable([*good, *bad])) == set(good)
    assert usable([(3, 1, 1, sha256), (3, 1, 2, sha512)]) == ((3, 1, 2, sha512),)
