"""DANE for SMTP (RFC 7672, on RFC 6698 and 7671): does the chain that a server shows fit its TLSA records? Pure."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Tlsa = tuple[int, int, int, bytes]
"""Usage, selector, matching type, data."""

TRUST_ANCHOR, END_ENTITY = 2, 3
MAX_CHAIN = 10
_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """Those that SMTP may go by (RFC 7672 §3.1): usages 2 and 3, with what we can compute.

    Of digests over the same thing the strongest counts (RFC 7671 §9), in the same order always.
    """
    fit = sorted({record for record in records if _is_usable(record)})
    strongest: dict[tuple[int, int], int] = {}
    for usage, selector, matching, _ in fit:
        strongest[usage, selector] = max(matching, strongest.get((usage, selector), 0))
    return tuple(record for record in fit if record[2] in (0, strongest[record[0], record[1]]))


def _is_usable(record: Tlsa) -> bool:
    usage, selector, matching, data = record
    if usage not in (TRUST_ANCHOR, END_ENTITY) or selector not in (0, 1):
        return False
    if matching == 0:
        return bool(data)
    return matching in _DIGESTS and len(data) == _DIGESTS[matching]().digest_size


def is_trusted(chain: Sequence[bytes], records: Sequence[Tlsa], names: Sequence[str], now: datetime.datetime) -> bool:
    """Does *chain* (DER, the server's own certificate first, as it was shown) fit one of the usable *records*?

    *names*: what the certificate may be for, if it is trusted for its issuer's sake.
    """
    try:
        certificates = [x509.load_der_x509_certificate(octets) for octets in chain[:MAX_CHAIN]]
    except ValueError:
        return False
    if not certificates:
        return False
    # RFC 7672 §3.1.1: with DANE-EE(3) neither the names nor the dates in the certificate count.
    if any(record[0] == END_ENTITY and _matches(certificates[0], record) for record in records):
        return True
    anchors = [record for record in records if record[0] == TRUST_ANCHOR]
    return bool(anchors) and _has_name(certificates[0], names) and _leads_to(certificates, anchors, now)


def _matches(certificate: x509.Certificate, record: Tlsa) -> bool:
    _, selector, matching, data = record
    if selector == 0:
        octets = certificate.public_bytes(Encoding.DER)
    else:
        octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data == (_DIGESTS[matching](octets).digest() if matching else octets)


def _leads_to(certificates: Sequence[x509.Certificate], anchors: Sequence[Tlsa], now: datetime.datetime) -> bool:
    """RFC 7672 §3.1.2: a path of signatures from the server's certificate to one that a record names."""
    issuers = [*certificates[1:], *_whole(anchors)]
    current = certificates[0]
    for _ in range(MAX_CHAIN):
        if not current.not_valid_before_utc <= now <= current.not_valid_after_utc:
            return False
        issuer = next((one for one in issuers if _is_issued_by(current, one)), None)
        if issuer is None:
            return False
        if any(_matches(issuer, anchor) for anchor in anchors):
            return issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc
        issuers.remove(issuer)
        current = issuer
    return False


def _whole(anchors: Sequence[Tlsa]) -> list[x509.Certificate]:
    """Authorities that stand in DNS whole, so that the server need not show them."""
    found = []
    for _, selector, matching, data in anchors:
        if (selector, matching) == (0, 0):
            try:
                found.append(x509.load_der_x509_certificate(data))
            except ValueError:
                continue
    return found


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True


def _has_name(certificate: x509.Certificate, names: Sequence[str]) -> bool:
    """RFC 7672 §3.2.2: one of *names* is in the certificate; a wildcard stands for one leftmost label."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = {name.lower().rstrip(".") for name in alternatives.get_values_for_type(x509.DNSName)}
    except (ValueError, x509.ExtensionNotFound):
        return False
    wanted = {name.lower().rstrip(".") for name in names}
    return any(name in shown or "*." + name.partition(".")[2] in shown for name in wanted)
