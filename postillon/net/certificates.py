"""Certificates of our own making: a small authority (developer mode, tests, a first start) and a server's certificate.

Profiles are RFC 5280's, so that strict verifiers (OpenSSL's X509_STRICT, Python 3.13, GnuTLS) take them.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
LEAF_DAYS = 397
"""As long as public authorities may give at most; some clients refuse more."""
RENEW_DAYS = 30
_DAY = datetime.timedelta(days=1)


def make_ca(directory: Path | str) -> tuple[Path, Path]:
    """The authority's certificate and key in *directory* (`ca.pem`, `ca.key`), made if there is no usable one yet."""
    directory = Path(directory)
    certificate_file, key_file = directory / "ca.pem", directory / "ca.key"
    authority = _load(certificate_file, key_file)
    if authority is not None and not _expires_soon(authority[0]):
        return certificate_file, key_file
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    # The name is unique: a client that trusts two authorities of ours must not take one for the other.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Postillon test authority {secrets.token_hex(4)}")])
    certificate = (
        _builder(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_file, _key_pem(key), 0o600)
    _write(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
    return certificate_file, key_file


def make_certificate(directory: Path | str, names: Sequence[str]) -> tuple[Path, Path]:
    """A server's chain and key in *directory* (`cert.pem`, `key.pem`) for *names*: DNS names (A-labels) and IP addresses.

    Signed by the directory's authority (`make_ca`). What is there is kept as long as it has these names, is of this
    authority and is good for another month.
    """
    if not names:
        raise ValueError("a certificate needs a name")
    directory = Path(directory)
    ca_certificate_file, ca_key_file = make_ca(directory)
    authority = _load(ca_certificate_file, ca_key_file)
    assert authority is not None
    certificate_file, key_file = directory / "cert.pem", directory / "key.pem"
    present = _load(certificate_file, key_file)
    if present is not None and _still_good(present[0], authority[0], names):
        return certificate_file, key_file
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _leaf(key, authority, names)
    pem = certificate.public_bytes(Encoding.PEM) + authority[0].public_bytes(Encoding.PEM)
    # Whoever reads both between the two writes finds a key that does not fit, keeps what it had and looks again.
    _write(key_file, _key_pem(key), 0o600)
    _write(certificate_file, pem, 0o644)
    return certificate_file, key_file


Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _leaf(key: ec.EllipticCurvePrivateKey, authority: Authority, names: Sequence[str]) -> x509.Certificate:
    issuer, issuer_key = authority
    # A common name holds 64 characters (RFC 5280, appendix A); nobody reads it where there are alternative names.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    return (
        _builder(subject, issuer.subject, key.public_key(), LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)  # clients' clocks differ
        .not_valid_after(now + days * _DAY)
    )


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def addresses_of(certificate: bytes | None) -> tuple[str, ...]:
    """The e-mail addresses that a certificate (DER) was made out to (RFC 5280 §4.2.1.6 rfc822Name); none for None."""
    if certificate is None:
        return ()
    try:
        found = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(found.value.get_values_for_type(x509.RFC822Name))
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return ()


def _alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in dict.fromkeys(names)]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _still_good(certificate: x509.Certificate, authority: x509.Certificate, names: Sequence[str]) -> bool:
    if _expires_soon(certificate) or certificate.issuer != authority.subject:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
        has = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # damaged in one of many ways: make a new one
        return False
    return set(has) == set(_alternative_names(names))


def _expires_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc < datetime.datetime.now(datetime.UTC) + RENEW_DAYS * _DAY


def _load(certificate_file: Path, key_file: Path) -> Authority | None:
    """The (first) certificate and the key, or None if they are not there, not readable or do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return certificate, key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace *path* in one step; nobody else can read a key even for a moment."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
