"""Passwords at rest: how a credential is made, which imported hashes are verified, and at what cost.

Ours is argon2id (19 MiB, 2 passes, 1 lane: about 33 ms) together with both kinds of SCRAM keys, made at the same moment since
they cannot be derived later. SCRAM keys are PBKDF2 with 10,000 iterations (RFC 7677 §4 asks for at least 4,096): whoever steals
the database guesses against those, so weak passwords are weak here as with any SCRAM server.

Nothing here is asynchronous: see `pool.py`, which runs it in threads.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets

from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, hash_secret_raw, verify_secret

from postillon.model.account import Credential
from postillon.model.errors import Refusal, Unavailable
from postillon.protocols.scram import make_keys

from . import sha_crypt

ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES = 19 * 1024, 2, 1
SCRAM_ITERATIONS = 10_000
SALT_OCTETS = 16

_OURS = f"$argon2id$v=19$m={ARGON2_KIB},t={ARGON2_PASSES},p={ARGON2_LANES}$"
_ARGON2 = re.compile(r"\$argon2(?:id|i)\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,172}")
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SCHEME = re.compile(r"\{([A-Za-z0-9.-]{1,20})\}(.+)", re.DOTALL)

# What an imported hash may ask of us for each guess.
MAX_ARGON2_KIB, MAX_ARGON2_PASSES, MAX_ARGON2_LANES = 128 * 1024, 10, 8
MAX_BCRYPT_COST = 14

_SALTED = {"SSHA256": "sha256", "SSHA512": "sha512"}
_MODULAR = {
    "SHA512-CRYPT": ("$6$",),
    "SHA256-CRYPT": ("$5$",),
    "BLF-CRYPT": ("$2",),
    "BCRYPT": ("$2",),
    "ARGON2ID": ("$argon2id$",),
    "ARGON2I": ("$argon2i$",),
    "CRYPT": ("$6$", "$5$", "$2"),
}


def make_credential(password: str) -> Credential:
    """All that is kept of *password* (prepared by `sasl.prepare`). About 45 ms of work."""
    hashed = hash_secret(
        password.encode(), secrets.token_bytes(SALT_OCTETS), ARGON2_PASSES, ARGON2_KIB, ARGON2_LANES, 32, Type.ID
    )
    return Credential(
        hashed.decode(),
        make_keys("SCRAM-SHA-1", password, secrets.token_bytes(SALT_OCTETS), SCRAM_ITERATIONS),
        make_keys("SCRAM-SHA-256", password, secrets.token_bytes(SALT_OCTETS), SCRAM_ITERATIONS),
    )


def imported(text: str) -> Credential:
    """A credential from another server's hash: `{SSHA256}…`, `{SSHA512}…`, `{SHA512-CRYPT}$6$…`, `{SHA256-CRYPT}$5$…`,
    `{BLF-CRYPT}$2b$…`, `{ARGON2ID}$argon2id$…`, or a modular hash without its scheme. Raises Refusal for others and for costs
    beyond our limits.
    """
    bare = _bare(text.strip())
    if not _is_acceptable(bare):
        raise Refusal("The password hash is of an unknown kind, malformed or asks for too much work", status="5.7.0")
    return Credential(bare)


def _bare(text: str) -> str:
    """Without a scheme that only repeats what a modular hash says itself."""
    found = _SCHEME.fullmatch(text)
    if found is None:
        return text
    scheme, rest = found[1].upper(), found[2]
    if scheme in _MODULAR:
        return rest if rest.startswith(_MODULAR[scheme]) else ""
    return "{" + scheme + "}" + rest


def _is_acceptable(text: str) -> bool:
    if text.startswith("{"):
        return _salted(text) is not None
    if found := _ARGON2.fullmatch(text):
        kib, passes, lanes = map(int, found.groups())
        return 8 * lanes <= kib <= MAX_ARGON2_KIB and 1 <= passes <= MAX_ARGON2_PASSES and 1 <= lanes <= MAX_ARGON2_LANES
    if found := _BCRYPT.fullmatch(text):
        return 4 <= int(found[1]) <= MAX_BCRYPT_COST
    return sha_crypt.is_acceptable(text)


def is_ours(text: str) -> bool:
    """Made here with the present parameters; others are made anew at the next login by password."""
    return text.startswith(_OURS)


def verify(text: str, password: str) -> bool:
    """Is *password* the one of the hash *text*? Takes up to about 1.5 s for the dearest imports we accept.

    Imported hashes were made by other servers from the octets that the client sent, so nothing is normalised here.
    """
    if text.startswith("{"):
        return _verify_salted(text, password.encode())
    if text.startswith("$argon2"):
        try:
            return verify_secret(text.encode(), password.encode(), Type.ID if text.startswith("$argon2id$") else Type.I)
        except (VerificationError, InvalidHashError):
            return False
    if text.startswith("$2"):
        return _verify_bcrypt(text, password.encode())
    return sha_crypt.verify(text, password.encode())


def waste() -> None:
    """The work of one verification, for names that do not exist."""
    hash_secret_raw(b"nobody's password", b"nobody's salt...", ARGON2_PASSES, ARGON2_KIB, ARGON2_LANES, 32, Type.ID)


def _salted(text: str) -> tuple[str, bytes, bytes] | None:
    """(digest name, digest, salt) of a `{SSHA256}` or `{SSHA512}` hash: base64 of the digest with the salt behind it."""
    found = _SCHEME.fullmatch(text)
    name = _SALTED.get(found[1]) if found else None
    if found is None or name is None or len(found[2]) > 400:
        return None
    try:
        octets = binascii.a2b_base64(found[2].encode(), strict_mode=True)
    except binascii.Error:
        return None
    size = hashlib.new(name).digest_size
    return (name, octets[:size], octets[size:]) if len(octets) >= size else None


def _verify_salted(text: str, password: bytes) -> bool:
    parts = _salted(text)
    if parts is None:
        return False
    name, digest, salt = parts
    return hmac.compare_digest(hashlib.new(name, password + salt).digest(), digest)


def _verify_bcrypt(text: str, password: bytes) -> bool:
    try:
        import bcrypt  # only installations with such imports pay for it
    except ImportError as error:
        raise Unavailable("This password cannot be checked here", detail="the bcrypt library is missing") from error
    return bool(bcrypt.checkpw(password[:72], text.encode()))  # bcrypt never looked further than 72 octets
