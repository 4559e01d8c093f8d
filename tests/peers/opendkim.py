"""Debian's opendkim as a milter: it signs for one domain what comes from who has logged in, and verifies the rest."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .processes import installed, wait_until

SELECTOR = "test"


class OpenDkim:
    """Keys are told by a file, so it asks no DNS. *key* signs for *domain*; its public half counts for *others*, too."""

    def __init__(self, directory: Path, domain: str, *others: str) -> None:
        self.socket = directory / "opendkim.sock"
        self.address = f"unix:{self.socket}"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.record = "v=DKIM1; k=rsa; p=" + "".join(public.decode().splitlines()[1:-1])
        (directory / "key.pem").write_bytes(self.key)
        names = (domain, *others)
        (directory / "keys").write_text("".join(f"{SELECTOR}._domainkey.{name} {self.record}\n" for name in names))
        (directory / "internal").write_text("192.0.2.0/24\n")
        self._config = directory / "opendkim.conf"
        self._config.write_text(
            f"Socket local:{self.socket}\nMode sv\nDomain {domain}\nSelector {SELECTOR}\nKeyFile {directory}/key.pem\n"
            f"TestPublicKeys {directory}/keys\nInternalHosts {directory}/internal\nCanonicalization simple/simple\n"
            "Background no\nSyslog no\nRequireSafeKeys no\nAuthservID milter.test\nAlwaysAddARHeader yes\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> OpenDkim:
        with self._config.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen([installed("opendkim"), "-f", "-x", str(self._config)], stdout=log, stderr=log)
        wait_until(self.socket.exists, 20, "opendkim to listen")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
