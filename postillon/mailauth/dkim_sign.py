"""Making DKIM signatures: relaxed/relaxed, no `l=`, fields over-signed so that none can be added (RFC 6376 §5, §8.15)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from .canonical import Chunks, Wanted, digests, relaxed_field
from .content import Content

SIGNED = (
    b"From",
    b"To",
    b"Cc",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"MIME-Version",
    b"Content-Type",
    b"Content-Transfer-Encoding",
    b"Reply-To",
    b"In-Reply-To",
    b"References",
)
LIFETIME_S = 7 * 86400
"""A message is on its way for five days at most; a signature that lives longer serves those who send it again and again."""
WANTED = Wanted(True, "sha256", None)
MAX_REPEATS = 20
_LINE = 72


@dataclass(frozen=True, slots=True)
class SigningKey:
    domain: str
    selector: str
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519-sha256"

    def sign(self, data: bytes) -> bytes:
        """RSA takes most of a millisecond, so not on the event loop."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(hashlib.sha256(data).digest())


def sign(header: bytes, chunks: Chunks, keys: Sequence[SigningKey], now: int) -> bytes:
    """DKIM-Signature fields, one for each of *keys*, with CRLF, to be put before *header*. *now*: epoch seconds."""
    content = Content(header, chunks)
    body_hash = digests(chunks(), [WANTED])[WANTED].octets
    return b"".join(_field(content, body_hash, key, now) for key in keys)


def _field(content: Content, body_hash: bytes, key: SigningKey, now: int) -> bytes:
    # One name more than there are fields: the signature then says that there are no others.
    names = [name.lower() for name in SIGNED for _ in range(min(len(content.named(name.lower())), MAX_REPEATS) + 1)]
    lines = [
        f"v=1; a={key.algorithm}; c=relaxed/relaxed;",
        f"d={key.domain}; s={key.selector};",
        f"t={now}; x={now + LIFETIME_S};",
        *folded_names(names),
        f"bh={base64.b64encode(body_hash).decode()};",
    ]
    value = " " + "\r\n\t".join([*lines, "b="])
    data = b"".join([*content.selected(names, True), relaxed_field(b"DKIM-Signature", value.encode())])
    return f"DKIM-Signature:{value}{folded_base64(key.sign(data))}\r\n".encode()


def folded_names(names: Sequence[bytes]) -> list[str]:
    """`h=…;` as lines."""
    lines = ["h="]
    for number, name in enumerate(names):
        word = name.decode() + (":" if number < len(names) - 1 else ";")
        if len(lines[-1]) + len(word) > _LINE:
            lines.append("")
        lines[-1] += word
    return lines


def folded_base64(octets: bytes) -> str:
    text = base64.b64encode(octets).decode()
    return "\r\n\t".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
