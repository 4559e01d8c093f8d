"""The DKIM-Signature field, and ARC-Message-Signature, which is nearly the same (RFC 6376 §3.5, RFC 8617 §4.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from ..message.header import Field
from .canonical import Wanted, relaxed_field
from .names import canonical, is_within
from .tags import TagError, decode_base64, number, parse_tags, without_space

MAX_FIELD = 64 * 1024
MAX_NAMES = 1000
_FORMS = {"simple": False, "relaxed": True}


@dataclass(frozen=True, slots=True)
class Signature:
    field: Field
    domain: str
    selector: str
    identity: str
    """`i=`, or empty."""
    algorithm: str
    """`rsa-sha256`, `ed25519-sha256` or `rsa-sha1`."""
    header_relaxed: bool
    headers: tuple[bytes, ...]
    body: Wanted
    body_hash: bytes
    octets: bytes
    made_at: int | None
    expires: int | None

    @property
    def kind(self) -> str:
        return self.algorithm.partition("-")[0]

    def signed(self, selected: list[bytes]) -> bytes:
        """What is signed: the *selected* fields and this one without its signature (§3.7)."""
        bare = without_signature(self.field.value)
        own = relaxed_field(self.field.name, bare) if self.header_relaxed else self.field.name + b":" + bare
        return b"".join([*selected, own])


def text_of(field: Field) -> str:
    """The value for the tag reader. Raises TagError if it is too long."""
    if len(field.value) > MAX_FIELD:
        raise TagError("field is too long")
    return field.value.decode("utf-8", "surrogateescape")


def without_signature(value: bytes) -> bytes:
    """*value* with the tag `b=` emptied and all else as it was."""
    parts = value.split(b";")
    for number_of, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if equals and name.strip(b" \t\r\n") == b"b":
            parts[number_of] = name + b"="
    return b";".join(parts)


def parse(field: Field, *, is_arc: bool = False) -> Signature:
    """Raises TagError for a field that is no signature or breaks a rule of §3.5."""
    tags = parse_tags(text_of(field))
    for name in (*(("i",) if is_arc else ("v",)), "a", "b", "bh", "d", "h", "s"):
        if not tags.get(name):
            raise TagError(f"tag {name} is missing")
    if not is_arc and tags["v"] != "1":
        raise TagError("unknown version")
    domain, selector = canonical(tags["d"]), canonical(tags["s"])
    if domain is None or selector is None:
        raise TagError("bad domain or selector")
    header_form, _, body_form = tags.get("c", "relaxed/relaxed" if is_arc else "simple/simple").lower().partition("/")
    if header_form not in _FORMS or (body_form or "simple") not in _FORMS:
        raise TagError("unknown canonicalization")
    algorithm = tags["a"].lower()
    if algorithm not in ("rsa-sha256", "ed25519-sha256", "rsa-sha1"):
        raise TagError("unknown algorithm")
    if "q" in tags and "dns/txt" not in tags["q"].lower().split(":"):
        raise TagError("unknown query method")
    headers = tuple(name.strip().lower().encode("utf-8", "surrogateescape") for name in tags["h"].split(":", MAX_NAMES))
    if len(headers) > MAX_NAMES:
        raise TagError("too many signed fields")
    made_at = number(tags["t"]) if "t" in tags else None
    expires = number(tags["x"]) if "x" in tags else None
    if made_at is not None and expires is not None and expires < made_at:
        raise TagError("it expires before it was made")
    return Signature(
        field=field,
        domain=domain,
        selector=selector,
        identity="" if is_arc else _identity(tags.get("i", ""), domain),
        algorithm=algorithm,
        header_relaxed=_FORMS[header_form],
        headers=headers,
        body=Wanted(_FORMS[body_form or "simple"], algorithm.partition("-")[2], number(tags["l"]) if "l" in tags else None),
        body_hash=decode_base64(tags["bh"]),
        octets=decode_base64(tags["b"]),
        made_at=made_at,
        expires=expires,
    )


def _identity(text: str, domain: str) -> str:
    identity = without_space(text)
    if identity:
        name = canonical(identity.rpartition("@")[2])
        if name is None or not is_within(name, domain):
            raise TagError("identity outside of the domain")
    return identity
