"""Settings of logins without a password: tokens of an OpenID provider, and what is wrong with them; client certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .kinds import Found

if TYPE_CHECKING:
    from .settings import Config


@dataclass(frozen=True, slots=True)
class OAuth:
    issuer: str = ""
    """URL of the OpenID provider whose access tokens are a login; empty: none."""
    audience: str = ""
    """What its tokens for us say that they are for."""
    claim: str = "email"
    """Which claim is the login name."""
    scope: str = ""
    """What clients are told to ask for."""
    introspection: str = ""
    """URL where each token is asked about (RFC 7662); empty: tokens are JWTs."""
    client_id: str = ""
    """Who asks there."""
    client_secret_file: str = ""
    """A file whose first line is the secret."""
    authorities: str = ""
    """PEM file of the authorities that vouch for the provider; empty: the system's."""


def senseless_logins(config: Config) -> Iterator[Found]:
    oauth = config.oauth
    for name in ("issuer", "introspection"):
        url = getattr(oauth, name)
        if url and not _is_secure(url):
            yield ("oauth", name), f"`oauth.{name}`: must be a URL with https (http on a loopback address)"
    if oauth.issuer and not oauth.introspection and not oauth.audience:
        # Else any token that the provider ever made for anybody would open a mailbox.
        yield ("oauth", "audience"), "`oauth.audience`: must say what tokens for this server are for"
    if oauth.introspection and not (oauth.issuer and oauth.client_id and oauth.client_secret_file):
        yield ("oauth", "introspection"), "`oauth.introspection`: needs `issuer`, `client_id` and `client_secret_file` too"
    for service in ("imaps_certificate", "submissions_certificate"):
        if getattr(config.listen, service) and not config.tls.client_authorities:
            yield ("listen", service), f"`listen.{service}`: needs `tls.client_authorities`, who vouch for clients' certificates"


def _is_secure(url: str) -> bool:
    try:
        place = urlsplit(url)
        if place.scheme == "http":
            return ipaddress.ip_address(place.hostname or "").is_loopback
        return place.scheme == "https" and bool(place.hostname)
    except ValueError:
        return False
