"""Channel binding for SCRAM's -PLUS: what ties a login to this TLS connection (RFC 5056)."""

from __future__ import annotations

import ssl

from . import exporter
from .tls import ServerContext, end_point


def channel_binding(tls: ssl.SSLObject, kind: str) -> bytes | None:
    """The binding of *kind* for a finished handshake, or None where it is not sound or not to be had.

    `tls-exporter` (RFC 9266; TLS 1.3 only), `tls-server-end-point` (RFC 5929 §4) and `tls-unique` (RFC 5929 §3; TLS 1.2
    only, 1.3 has none).
    """
    if kind == "tls-server-end-point":
        return _server_end_point(tls)
    if kind == "tls-exporter":
        return exporter.exported(tls)
    if kind == "tls-unique" and tls.version() == "TLSv1.2":
        return tls.get_channel_binding("tls-unique")
    return None


def _server_end_point(tls: ssl.SSLObject) -> bytes | None:
    if not tls.server_side:
        certificate = tls.getpeercert(True)
        return end_point(certificate) if certificate else None
    context = tls.context
    # With two certificates ssl does not tell which one was shown.
    if isinstance(context, ServerContext) and len(context.end_points) == 1:
        return context.end_points[0]
    return None
