"""TLS contexts: ours as a server (certificates read again when their files change) and as a client.

TLS 1.2 and up (RFC 8996, RFC 9325). Making certificates is `postillon.net.certificates`, offered here too.
"""

from __future__ import annotations

import _ssl
import asyncio.sslproto
import ctypes
import hashlib
import os
import ssl
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ..log import Log
from . import exporter
from .certificates import make_ca, make_certificate

__all__ = [
    "ServerContext",
    "ServerTls",
    "check_alpn",
    "client_context",
    "cut_buffers",
    "end_point",
    "make_ca",
    "make_certificate",
    "server_context",
    "shown_chain",
]

log = Log("tls")

BUFFER = 16 * 1024
"""One TLS record (RFC 8446 §5.1)."""
SHUTDOWN_S = 30.0
"""How long we wait for the peer to take what is left and to answer our close_notify."""
HANDSHAKE_S = 30.0
_M_MMAP_THRESHOLD = -3  # malloc.h

SERVER_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
"""TLS 1.2 only; all with forward secrecy. TLS 1.3 has its own list, which needs no cutting."""
OPPORTUNISTIC_CIPHERS = "DEFAULT:!aNULL:!eNULL:@SECLEVEL=1"
"""Towards a server whose certificate we do not check anyway, an old cipher is better than no cipher."""

PROTOCOLS = (
    "smtp",
    "imap",
    "pop3",
    "managesieve",
    "h2",
    "http/1.1",
    "http/1.0",
    "ftp",
    "xmpp-client",
    "xmpp-server",
    "nntp",
    "irc",
)
"""ALPN names that a client may offer; the first that both know is chosen, in our order."""


@cache
def cut_buffers() -> None:
    """Both loops give each TLS connection a buffer of 256 KiB. Once a process, make that cheaper.

    asyncio fills it with zeros, so there we make it one record long. uvloop does not touch what it does not need, which
    costs nothing as long as the buffer is fresh from the kernel: glibc gives up that for blocks of this size after the
    first is freed, unless its threshold is fixed (its first value here). Then idle connections stay small after busy ones.
    """
    protocol = asyncio.sslproto.SSLProtocol
    if getattr(protocol, "max_size", 0) > BUFFER:
        protocol.max_size = BUFFER
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
    except (AttributeError, OSError):  # not glibc
        pass


class ServerContext(ssl.SSLContext):
    """A server's SSLContext that knows for which protocol it is, and which certificates it shows."""

    alpn: str
    end_points: tuple[bytes, ...]
    """RFC 5929 §4.1 `tls-server-end-point` of each certificate."""


def end_point(certificate: bytes) -> bytes:
    """RFC 5929 §4.1: the hash of a certificate (DER) by its signature's hash, SHA-256 for MD5, SHA-1 and those without one."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    weak = algorithm is None or isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return hashlib.new("sha256" if weak or algorithm is None else algorithm.name, certificate).digest()


def server_context(chains: Sequence[tuple[Path, Path]], protocol: str, clients: Path | None = None) -> ServerContext:
    """A context for *chains*, each (certificate chain, key) as PEM files; with several the client's abilities decide.

    *protocol* is the ALPN name (RFC 7301; `smtp`, `imap`, `pop3`). A client that offers names and not this one is refused
    (see `check_alpn`); one that offers none is welcome. *clients*: PEM file of authorities; clients are then asked for a
    certificate, and one that is not theirs ends the handshake. Raises OSError (ssl.SSLError) if a file cannot be used.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SERVER_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols([protocol, *(name for name in PROTOCOLS if name != protocol)])
    points = []
    for certificate, key in chains:
        context.load_cert_chain(certificate, key)
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        points.append(end_point(leaf.public_bytes(Encoding.DER)))
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_OPTIONAL
    context.alpn = protocol
    context.end_points = tuple(points)
    return context


class WrongProtocol(ssl.SSLError):
    """A failure of the handshake that we see, not OpenSSL. Like OpenSSL's it has a reason for the log."""

    @property
    def reason(self) -> str:  # type: ignore[override]
        return str(self)


def check_alpn(tls: ssl.SSLObject | None) -> None:
    """Raise WrongProtocol if a client of ours came for another protocol (ALPACA: a browser lured onto a mail port).

    Python's ssl goes on without ALPN where nothing matches, and hides what was offered. So we offer every name a client
    of something else would, our own first, and look which was chosen.
    """
    if tls is None or not isinstance(tls.context, ServerContext):
        return
    chosen = tls.selected_alpn_protocol()
    if chosen is not None and chosen != tls.context.alpn:
        raise WrongProtocol(f"the client speaks {chosen}, not {tls.context.alpn}")


class ServerTls:
    """The certificates of a listener: gives a context, a new one after the files have changed.

    *chains* as for `server_context`. Files that cannot be used (half-written in a renewal) leave the old context in place.
    """

    def __init__(
        self, chains: Sequence[tuple[Path, Path]], protocol: str, *, clients: Path | None = None, check_every_s: float = 2.0
    ) -> None:
        self._clients = clients
        self._chains = [(Path(certificate), Path(key)) for certificate, key in chains]
        self._protocol = protocol
        self._check_every_s = check_every_s
        self._context: ServerContext | None = None
        self._state: tuple[object, ...] = ()
        self._checked = 0.0

    def context(self) -> ServerContext:
        """The context for the next handshake. Raises OSError if there never was a usable one."""
        now = time.monotonic()
        if self._context is not None and now - self._checked < self._check_every_s:
            return self._context
        self._checked = now
        exporter.check()  # once a process, before the first connection
        try:
            state = self._file_state()
            if self._context is None or state != self._state:
                self._context = server_context(self._chains, self._protocol, self._clients)
                self._state = state
        except (OSError, ValueError) as error:
            if self._context is None:
                raise
            log.warning("certificate not read again", reason=str(error), file=str(self._chains[0][0]))
        return self._context

    def _file_state(self) -> tuple[object, ...]:
        files = [path for chain in self._chains for path in chain] + ([self._clients] if self._clients is not None else [])
        stats = [os.stat(path) for path in files]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)


def shown_chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """All certificates that the peer sent, DER. Python has a public way only from 3.13 on."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain())
    found = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]
    return tuple(certificate.public_bytes(_ssl.ENCODING_DER) for certificate in found)


@lru_cache(maxsize=16)
def client_context(*, verify: bool, ca_file: str | None = None) -> ssl.SSLContext:
    """A client's context.

    *verify*: the chain up to *ca_file* (the system's authorities if None) and the name given to `Stream.start_tls` are
    checked. Otherwise nothing is: opportunistic TLS (RFC 7435), against listeners only.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if verify:
        if ca_file is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(ca_file)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(OPPORTUNISTIC_CIPHERS)
    return context
