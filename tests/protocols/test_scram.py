"""SCRAM: the RFCs' own dialogues, what each broken message does, channel binding and its downgrade."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.model.account import ScramKeys
from postillon.protocols.sasl import SaslError
from postillon.protocols.scram import ScramClient, ScramServer, make_keys

Binding = Callable[[str], bytes | None]


def unbound(kind: str) -> bytes | None:
    return None


def bound(kind: str) -> bytes | None:
    return {"tls-exporter": b"E" * 32, "tls-server-end-point": b"H" * 32}.get(kind)


RFC5802 = (
    "SCRAM-SHA-1",
    "QSXCR+Q6sek8bf92",
    4096,
    b"fyko+d2lbbFgONRv9qkxdawL",
    b"3rfcNHYJY1ZVvWVs7j",
    [
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ],
)
RFC7677 = (
    "SCRAM-SHA-256",
    "W22ZaJ0SNY7soEsUEjb6gQ==",
    4096,
    b"rOprNGfwEbeRWgbNEkqO",
    b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    [
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ],
)


@pytest.mark.parametrize("vector", [RFC5802, RFC7677], ids=["RFC 5802 §5", "RFC 7677 §3"])
def test_the_dialogue_of_the_rfc_is_ours_on_both_sides(vector: tuple[str, str, int, bytes, bytes, list[bytes]]) -> None:
    mechanism, salt, iterations, client_nonce, server_nonce, (first, challenge, final, verdict) = vector
    server = ScramServer(mechanism, server_nonce, binding=unbound, offers_plus=False)
    client = ScramClient(mechanism, "user", "pencil", client_nonce)
    assert client.initial() == first
    assert server.first(first) == "user"
    assert server.challenge(make_keys(mechanism, "pencil", base64.b64decode(salt), iterations)) == challenge
    assert client.respond(challenge) == final
    assert server.final(final) == verdict
    assert not client.is_complete
    assert client.respond(verdict) == b""
    assert client.is_complete


KEYS = make_keys("SCRAM-SHA-256", "secret", b"0123456789abcdef", 4096)


def exchange(
    password: str = "secret",
    mechanism: str = "SCRAM-SHA-256",
    binding: Binding = unbound,
    *,
    offers_plus: bool = False,
    client_binding: tuple[str, bytes] | None = None,
    flag: bytes = b"n",
) -> bytes | None:
    server = ScramServer(mechanism, b"S" * 24, binding=binding, offers_plus=offers_plus)
    client = ScramClient(mechanism, "a=b,c@example.org", password, b"C" * 24, binding=client_binding, flag=flag)
    assert server.first(client.initial()) == "a=b,c@example.org"
    answer = server.final(client.respond(server.challenge(KEYS)))
    if answer is not None:
        client.respond(answer)
        assert client.is_complete
    return answer


def test_a_right_password_is_proved_and_a_wrong_one_is_not() -> None:
    assert exchange("secret") is not None
    assert exchange("Secret") is None


def test_the_keys_do_not_hold_the_password() -> None:
    assert KEYS.stored_key != hashlib.sha256(b"secret").digest()
    assert len(KEYS.stored_key) == len(KEYS.server_key) == 32


@pytest.mark.parametrize("kind", ["tls-exporter", "tls-server-end-point"])
def test_plus_binds_to_the_channel(kind: str) -> None:
    data = bound(kind)
    assert data is not None
    assert exchange(mechanism="SCRAM-SHA-256-PLUS", binding=bound, offers_plus=True, client_binding=(kind, data)) is not None


def test_plus_through_a_man_in_the_middle_fails() -> None:
    with pytest.raises(SaslError, match="do not match"):
        exchange(mechanism="SCRAM-SHA-256-PLUS", binding=bound, offers_plus=True, client_binding=("tls-exporter", b"X" * 32))


def test_a_binding_that_the_connection_has_not_is_refused() -> None:
    with pytest.raises(SaslError, match="unsupported"):
        exchange(mechanism="SCRAM-SHA-256-PLUS", binding=bound, offers_plus=True, client_binding=("tls-unique", b"X" * 12))
    with pytest.raises(SaslError, match="unsupported"):
        exchange(binding=bound, offers_plus=True, client_binding=("tls-exporter", b"E" * 32))


def test_a_downgrade_is_noticed() -> None:
    """RFC 5802 §6: `y` means: I could bind, but you did not offer it."""
    with pytest.raises(SaslError, match="does support"):
        exchange(binding=bound, offers_plus=True, flag=b"y")
    assert exchange(flag=b"y") is not None
    assert exchange(binding=bound, offers_plus=True, flag=b"n") is not None


def test_plus_without_a_binding_is_refused() -> None:
    with pytest.raises(SaslError, match="needs"):
        exchange(mechanism="SCRAM-SHA-256-PLUS", binding=bound, offers_plus=True)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,n=,r=abc",
        b"n,,r=abc,n=user",
        b"x,,n=user,r=abc",
        b"F,n,,n=user,r=abc",
        b"n,,m=ext,n=user,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,n=us=2cer,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,n=\xff\xfe,r=abc",
        b"n,a=other,n=user,r=abc",
        b"n,a=,n=user,r=abc",
        b"n,,n=user,r=a c",
        b"n,,n=user,r=abc\n",
        b"p=,,n=user,r=abc",
        b"p=tls exporter,,n=user,r=abc",
        b"n,,n=user,r=" + b"a" * 300,
        b"n,,n=" + b"u" * 600 + b",r=abc",
        b"n,,n=user,r=abc,x=" + b"y" * 9000,
    ],
)
def test_a_malformed_first_message_is_refused(message: bytes) -> None:
    with pytest.raises(SaslError):
        ScramServer("SCRAM-SHA-256", b"S" * 24, binding=bound, offers_plus=True).first(message)


def test_names_escape_comma_and_equals_sign_and_extensions_are_ignored() -> None:
    server = ScramServer("SCRAM-SHA-256", b"S", binding=unbound, offers_plus=False)
    assert server.first(b"n,a=a=3Db=2Cc,n=a=3Db=2Cc,r=abc,x=later") == "a=b,c"


def broken_final(change: Callable[[bytes], bytes]) -> bytes | None:
    server = ScramServer("SCRAM-SHA-256", b"S" * 24, binding=unbound, offers_plus=False)
    client = ScramClient("SCRAM-SHA-256", "user", "secret", b"C" * 24)
    server.first(client.initial())
    return server.final(change(client.respond(server.challenge(KEYS))))


def test_a_malformed_final_message_is_refused() -> None:
    for change in (
        lambda final: b"",
        lambda final: final + b"\n",
        lambda final: final.replace(b"c=biws", b"c=eSws"),  # `y,,` was not what came first
        lambda final: final.replace(b"c=biws", b"c=bi"),
        lambda final: final.replace(b"r=C", b"r=D"),
        lambda final: final.replace(b"S,p=", b",p="),
        lambda final: final[:-4],
        lambda final: final[: final.index(b",p=")],
        lambda final: final + b",x=y",
    ):
        with pytest.raises(SaslError):
            broken_final(change)


def test_an_exchange_ends_after_one_proof() -> None:
    server = ScramServer("SCRAM-SHA-256", b"S" * 24, binding=unbound, offers_plus=False)
    client = ScramClient("SCRAM-SHA-256", "user", "secret", b"C" * 24)
    server.first(client.initial())
    final = client.respond(server.challenge(KEYS))
    assert server.final(final) is not None
    with pytest.raises(SaslError):
        server.final(final)


def test_a_proof_of_another_exchange_is_refused() -> None:
    server = ScramServer("SCRAM-SHA-256", b"T" * 24, binding=unbound, offers_plus=False)
    client = ScramClient("SCRAM-SHA-256", "user", "secret", b"C" * 24)
    other = ScramServer("SCRAM-SHA-256", b"S" * 24, binding=unbound, offers_plus=False)
    for each in (server, other):
        each.first(client.initial())
        challenge = each.challenge(KEYS)
    with pytest.raises(SaslError, match="nonce"):
        server.final(client.respond(challenge))


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=CCC,s=AAAA,i=4096",  # nothing of the server's own in the nonce
        b"r=XCCC9,s=AAAA,i=4096",
        b"r=CCC9,s=AAAA,i=4095",
        b"r=CCC9,s=AAAA,i=100000000",
        b"r=CCC9,s=A,i=4096",
        b"e=unknown-user",
        b"r=CCC9,s=AAAA,i=04096",
    ],
)
def test_our_client_refuses_a_server_that_breaks_the_rules(challenge: bytes) -> None:
    client = ScramClient("SCRAM-SHA-256", "user", "secret", b"CCC")
    client.initial()
    with pytest.raises(SaslError):
        client.respond(challenge)


def test_our_client_refuses_a_server_that_does_not_know_the_password() -> None:
    server = ScramServer("SCRAM-SHA-256", b"S" * 24, binding=unbound, offers_plus=False)
    client = ScramClient("SCRAM-SHA-256", "user", "secret", b"C" * 24)
    server.first(client.initial())
    client.respond(server.challenge(KEYS))
    with pytest.raises(SaslError, match="did not prove"):
        client.respond(b"v=" + base64.b64encode(b"x" * 32))
    assert not client.is_complete


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_octets_end_in_a_sasl_error_or_a_wrong_proof(first: bytes, final: bytes) -> None:
    server = ScramServer("SCRAM-SHA-256", b"S" * 24, binding=bound, offers_plus=True)
    try:
        server.first(first)
        server.challenge(KEYS)
        assert server.final(final) is None
    except SaslError:
        pass


def test_every_cut_of_every_message_is_refused() -> None:
    first = ScramClient("SCRAM-SHA-256", "user", "secret", b"C").initial()
    for cut in range(len(first)):
        with pytest.raises(SaslError):
            ScramServer("SCRAM-SHA-256", b"S", binding=unbound, offers_plus=False).first(first[:cut])
    whole = len(b"c=biws,r=,p=") + 48 + 44  # both nonces, a SHA-256 in base64
    assert broken_final(lambda final: final[:whole]) is not None
    for cut in range(whole):
        with pytest.raises(SaslError):
            broken_final(lambda final, cut=cut: final[:cut])  # type: ignore[misc]


def test_made_up_keys_look_like_real_ones() -> None:
    keys = ScramKeys(b"0" * 16, 4096, bytes(32), bytes(32))
    server = ScramServer("SCRAM-SHA-256", b"S" * 24, binding=unbound, offers_plus=False)
    client = ScramClient("SCRAM-SHA-256", "nobody", "secret", b"C" * 24)
    server.first(client.initial())
    assert server.final(client.respond(server.challenge(keys))) is None
