"""Published keys (RFC 6376 §3.6.1, RFC 8301, RFC 8463): record → public key, and checking a signature with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ..seams import Resolver
from .result import Result
from .tags import TagError, decode_base64, parse_tags, words

MAX_RECORD = 8 * 1024
LEAST_BITS = 1024
MOST_BITS = 4096
"""RFC 8301 §3.2 wants keys from 1024 to 4096 bits understood; larger ones only cost time."""

PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class KeyTrouble(Exception):
    """The key cannot be used: a result with its reason."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Key:
    public: PublicKey
    hashes: frozenset[str]
    """Which hash algorithms it may be used with; empty: all."""
    is_testing: bool
    is_strict: bool
    """Flag s: no subdomains in the identity."""

    @property
    def bits(self) -> int:
        return self.public.key_size if isinstance(self.public, rsa.RSAPublicKey) else 256


async def fetch(resolver: Resolver, selector: str, domain: str) -> Key:
    """Raises KeyTrouble."""
    answer = await resolver.txt(f"{selector}._domainkey.{domain}")
    if answer.is_temporary:
        raise KeyTrouble(Result.TEMPERROR, f"DNS: {answer.status.value} for the key")
    if not answer.records:
        raise KeyTrouble(Result.PERMERROR, "no key is published")
    trouble = KeyTrouble(Result.PERMERROR, "no key is published")
    for text in answer.records[:3]:
        try:
            return parse(text)
        except KeyTrouble as error:
            trouble = error
    raise trouble


def parse(text: str) -> Key:
    """Raises KeyTrouble."""
    if len(text) > MAX_RECORD:
        raise KeyTrouble(Result.PERMERROR, "key record is too long")
    try:
        tags = parse_tags(text)
        if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
            raise KeyTrouble(Result.PERMERROR, "key record of another version")
        if not {"*", "email"} & set(words(tags.get("s", "*"))):
            raise KeyTrouble(Result.PERMERROR, "the key is not for mail")
        if not tags.get("p", ""):
            raise KeyTrouble(Result.PERMERROR, "the key is revoked" if "p" in tags else "key record without a key")
        flags = words(tags.get("t", ""))
        public = _public(tags.get("k", "rsa").lower(), decode_base64(tags["p"]))
        return Key(public, frozenset(words(tags["h"]) if "h" in tags else ()), "y" in flags, "s" in flags)
    except TagError as error:
        raise KeyTrouble(Result.PERMERROR, f"bad key record: {error}") from error


def _public(kind: str, octets: bytes) -> PublicKey:
    try:
        if kind == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(octets)
        if kind != "rsa":
            raise KeyTrouble(Result.PERMERROR, "unknown kind of key")
        found = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyTrouble(Result.PERMERROR, "bad key") from error
    if not isinstance(found, rsa.RSAPublicKey):
        raise KeyTrouble(Result.PERMERROR, "the key is of another kind")
    if found.key_size > MOST_BITS or found.public_numbers().e.bit_length() > 64:
        raise KeyTrouble(Result.PERMERROR, f"RSA key of {found.key_size} bits")
    if found.key_size < LEAST_BITS:
        raise KeyTrouble(Result.POLICY, f"weak RSA key of {found.key_size} bits")
    return found


def is_right(public: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether *signature* is the key's over SHA-256 of *data* (RFC 8463 §3: Ed25519 signs the hash)."""
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            public.verify(signature, hashlib.sha256(data).digest())
    except InvalidSignature:
        return False
    return True
