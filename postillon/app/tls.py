"""Which certificate files a worker uses."""

from __future__ import annotations

import os
from pathlib import Path

from ..config import Config


def chains(config: Config) -> list[tuple[Path, Path]]:
    """(certificate chain, key): the configured ones (in the copy that the supervisor made for our user), or our own."""
    data = Path(config.data)
    if not config.tls.certificate:
        return [(data / "cert.pem", data / "key.pem")]
    if config.user and os.path.isdir(data / "run" / "tls"):
        return [(data / "run" / "tls" / "cert.pem", data / "run" / "tls" / "key.pem")]
    return [(Path(config.tls.certificate), Path(config.tls.key))]
