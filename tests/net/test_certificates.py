from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest
from cryptography import x509

from postillon.net import certificates
from postillon.net.certificates import make_ca, make_certificate

NAMES = ["localhost", "127.0.0.1", "::1", "mail.example.test"]


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory; raises what the client finds wrong."""
    c_in, c_out, s_in, s_out = (ssl.MemoryBIO() for _ in range(4))
    ours = server.wrap_bio(s_in, s_out, server_side=True)
    theirs = client.wrap_bio(c_in, c_out, server_hostname=name)
    for _ in range(5):
        for end, out, peer in ((theirs, c_out, s_in), (ours, s_out, c_in)):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            peer.write(out.read())
    theirs.do_handshake()


def _server(directory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


def _strict_client(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN  # Python 3.13's default
    return context


@pytest.mark.parametrize("name", NAMES)
def test_a_strict_client_that_trusts_the_authority_accepts_every_name(tmp_path, name):
    make_certificate(tmp_path, NAMES)
    _handshake(_server(tmp_path), _strict_client(tmp_path / "ca.pem"), name)


@pytest.mark.parametrize("name", ["example.test", "other.mail.example.test", "127.0.0.2"])
def test_a_name_that_is_not_in_the_certificate_is_refused(tmp_path, name):
    make_certificate(tmp_path, NAMES)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(_server(tmp_path), _strict_client(tmp_path / "ca.pem"), name)


def test_an_authority_of_another_directory_is_not_trusted(tmp_path):
    make_certificate(tmp_path / "a", NAMES)
    make_ca(tmp_path / "b")
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(_server(tmp_path / "a"), _strict_client(tmp_path / "b" / "ca.pem"), "localhost")


def test_keys_are_readable_by_their_owner_only(tmp_path):
    make_certificate(tmp_path, NAMES)
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
        "ca.pem": 0o644,
        "ca.key": 0o600,
        "cert.pem": 0o644,
        "key.pem": 0o600,
    }


def test_a_certificate_is_kept_until_its_names_change(tmp_path):
    first = make_certificate(tmp_path, NAMES)[0].read_bytes()
    assert make_certificate(tmp_path, list(reversed(NAMES)))[0].read_bytes() == first
    authority = (tmp_path / "ca.pem").read_bytes()
    second = make_certificate(tmp_path, [*NAMES, "new.example.test"])[0].read_bytes()
    assert second != first
    assert (tmp_path / "ca.pem").read_bytes() == authority
    names = x509.load_pem_x509_certificates(second)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "new.example.test" in names.value.get_values_for_type(x509.DNSName)


def test_a_certificate_near_its_end_is_renewed_by_the_same_authority(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "LEAF_DAYS", 20)
    old = make_certificate(tmp_path, NAMES)[0].read_bytes()
    authority = make_ca(tmp_path)[0].read_bytes()
    monkeypatch.undo()
    assert make_certificate(tmp_path, NAMES)[0].read_bytes() != old
    assert make_ca(tmp_path)[0].read_bytes() == authority


@pytest.mark.parametrize("damage", ["ca.key", "ca.pem", "key.pem", "cert.pem"])
def test_a_damaged_or_lost_file_is_replaced(tmp_path, damage):
    make_certificate(tmp_path, NAMES)
    (tmp_path / damage).write_text("not a key")
    make_certificate(tmp_path, NAMES)
    _handshake(_server(tmp_path), _strict_client(tmp_path / "ca.pem"), "localhost")
    (tmp_path / damage).unlink()
    make_certificate(tmp_path, NAMES)
    _handshake(_server(tmp_path), _strict_client(tmp_path / "ca.pem"), "localhost")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_verifies_the_chain_strictly(tmp_path):
    make_certificate(tmp_path, NAMES)
    arguments = [
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-verify_hostname",
        "mail.example.test",
        "-CAfile",
        "ca.pem",
        "cert.pem",
    ]
    subprocess.run(["openssl", "verify", *arguments], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("certtool") is None, reason="needs gnutls-bin")
def test_gnutls_verifies_the_chain(tmp_path):
    make_certificate(tmp_path, NAMES)
    arguments = ["--verify", "--load-ca-certificate", "ca.pem", "--infile", "cert.pem", "--verify-hostname", "mail.example.test"]
    subprocess.run(["certtool", *arguments], cwd=tmp_path, check=True, capture_output=True)
