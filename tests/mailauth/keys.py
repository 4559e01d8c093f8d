"""Keys for signing in tests, made once, and the records that publish them."""

from __future__ import annotations

import base64
import functools

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from postillon.mailauth.dkim_sign import SigningKey


@functools.cache
def rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


@functools.cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def record(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, more: str = "") -> str:
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        kind, octets = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind, octets = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k={kind}; {more}p={base64.b64encode(octets).decode()}"


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """As dkimpy takes it: PEM, or the base64 of the seed."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return base64.b64encode(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def signing_keys(domain: str) -> list[SigningKey]:
    return [SigningKey(domain, "r1", rsa_key()), SigningKey(domain, "e1", ed25519_key())]


def published(*domains: str) -> dict[str, dict[str, list[str]]]:
    """Table entries for the `signing_keys` of *domains*."""
    found = {}
    for domain in domains:
        found[f"r1._domainkey.{domain}"] = {"txt": [record(rsa_key())]}
        found[f"e1._domainkey.{domain}"] = {"txt": [record(ed25519_key())]}
    return found
