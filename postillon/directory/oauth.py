"""Whose an access token is (`seams.TokenVerifier`): a JWT of an OpenID provider, or asked of the provider (RFC 7662).

The provider's keys are fetched at first need, kept, and fetched again when a token names one that is new: not more often
than once a minute, whatever clients send.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import msgspec

from postillon.log import Log
from postillon.model.errors import AuthenticationFailed, Unavailable
from postillon.net.http_client import HttpError, request
from postillon.seams import Clock

from . import jwt
from .jwt import BadToken, Expected, UnknownKey
from .login import FAILED

log = Log("oauth")

KEYS_KEPT_S = 3600
KEYS_AGAIN_S = 60
"""The least time between two fetches."""
KEYS_FAILED_S = 10
"""The least time between two fetches while there are no keys: nobody waits for a provider that is known not to answer."""
ANSWER_KEPT_S = 60
"""How long an answer of introspection counts: clients open several connections at once."""
MAX_ANSWERS = 10_000
MAX_DOCUMENT = 256 * 1024
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    issuer: str
    """URL; its discovery document says the rest (OpenID Connect Discovery §4)."""
    audience: str = ""
    """What tokens for us say that they are for; must be there for JWTs."""
    claim: str = "email"
    """Which claim is the login name."""
    scope: str = ""
    """What clients are told to ask the provider for."""
    introspection: str = ""
    """URL to ask about each token; empty: tokens are JWTs."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)


class OAuthTokens:
    """*context*: whom the provider's certificate is verified with."""

    def __init__(self, *, settings: OAuthSettings, clock: Clock, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._clock = clock
        self._context = context
        self._expected = Expected(settings.issuer, settings.audience)
        self._keys: dict[str, jwt.Key] = {}
        self._fetched_at = self._failed_at = -KEYS_KEPT_S
        self._fetching = asyncio.Lock()
        self._answers: dict[bytes, tuple[int, str]] = {}

    def challenge(self, mechanism: str) -> bytes:
        settings = self._settings
        if mechanism == "XOAUTH2":
            said = {"status": "401", "schemes": "bearer", "scope": settings.scope}
        else:
            discovery = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            said = {"status": "invalid_token", "scope": settings.scope, "openid-configuration": discovery}
        return msgspec.json.encode({name: value for name, value in said.items() if value})

    async def owner(self, token: str) -> str:
        try:
            if self._settings.introspection:
                return await self._asked(token)
            return self._name(await self._claims(token))
        except BadToken as error:
            raise AuthenticationFailed(FAILED, detail=f"token: {error}") from error
        except HttpError as error:
            log.warning("the provider of tokens does not answer", reason=str(error))
            raise Unavailable("Tokens cannot be verified now; try again later", detail=str(error)) from error

    def _name(self, claims: dict[str, Any]) -> str:
        name = claims.get(self._settings.claim)
        if not isinstance(name, str) or not name or len(name) > 320:
            raise BadToken(f"no claim {self._settings.claim}")
        if self._settings.claim == "email" and claims.get("email_verified") is False:
            raise BadToken("its address is not verified")
        return name

    # --- JWTs ------------------------------------------------------------------------------------------------------

    async def _claims(self, token: str) -> dict[str, Any]:
        now = self._clock.now()
        if now - self._fetched_at >= KEYS_KEPT_S:
            await self._fetch(now, KEYS_KEPT_S)
        try:
            return jwt.claims_of(token, self._keys, self._expected, now)
        except UnknownKey:
            await self._fetch(now, KEYS_AGAIN_S)
            return jwt.claims_of(token, self._keys, self._expected, now)

    async def _fetch(self, now: int, age: int) -> None:
        """Read the provider's keys unless they were read less than *age* seconds ago."""
        async with self._fetching:
            if now - self._fetched_at < age:
                return
            if now - self._failed_at < KEYS_FAILED_S:
                raise HttpError("it did not a moment ago")
            try:
                document = await self._document(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
                place = document.get("jwks_uri")
                if document.get("issuer") != self._settings.issuer or not isinstance(place, str):
                    raise HttpError("the discovery document is another issuer's")  # OpenID Connect Discovery §4.3
                answer = await request(place, context=self._context, limit=MAX_DOCUMENT, timeout_s=TIMEOUT_S)
                self._keys = jwt.read_keys(answer.body)
            except (HttpError, BadToken) as error:
                if not self._keys:
                    self._failed_at = self._clock.now()
                    raise HttpError(str(error)) from error
                # The keys that are known stay good; the next try comes later.
                log.warning("keys are not fetched", issuer=self._settings.issuer, reason=str(error))
            self._fetched_at = now

    async def _document(self, url: str) -> dict[str, Any]:
        answer = await request(url, context=self._context, limit=MAX_DOCUMENT, timeout_s=TIMEOUT_S)
        return _object(answer.body)

    # --- introspection ---------------------------------------------------------------------------------------------

    async def _asked(self, token: str) -> str:
        now, key = self._clock.now(), hashlib.sha256(token.encode()).digest()
        until, name = self._answers.get(key, (0, ""))
        if until > now:
            return name
        claims = await self._introspect(token)
        name = self._name(claims)
        expires = claims.get("exp")
        until = min(now + ANSWER_KEPT_S, int(expires) if isinstance(expires, int | float) else now + ANSWER_KEPT_S)
        if len(self._answers) >= MAX_ANSWERS:
            self._answers.clear()
        self._answers[key] = (until, name)
        return name

    async def _introspect(self, token: str) -> dict[str, Any]:
        """RFC 7662 §2. Raises BadToken, HttpError."""
        settings = self._settings
        # RFC 6749 §2.3.1: both are form-encoded first.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}".encode()
        fields = {
            "Authorization": f"Basic {base64.b64encode(pair).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = f"token={quote_plus(token)}&token_type_hint=access_token".encode()
        answer = await request(
            settings.introspection, body=body, fields=fields, context=self._context, limit=MAX_DOCUMENT, timeout_s=TIMEOUT_S
        )
        claims, now = _object(answer.body), self._clock.now()
        if claims.get("active") is not True:
            raise BadToken("not active")
        # RFC 7662 §2.2: all but `active` may be missing; what is there must be right.
        told = {"iss": settings.issuer, "aud": settings.audience, "exp": now + 1}
        told |= {name: claims[name] for name in ("iss", "exp", "nbf", *(("aud",) if settings.audience else ())) if name in claims}
        jwt.check_claims(told, self._expected, now)
        return claims


def _object(document: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpError("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise HttpError("the answer is not a JSON object")
    return found
