"""Logins with OAuth access tokens (RFC 7628): a real directory, and a provider that answers over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from postillon.directory import jwt
from postillon.directory.local import LocalDirectory
from postillon.directory.login import login, mechanisms
from postillon.directory.oauth import KEYS_FAILED_S, OAuthSettings, OAuthTokens
from postillon.model.account import Account
from postillon.model.errors import AuthenticationFailed, Refusal, Unavailable
from postillon.net.certificates import make_ca, make_certificate
from postillon.net.http_client import HttpError, request
from postillon.net.tls import client_context
from postillon.protocols import sasl
from tests.peers.provider import Provider, coded, oauthbearer, xoauth2

from .conftest import STRANGER, Town


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


async def directory_of(town: Town, provider: Provider, **settings: Any) -> LocalDirectory:
    directory = town.worker()
    chosen = OAuthSettings(provider.issuer, "postillon", scope="openid email", **settings)
    directory._tokens = OAuthTokens(settings=chosen, clock=town.clock, context=client_context(verify=True))
    if await directory.is_local_domain("example.org") is False:
        await directory.create_domain("example.org")
        await directory.create_account("alice@example.org", "a long secret")
        await directory.create_account("bob@example.org", "a long secret")
    return directory


async def enter(directory: LocalDirectory, message: bytes, mechanism: str = "OAUTHBEARER") -> tuple[Account | None, list[bytes]]:
    """(the account or None, what was asked)."""
    asked: list[bytes] = []

    async def ask(challenge: bytes) -> bytes | None:
        asked.append(challenge)
        return b"\1"

    try:
        return await login(directory, mechanism, message, ask, STRANGER, lambda kind: None), asked
    except AuthenticationFailed:
        return None, asked


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_signed_token_opens_its_account(town: Town, provider: Provider, algorithm: str):
    directory = await directory_of(town, provider)
    for message in (oauthbearer("alice@example.org", provider.token(algorithm)), oauthbearer("", provider.token(algorithm))):
        account, asked = await enter(directory, message)
        assert account is not None and account.name == "alice@example.org" and asked == []
    account, _ = await enter(directory, xoauth2("Alice@Example.ORG", provider.token(algorithm)), "XOAUTH2")
    assert account is not None
    assert provider.asked == ["/realm/.well-known/openid-configuration", "/realm/keys"], "keys are fetched once"


async def test_a_bad_token_is_told_as_json_before_it_fails(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    account, (challenge,) = await enter(directory, oauthbearer("alice@example.org", provider.token(exp=1)))
    assert account is None
    assert json.loads(challenge) == {
        "status": "invalid_token",
        "scope": "openid email",
        "openid-configuration": f"{provider.issuer}/.well-known/openid-configuration",
    }
    account, (challenge,) = await enter(directory, xoauth2("alice@example.org", "xxx"), "XOAUTH2")
    assert account is None and json.loads(challenge) == {"status": "401", "schemes": "bearer", "scope": "openid email"}


def forged(provider: Provider, algorithm: str, secret: bytes = b"") -> str:
    _, body, _ = provider.token().split(".")
    header = coded(json.dumps({"alg": algorithm, "kid": "r1"}).encode())
    signature = hmac.digest(secret, f"{header}.{body}".encode(), hashlib.sha256) if secret else b""
    return f"{header}.{body}.{coded(signature)}"


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p.token(exp=1_799_999_000),
        lambda p: p.token(nbf=1_900_000_000),
        lambda p: p.token(exp="never"),
        lambda p: p.token(iss="https://elsewhere.example"),
        lambda p: p.token(aud="another"),
        lambda p: p.token(aud=["another"]),
        lambda p: p.token(email="bob@example.org"),
        lambda p: p.token(email="nobody@example.org"),
        lambda p: p.token(email=["alice@example.org"]),
        lambda p: p.token(email=""),
        lambda p: p.token(email_verified=False),
        lambda p: p.token(kid="e1"),
        lambda p: p.token("ES256", kid="r1"),
        lambda p: p.token(head={"crit": ["exp"]}),
        lambda p: p.token()[:-4] + "AAAA",
        lambda p: p.token().replace(".", "", 1),
        lambda p: forged(p, "none"),
        lambda p: forged(p, "HS256", json.dumps(p.keys[0]).encode()),
        lambda p: "opaque",
    ],
)
async def test_no_other_token_opens_anything(town: Town, provider: Provider, make: Any):
    directory = await directory_of(town, provider)
    account, asked = await enter(directory, oauthbearer("alice@example.org", make(provider)))
    assert account is None and len(asked) == 1


async def test_audiences_may_be_several(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    assert (await enter(directory, oauthbearer("", provider.token(aud=["other", "postillon"]))))[0]


async def test_a_new_key_is_fetched_but_not_for_every_forger(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    assert (await enter(directory, oauthbearer("", provider.token())))[0]
    provider.keys = [provider.rsa_key("r2")]
    for _ in range(5):
        assert (await enter(directory, oauthbearer("", provider.token(kid="r2"))))[0] is None
    town.clock.at += 61
    assert (await enter(directory, oauthbearer("", provider.token(kid="r2"))))[0]
    assert provider.asked.count("/realm/keys") == 2


async def test_without_the_provider_known_keys_are_still_good(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    assert (await enter(directory, oauthbearer("", provider.token())))[0]
    provider.is_down = True
    town.clock.at += 7200
    assert (await enter(directory, oauthbearer("", provider.token())))[0]
    fresh = await directory_of(town, provider)
    with pytest.raises(Unavailable):
        await enter(fresh, oauthbearer("", provider.token()))


async def test_a_provider_that_gives_no_keys_is_not_asked_by_every_login(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    directory._tokens = OAuthTokens(
        settings=OAuthSettings(f"{provider.issuer}/nowhere", "postillon"), clock=town.clock, context=client_context(verify=True)
    )
    for _ in range(5):
        with pytest.raises(Unavailable):
            await enter(directory, oauthbearer("alice@example.org", provider.token()))
    assert len(provider.asked) == 1
    town.clock.at += KEYS_FAILED_S
    with pytest.raises(Unavailable):
        await enter(directory, oauthbearer("alice@example.org", provider.token()))
    assert len(provider.asked) == 2


def test_a_token_of_a_thousand_brackets_is_a_bad_token():
    deep = coded(b"[" * 9000)
    with pytest.raises(jwt.BadToken):
        jwt.claims_of(f"{deep}.{deep}.AAAA", {}, jwt.Expected("a", "b"), 0)


async def test_introspection_is_asked_about_each_token_once_a_minute(town: Town, provider: Provider):
    settings = {"introspection": f"{provider.issuer}/ask", "client_id": "postillon", "client_secret": "s:e cret"}
    directory = await directory_of(town, provider, claim="username", **settings)
    provider.opaque = {
        "good": {"active": True, "username": "alice@example.org"},
        "late": {"active": True, "username": "alice@example.org", "exp": 5},
        "other": {"active": True, "username": "alice@example.org", "aud": "somebody"},
    }
    for _ in range(3):
        assert (await enter(directory, oauthbearer("alice@example.org", "good")))[0]
    assert len(provider.asked) == 1
    for token in ("late", "other", "unknown"):
        assert (await enter(directory, oauthbearer("", token)))[0] is None
    provider.opaque["good"]["active"] = False
    town.clock.at += 61
    assert (await enter(directory, oauthbearer("", "good")))[0] is None
    wrong = await directory_of(town, provider, claim="username", **(settings | {"client_secret": "guessed"}))
    with pytest.raises(Unavailable):
        await enter(wrong, oauthbearer("", "good"))


async def test_a_suspended_account_is_closed_to_tokens_too(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    await directory.suspend("alice@example.org")
    assert (await enter(directory, oauthbearer("", provider.token())))[0] is None


async def test_failures_are_counted_as_with_passwords(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    with pytest.raises(Refusal) as refused:
        for _ in range(12):
            await enter(directory, oauthbearer("alice@example.org", "guess"))
    with pytest.raises(Refusal):
        await enter(directory, oauthbearer("alice@example.org", provider.token()))
    assert refused.value.status == "4.7.0"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"n,a=x,\1\1",
        b"p=tls-unique,,\1auth=Bearer x\1\1",
        b"n,,\1auth=Basic x\1\1",
        b"n,,\1auth=Bearer \1\1",
        b"n,,\1auth=Bearer x y\1\1",
        b"n,,\1auth=Bearer x\1auth=Bearer y\1\1",
        b"n,,\1auth=Bearer " + b"x" * 9000 + b"\1\1",
    ],
)
async def test_broken_messages_are_told_as_such(town: Town, provider: Provider, message: bytes):
    directory = await directory_of(town, provider)
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        with pytest.raises(Refusal) as refused:
            await enter(directory, message, mechanism)
        assert refused.value.code == 501


async def test_tokens_are_offered_only_where_somebody_verifies_them(town: Town, provider: Provider):
    assert "OAUTHBEARER" not in mechanisms(STRANGER, False, False, tokens=town.directory.tokens is not None)
    directory = await directory_of(town, provider)
    offered = mechanisms(STRANGER, False, False, tokens=directory.tokens is not None)
    assert offered[-2:] == ("OAUTHBEARER", "XOAUTH2")
    assert mechanisms(replace(STRANGER, tls=None), False, False, tokens=True) == ()
    with pytest.raises(Refusal):
        await enter(town.directory, oauthbearer("", "x"))


async def test_a_provider_with_tls_must_be_the_one_that_is_meant(tmp_path: Any):
    make_ca(tmp_path)
    chain, key = make_certificate(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with Provider(context) as provider:
        url = f"{provider.issuer}/keys"
        found = await request(url, context=client_context(verify=True, ca_file=str(tmp_path / "ca.pem")))
        assert b'"keys"' in found.body and found.media_type == "application/json"
        with pytest.raises(HttpError):
            await request(url, context=client_context(verify=True))
        for wrong in (
            "ftp://127.0.0.1/",
            "http://",
            "http://example.org:1/",
            f"{provider.issuer}/missing",
            "http://127.0.0.1/a b",
        ):
            with pytest.raises(HttpError):
                await request(wrong, context=context, timeout_s=5)


# --- certificates ------------------------------------------------------------------------------------------------------


async def test_a_certificate_opens_the_account_that_it_names(town: Town, provider: Provider):
    directory = await directory_of(town, provider)
    account = await directory.authenticate_certificate(["x@other.example", "Bob@example.org"], "", STRANGER)
    assert account.name == "bob@example.org"
    both = ["alice@example.org", "bob@example.org"]
    assert (await directory.authenticate_certificate(both, "bob@example.org", STRANGER)).name == "bob@example.org"
    for addresses, name in ((["bob@example.org"], "alice@example.org"), (["x@other.example"], ""), ([], "")):
        with pytest.raises(AuthenticationFailed):
            await directory.authenticate_certificate(addresses, name, STRANGER)
    await directory.suspend("bob@example.org")
    with pytest.raises(AuthenticationFailed) as refused:
        await directory.authenticate_certificate(["bob@example.org"], "", STRANGER)
    assert refused.value.status == "5.7.13"


# --- noise -------------------------------------------------------------------------------------------------------------


def test_any_text_is_a_token_or_refused(provider: Provider):
    rng = random.Random(9)
    keys = jwt.read_keys(json.dumps({"keys": provider.keys}).encode())
    good = provider.token()
    for _ in range(3000):
        text = list(good)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text))
            text[at : at + rng.randrange(3)] = rng.choice(["", ".", "A", "=", "é", "eyJ", "_"])
        if "".join(text) == good:
            continue
        with pytest.raises(jwt.BadToken):
            jwt.claims_of("".join(text), keys, jwt.Expected(provider.issuer, "postillon"), 1_800_000_000)
    for document in (b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": [5]}', b'{"keys": [{"kty": "RSA", "n": 5, "e": "AQAB"}]}'):
        try:
            assert jwt.read_keys(document) == {}
        except jwt.BadToken:
            continue


def test_any_octets_are_a_message_of_the_mechanism_or_refused():
    rng = random.Random(10)
    pieces = [
        b"n,",
        b"a=x",
        b",",
        b"\1",
        b"auth=",
        b"Bearer ",
        b"token",
        b"user=",
        b"y,",
        b"=2C",
        b"\xff",
        b"\0",
        b"host=",
        b"=" * 9,
    ]
    for _ in range(5000):
        message = b"".join(rng.choices(pieces, k=rng.randrange(12)))
        for parse in (sasl.parse_oauthbearer, sasl.parse_xoauth2):
            try:
                found = parse(message)
            except sasl.SaslError:
                continue
            assert found.token and "token" not in repr(found)
