"""The certificate's files, which root alone may read, copied for the user that the workers run as."""

from __future__ import annotations

import os
from pathlib import Path

from ..config import Config
from .errors import StartError
from .privileges import identity


def publish(config: Config) -> bool:
    """Copy certificate and key to `run/tls` in the data directory if they changed and we run as root for somebody else.

    True if something was copied. Raises StartError when they cannot be read or written.
    """
    ids = identity(config.user, config.group)
    if not config.tls.certificate or ids is None:
        return False
    target = Path(config.data) / "run" / "tls"
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(target, *ids)
        # The key first: whoever reads both in between finds a pair that does not fit, keeps the old one and looks again.
        copied = [
            _copy(Path(config.tls.key), target / "key.pem", ids),
            _copy(Path(config.tls.certificate), target / "cert.pem", ids),
        ]
    except OSError as error:
        raise StartError(f"{error.filename}: {error.strerror}") from error
    return any(copied)


def _copy(source: Path, target: Path, ids: tuple[int, int]) -> bool:
    content = source.read_bytes()
    if target.exists() and target.read_bytes() == content:
        return False
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        os.fchown(descriptor, *ids)
        file.write(content)
    os.replace(fresh, target)
    return True
