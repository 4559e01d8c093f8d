"""The one login of all protocols, mechanism by mechanism, against a real directory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from postillon.directory.login import has_binding, login, login_with_password, mechanisms
from postillon.model.account import Account
from postillon.model.envelope import Client, Tls
from postillon.model.errors import AuthenticationFailed, Refusal
from postillon.protocols.sasl import ClientExchange, LoginClient, PlainClient
from postillon.protocols.scram import ScramClient

from .conftest import STRANGER, Town

TLS = Tls("TLSv1.3", "TLS_AES_128_GCM_SHA256")


def unbound(kind: str) -> bytes | None:
    return None


def bound(kind: str) -> bytes | None:
    return b"u" * 12 if kind == "tls-unique" else None


async def run(
    town: Town, client: ClientExchange, *, ir: bool = True, binding: Callable[[str], bytes | None] = unbound
) -> Account:
    """The client's exchange as a session would carry it."""
    initial = client.initial()

    async def ask(challenge: bytes) -> bytes | None:
        if not ir and challenge == b"" and initial is not None:
            return initial
        return client.respond(challenge)

    account = await login(town.directory, client.mechanism, initial if ir else None, ask, STRANGER, binding)
    assert client.is_complete
    return account


def clients(name: str, password: str) -> list[ClientExchange]:
    return [
        PlainClient(name, password),
        LoginClient(name, password),
        ScramClient("SCRAM-SHA-1", name, password, b"nonce"),
        ScramClient("SCRAM-SHA-256", name, password, b"nonce"),
        ScramClient("SCRAM-SHA-256-PLUS", name, password, b"nonce", binding=("tls-unique", b"u" * 12)),
    ]


def test_what_is_offered_depends_on_the_connection() -> None:
    clear, secure = Client("192.0.2.1"), Client("192.0.2.1", tls=TLS)
    assert mechanisms(clear, False, False) == ()
    assert mechanisms(clear, True, False) == ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN")
    assert mechanisms(secure, False, False) == ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN")
    assert mechanisms(secure, False, True)[:2] == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")
    assert has_binding(bound)
    assert not has_binding(lambda kind: b"h" if kind == "tls-server-end-point" else None)


@pytest.mark.parametrize("which", range(5), ids=["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
async def test_every_mechanism_logs_in_and_refuses(town: Town, which: int) -> None:
    await town.directory.create_domain("example.test")
    alice = await town.directory.create_account("Alice@Example.Test", "sécret, =1")
    for ir in (True, False):
        client = clients("ALICE@example.test", "sécret, =1")[which]
        assert await run(town, client, ir=ir, binding=bound) == alice
    for name, password in (("alice@example.test", "wrong"), ("nobody@example.test", "sécret, =1"), ("alice", "sécret, =1")):
        with pytest.raises(AuthenticationFailed) as caught:
            await run(town, clients(name, password)[which], binding=bound)
        assert caught.value.text == "Authentication failed"


async def test_a_client_may_give_up_at_every_step(town: Town) -> None:
    await town.directory.create_domain("example.test")
    await town.directory.create_account("alice@example.test", "secret")
    for client in clients("alice@example.test", "secret"):
        for given_up_at in range(3):
            left = [given_up_at]

            async def ask(challenge: bytes, client: ClientExchange = client, left: list[int] = left) -> bytes | None:
                left[0] -= 1
                return None if left[0] < 0 else (client.initial() if challenge == b"" else client.respond(challenge))

            if client.mechanism == "PLAIN" and given_up_at:
                continue
            fresh = next(c for c in clients("alice@example.test", "secret") if c.mechanism == client.mechanism)
            client.__dict__.update(fresh.__dict__)
            try:
                await login(town.directory, client.mechanism, None, ask, STRANGER, bound)
            except Refusal as refusal:
                assert (refusal.code, refusal.text) == (501, "Authentication cancelled")
            else:
                assert client.mechanism == "LOGIN" and given_up_at == 2


async def test_broken_messages_and_unknown_mechanisms_have_their_codes(town: Town) -> None:
    async def ask(challenge: bytes) -> bytes | None:
        return b"\xff\xff"

    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
        with pytest.raises(Refusal) as caught:
            await login(town.directory, mechanism, None, ask, STRANGER, unbound)
        assert (caught.value.code, caught.value.status) == (501, "5.5.2")
    with pytest.raises(Refusal) as caught:
        await login(town.directory, "CRAM-MD5", None, ask, STRANGER, unbound)
    assert (caught.value.code, caught.value.status) == (504, "5.5.4")


async def test_the_last_response_of_scram_must_be_empty(town: Town) -> None:
    await town.directory.create_domain("example.test")
    await town.directory.create_account("alice@example.test", "secret")
    client = ScramClient("SCRAM-SHA-256", "alice@example.test", "secret", b"nonce")

    async def ask(challenge: bytes) -> bytes | None:
        return client.respond(challenge) or b"more"

    with pytest.raises(Refusal) as caught:
        await login(town.directory, "SCRAM-SHA-256", client.initial(), ask, STRANGER, unbound)
    assert caught.value.code == 501


async def test_names_and_passwords_of_user_and_pass(town: Town) -> None:
    await town.directory.create_domain("example.test")
    alice = await town.directory.create_account("alice@example.test", "secret")
    assert await login_with_password(town.directory, b"alice@example.test", b"secret", STRANGER) == alice
    for name, password in ((b"alice@example.test", b"x"), (b"", b"secret"), (b"alice@example.test", b"\xff")):
        with pytest.raises(AuthenticationFailed):
            await login_with_password(town.directory, name, password, STRANGER)
