"""One login, whatever the protocol: drives a SASL mechanism between a session and the `Directory`.

The sessions give an `ask` that puts a challenge into their protocol's clothes and returns the client's response. They offer
what `mechanisms` says, and refuse what it does not say before they call `login`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence

from postillon.model.account import Account
from postillon.model.envelope import Client
from postillon.model.errors import AuthenticationFailed, NotAuthorized, Refusal
from postillon.protocols import sasl, scram
from postillon.protocols.sasl import Claim, OtherIdentity, SaslError
from postillon.seams import Directory, TokenVerifier

Ask = Callable[[bytes], Awaitable[bytes | None]]
"""Sends a raw challenge, returns the decoded response; None: the client gave up (`*`)."""
Binding = Callable[[str], bytes | None]

FAILED = "Authentication failed"


def mechanisms(
    client: Client, plaintext_allowed: bool, has_binding: bool, *, tokens: bool = False, certified: bool = False
) -> tuple[str, ...]:
    """What to advertise on this connection now, best first; nothing on one that is neither encrypted nor allowed in clear.

    *tokens*: the directory knows who issues tokens; *certified*: the client has a certificate with an address.
    """
    if client.tls is None and not plaintext_allowed:
        return ()
    plus = sasl.PLUS_MECHANISMS if has_binding and client.tls is not None else ()
    external = (sasl.EXTERNAL,) if certified and client.tls is not None else ()
    return external + plus + sasl.SCRAM_MECHANISMS + sasl.PASSWORD_MECHANISMS + (sasl.TOKEN_MECHANISMS if tokens else ())


def has_binding(binding: Binding) -> bool:
    """May -PLUS be advertised? Only with a binding that is unique to the connection.

    `tls-server-end-point` alone is not enough: clients that know only the unique kinds would choose -PLUS and fail.
    """
    return any(binding(kind) is not None for kind in ("tls-exporter", "tls-unique"))


async def login(
    directory: Directory,
    mechanism: str,
    initial: bytes | None,
    ask: Ask,
    client: Client,
    binding: Binding,
    addresses: Sequence[str] = (),
) -> Account:
    """Run *mechanism* to its end and return the account.

    *addresses*: those of the client's certificate, for EXTERNAL. *initial* is the decoded initial response (None: there was
    none). Raises AuthenticationFailed, AuthenticationDelayed,
    Unavailable, or Refusal for an unknown mechanism (504), a broken message or a client that gives up (501).
    """
    name = mechanism.upper()
    try:
        if name == "PLAIN":
            return await _password(directory, client, sasl.parse_plain(await _response(initial, b"", ask)))
        if name == "LOGIN":
            user = await _response(initial, sasl.USERNAME_PROMPT, ask)
            claim = sasl.parse_login(user, await _response(None, sasl.PASSWORD_PROMPT, ask))
            return await _password(directory, client, claim)
        if name in sasl.TOKEN_MECHANISMS and directory.tokens is not None:
            return await _token(directory, directory.tokens, name, initial, ask, client)
        if name == sasl.EXTERNAL and addresses:
            identity = sasl.parse_external(await _response(initial, b"", ask))
            return await directory.authenticate_certificate(addresses, identity, client)
        if name in sasl.SCRAM_MECHANISMS + sasl.PLUS_MECHANISMS:
            return await _scram(directory, name, initial, ask, client, binding)
    except OtherIdentity as error:
        raise NotAuthorized("Acting for somebody else is not possible") from error
    except SaslError as error:
        raise Refusal(f"Authentication exchange failed: {error}", status="5.5.2", code=501) from error
    raise Refusal("Authentication mechanism is not supported", status="5.5.4", code=504)


async def login_with_password(directory: Directory, name: bytes, password: bytes, client: Client) -> Account:
    """IMAP's LOGIN and POP3's USER and PASS. Raises as `login`."""
    try:
        claim = sasl.parse_login(name, password)
    except SaslError as error:
        await directory.failed("", client)
        raise AuthenticationFailed(FAILED, detail=str(error)) from error
    return await _password(directory, client, claim)


async def _response(initial: bytes | None, challenge: bytes, ask: Ask) -> bytes:
    response = initial if initial is not None else await ask(challenge)
    if response is None:
        raise Refusal("Authentication cancelled", status="5.7.0", code=501)
    return response


async def _password(directory: Directory, client: Client, claim: Claim) -> Account:
    return await directory.authenticate(claim.name, claim.password, client)


async def _token(
    directory: Directory, tokens: TokenVerifier, mechanism: str, initial: bytes | None, ask: Ask, client: Client
) -> Account:
    message = await _response(initial, b"", ask)
    bearer = sasl.parse_oauthbearer(message) if mechanism == "OAUTHBEARER" else sasl.parse_xoauth2(message)
    try:
        return await directory.authenticate_token(bearer.name, bearer.token, client)
    except AuthenticationFailed:
        # RFC 7628 §3.2.3: what is wrong goes as a challenge, and whatever the client says to it the exchange has failed.
        await ask(tokens.challenge(mechanism))
        raise


async def _scram(
    directory: Directory, mechanism: str, initial: bytes | None, ask: Ask, client: Client, binding: Binding
) -> Account:
    nonce = secrets.token_urlsafe(24).encode()
    exchange = scram.ScramServer(mechanism, nonce, binding=binding, offers_plus=has_binding(binding))
    name = exchange.first(await _response(initial, b"", ask))
    keys, account = await directory.scram_keys(name, scram.base_mechanism(mechanism))
    proof = exchange.final(await _response(None, exchange.challenge(keys), ask))
    if proof is None or account is None:
        await directory.failed(name, client)
        raise AuthenticationFailed(FAILED, detail="wrong proof" if account else "unknown name")
    account = await directory.admit(account, client)
    # RFC 4954 §4, RFC 5034 §4, RFC 9051 §6.2.2: success carries no data, so the server's proof goes as one more challenge.
    if await _response(None, proof, ask):
        raise SaslError("the last response must be empty")
    return account
