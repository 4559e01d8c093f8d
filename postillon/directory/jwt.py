"""Access tokens that are signed JWTs (RFC 7519, RFC 7515): the signature and the claims. RS256 and ES256, nothing else.

Pure: keys and the time are given. What is not both is refused: `none` and the HMACs, in which a public key would be a secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

LEEWAY_S = 60
"""Clocks differ."""
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192

Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Keys = Mapping[str, Key]
"""By key id."""


class BadToken(Exception):
    """The words are for the log."""


class UnknownKey(BadToken):
    """Signed with a key that we have not seen: perhaps a new one."""


@dataclass(frozen=True, slots=True)
class Expected:
    issuer: str
    audience: str


def claims_of(token: str, keys: Keys, expected: Expected, now: int) -> dict[str, Any]:
    """The claims of a token that is genuine, in force and meant for us. Raises BadToken."""
    try:
        head, body, mark = token.split(".")
        header, claims, signature = _object(head), _object(body), _octets(mark)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise BadToken("not a signed JWT") from error
    if header.get("crit"):
        raise BadToken("an extension that is not known")  # RFC 7515 §4.1.11
    _check_signature(header, keys, f"{head}.{body}".encode("ascii"), signature)
    check_claims(claims, expected, now)
    return claims


def check_claims(claims: Mapping[str, Any], expected: Expected, now: int) -> None:
    """RFC 7519 §4.1. Raises BadToken."""
    if claims.get("iss") != expected.issuer:
        raise BadToken("another issuer's")
    audience = claims.get("aud")
    if expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("meant for another audience")
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        raise BadToken("it does not say when it expires")
    if now >= expires + LEEWAY_S or now < begins - LEEWAY_S:
        raise BadToken("expired, or not in force yet")


def _check_signature(header: Mapping[str, Any], keys: Keys, signed: bytes, signature: bytes) -> None:
    algorithm, name = header.get("alg"), header.get("kid", "")
    key = keys.get(name) if isinstance(name, str) else None
    if algorithm not in ("RS256", "ES256"):
        raise BadToken("an algorithm that is not taken")
    if key is None:
        raise UnknownKey("an unknown key")
    try:
        if algorithm == "RS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        elif algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 64:
            pair = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))  # RFC 7518 §3.4
            key.verify(encode_dss_signature(*pair), signed, ec.ECDSA(hashes.SHA256()))
        else:
            raise BadToken("the key is not one of that algorithm")
    except InvalidSignature as error:
        raise BadToken("the signature is wrong") from error


def read_keys(document: bytes) -> dict[str, Key]:
    """A JWK set (RFC 7517 §5); keys of kinds that we do not use are left out. Raises BadToken."""
    try:
        found = msgspec.json.decode(document)["keys"]
        return {str(one.get("kid", "")): key for one in found[:100] if (key := _key(one)) is not None}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadToken("not a set of keys") from error


def _key(one: dict[str, Any]) -> Key | None:
    if one.get("use", "sig") != "sig":
        return None
    try:
        if one.get("kty") == "RSA":
            modulus, exponent = _number(one["n"]), _number(one["e"])
            if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or exponent.bit_length() > 64:
                return None
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        if one.get("kty") == "EC" and one.get("crv") == "P-256":
            return ec.EllipticCurvePublicNumbers(_number(one["x"]), _number(one["y"]), ec.SECP256R1()).public_key()
    except (ValueError, KeyError, TypeError):
        return None
    return None


def _number(text: str) -> int:
    return int.from_bytes(_octets(text), "big")


def _octets(text: str) -> bytes:
    """Base64url without padding (RFC 7515 §2). Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def _object(text: str) -> dict[str, Any]:
    found = msgspec.json.decode(_octets(text))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
