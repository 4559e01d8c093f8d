"""The DNS records of a mail domain, and the DKIM keys that two of them publish."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.name + '.':<44} {self.type:<4} {self.value}"


def dkim_keys(directory: Path, month: str) -> dict[str, Path]:
    """RSA-2048 and Ed25519 (RFC 8463) keys in *directory*, made if they are not there: selector → PEM file (0600)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    for kind in ("r", "e"):
        path = directory / f"{kind}{month}.pem"
        if not path.exists():
            key = rsa.generate_private_key(65537, 2048) if kind == "r" else ed25519.Ed25519PrivateKey.generate()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made[path.stem] = path
    return made


def dkim_record(selector: str, domain: str, key_file: Path) -> Record:
    """RFC 6376 §3.6.1, RFC 8463 §4."""
    key = load_pem_private_key(key_file.read_bytes(), None).public_key()
    if isinstance(key, ed25519.Ed25519PublicKey):
        kind, octets = "ed25519", key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind, octets = "rsa", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode()}"
    # A character-string of DNS holds 255 octets (RFC 1035 §3.3).
    parts = " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))
    return Record(f"{selector}._domainkey.{domain}", "TXT", parts)


def needed(domain: str, host: str) -> list[Record]:
    """Without these no mail arrives, or what we send is not believed."""
    return [
        Record(domain, "MX", f"10 {host}."),
        Record(host, "A", "the IPv4 address of this machine"),
        Record(host, "AAAA", "its IPv6 address, if it has one"),
        Record(domain, "TXT", '"v=spf1 mx -all"'),
        Record(f"_dmarc.{domain}", "TXT", f'"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"'),
    ]


def for_clients(domain: str, host: str) -> list[Record]:
    """So that mail programs find us by the address alone (RFC 6186, RFC 8314 §5.1)."""
    services = (("submissions", 465), ("submission", 587), ("imaps", 993), ("imap", 143), ("pop3s", 995), ("pop3", 110))
    return [Record(f"_{service}._tcp.{domain}", "SRV", f"0 1 {port} {host}.") for service, port in services]


def for_later(domain: str) -> list[Record]:
    """They promise what this version does not serve yet."""
    return [
        Record(f"_mta-sts.{domain}", "TXT", '"v=STSv1; id=1"'),
        Record(f"_smtp._tls.{domain}", "TXT", f'"v=TLSRPTv1; rua=mailto:postmaster@{domain}"'),
    ]
