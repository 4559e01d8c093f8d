"""What is wrong with a certificate, in words."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SOON = datetime.timedelta(days=14)


def complaints(certificate_file: Path, key_file: Path, hostname: str) -> list[str]:
    """What a client, or we at the next start, would stumble over; empty if nothing."""
    try:
        certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
        key = load_pem_private_key(key_file.read_bytes(), None)
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    except (ValueError, TypeError) as error:
        return [f"{certificate_file} or {key_file} is not PEM, or the key has a passphrase: {error}"]
    found = []
    if certificate.public_key() != key.public_key():
        found.append(f"{key_file} is not the key of {certificate_file}")
    now = datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_after_utc < now:
        found.append(f"{certificate_file} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    elif certificate.not_valid_after_utc < now + SOON:
        found.append(f"{certificate_file} expires on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        found.append(f"{certificate_file} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    if not _names(certificate, hostname):
        found.append(f"{certificate_file} does not name {hostname}")
    return found


def _names(certificate: x509.Certificate, hostname: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(hostname) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        above = "*." + hostname.partition(".")[2]
        return bool({hostname, above} & {name.lower() for name in names.get_values_for_type(x509.DNSName)})
