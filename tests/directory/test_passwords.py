"""Passwords at rest: our own, and those that other servers made."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.directory import passwords, sha_crypt
from postillon.directory.passwords import imported, is_ours, make_credential, verify
from postillon.model.errors import Refusal
from postillon.protocols.scram import make_keys


def test_a_credential_verifies_its_password_and_no_other() -> None:
    made = make_credential("pässword")
    assert is_ours(made.hash)
    assert verify(made.hash, "pässword")
    assert not verify(made.hash, "password")
    assert "pässword" not in repr(made)


def test_scram_keys_are_made_with_it_each_with_a_salt_of_its_own() -> None:
    made = make_credential("secret")
    assert made.scram_sha1 is not None and made.scram_sha256 is not None
    assert made.scram_sha1 == make_keys("SCRAM-SHA-1", "secret", made.scram_sha1.salt, 10_000)
    assert made.scram_sha256 == make_keys("SCRAM-SHA-256", "secret", made.scram_sha256.salt, 10_000)
    assert made.scram_sha1.salt != made.scram_sha256.salt
    assert make_credential("secret").hash != made.hash


# Passwords and salts of Drepper's specification; the hashes are what glibc's crypt makes of them.
SHA_CRYPT = [
    ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
    ("$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"),
    ("$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/", "we have a short salt string but not a short password"),
    ("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"),
    (
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        "Hello world!",
    ),
    (
        "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
        "a very much longer text to encrypt.  This one even stretches over morethan one line.",
    ),
    ("$6$a$Z6IPkDduHdwavesVY2NFMpOHkigshxPYdhfLg0D3A7/XFQcso9RV2E8qczyJ2su.dj6RRLaTpvgwN1rZfK0I9.", ""),
]


@pytest.mark.parametrize(("text", "password"), SHA_CRYPT)
def test_sha_crypt_agrees_with_its_specification(text: str, password: str) -> None:
    assert sha_crypt.is_acceptable(text)
    assert verify(imported(text).hash, password)
    assert not verify(imported(text).hash, password + "x")


def ssha(name: str, password: str, salt: bytes) -> str:
    return base64.b64encode(hashlib.new(name, password.encode() + salt).digest() + salt).decode()


@pytest.mark.parametrize(
    "text",
    [
        "{SSHA256}" + ssha("sha256", "secret", b"12345678"),
        "{ssha256}" + ssha("sha256", "secret", b"1234"),
        "{SSHA512}" + ssha("sha512", "secret", b"12345678abcdefgh"),
        "{SHA512-CRYPT}" + "$6$./abc$",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$",
        "{CRYPT}$2b$05$",
        "{BLF-CRYPT}$2y$05$",
        "$2b$05$",
    ],
)
def test_hashes_of_other_servers_are_verified(text: str) -> None:
    if "$2" in text:
        text += "CCCCCCCCCCCCCCCCCCCCC.pIKrLVkBX9/OvQMSygY1pWEVn72t6na"
    if text.endswith("$6$./abc$"):
        text += sha_crypt._crypt("6", b"secret", b"./abc", 5000)
    if "$argon2id" in text:
        from argon2 import PasswordHasher

        text = "{ARGON2ID}" + PasswordHasher(time_cost=3, memory_cost=65536, parallelism=1).hash("secret")
    made = imported(text)
    assert made.scram_sha1 is None and made.scram_sha256 is None
    assert verify(made.hash, "secret")
    assert not verify(made.hash, "Secret")
    assert not is_ours(made.hash)


def test_bcrypt_looks_at_72_octets_as_it_always_did() -> None:
    text = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.D7RDOYXakZhsFmh/LdqQNx0kQ424AFS"
    assert verify(imported(text).hash, "x" * 80)
    assert not verify(imported(text).hash, "x" * 71)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "{PLAIN}secret",
        "{CLEARTEXT}secret",
        "{SSHA256}",
        "{SSHA256}c2hvcnQ=",
        "{SSHA256}!!!",
        "{MD5}X03MO1qnZdYdgyfeuILPmQ==",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$6$rounds=999999999$salt$" + "a" * 86,
        "$6$rounds=10$salt$" + "a" * 86,
        "$6$salt$short",
        "{SHA512-CRYPT}$5$salt$" + "a" * 43,
        "$2b$31$CCCCCCCCCCCCCCCCCCCCC.pIKrLVkBX9/OvQMSygY1pWEVn72t6na",
        "$2b$05$tooshort",
        "$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=65536,t=99,p=1$c29tZXNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=65536,t=0,p=1$c29tZXNhbHRzYWx0$" + "a" * 43,
        "$argon2d$v=19$m=65536,t=2,p=1$c29tZXNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=65536,t=2,p=99$c29tZXNhbHRzYWx0$" + "a" * 43,
    ],
)
def test_unknown_weak_and_absurdly_costly_hashes_are_refused(text: str) -> None:
    with pytest.raises(Refusal):
        imported(text)


@given(st.text(max_size=120))
def test_any_text_is_refused_or_verifies_nothing_by_chance(text: str) -> None:
    try:
        made = imported(text)
    except Refusal:
        return
    assert not verify(made.hash, "a password nobody has")


def test_a_name_that_does_not_exist_costs_what_ours_costs() -> None:
    """The parameters, not the clock: both are one argon2id of the same size."""
    assert passwords._OURS in make_credential("x").hash
    passwords.waste()
