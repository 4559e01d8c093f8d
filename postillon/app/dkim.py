"""The DKIM keys in the data directory: `dkim/DOMAIN/SELECTOR.pem`, and which of them sign.

A key is *waiting* (published, not used yet), *signing*, or *retired* (not used any more, still published for what is on its
way). `state.json` beside the keys has each one's state and since when; a key that is not in it signs. Workers notice changes by
the directory's time. Nothing here asks DNS: `dkim_rotation` does, before keys change their state.
"""

from __future__ import annotations

import base64
import json
import os
import string
from collections.abc import Iterator, Sequence
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

from ..log import Log
from ..mailauth.dkim_sign import SigningKey
from ..model.address import AddressError, parse_domain
from ..model.errors import AlreadyExists, NotFound, Refusal

log = Log("dkim")

WAITING, SIGNING, RETIRED = "waiting", "signing", "retired"
RETIRED_FOR_S = 7 * 86_400
"""How long the record of a retired key stays published: so long mail that it signed may be on its way."""
STATE = "state.json"
Entry = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class DkimKey:
    domain: str
    selector: str
    state: str
    path: Path
    since: int = 0
    """Epoch seconds; 0: not known."""
    seen: int = 0
    """When a waiting key was first seen in DNS; 0: not yet."""

    @property
    def record_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def algorithm(self) -> str:
        return SigningKey(self.domain, self.selector, load(self.path)).algorithm


def load(path: Path) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    """Raises Refusal for a file that is no key of ours."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise Refusal(f"The key {path.name} cannot be read", status="5.3.5", detail=f"{path}: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise Refusal(f"The key {path.name} is neither RSA nor Ed25519", status="5.3.5")
    return key


def make_pair(directory: Path, mark: str) -> dict[str, Path]:
    """RSA-2048 and Ed25519 (RFC 8463) keys in *directory*, those made that are not there: selector → PEM file (0600)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    for kind in ("r", "e"):
        path = directory / f"{kind}{mark}.pem"
        if not path.exists():
            key = rsa.generate_private_key(65537, 2048) if kind == "r" else ed25519.Ed25519PrivateKey.generate()
            _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made[path.stem] = path
    return made


def _write(path: Path, octets: bytes) -> None:
    """Whole or not at all, readable by its owner only."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def quoted(text: str) -> str:
    """*text* as a zone file has it: a character-string of DNS holds 255 octets (RFC 1035 §3.3)."""
    return " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))


def record_text(path: Path) -> str:
    """The TXT record that publishes the key in *path* (RFC 6376 §3.6.1, RFC 8463 §4), in one piece."""
    public = load(path).public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        kind, octets = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind, octets = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode()}"


class DkimKeys:
    """All keys under *root* (the data directory's `dkim`)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[int, tuple[SigningKey, ...]]] = {}

    def signing(self, domain: str) -> Sequence[SigningKey]:
        """The keys that sign for *domain* (canonical) now."""
        try:
            changed = os.stat(self._root / domain).st_mtime_ns
        except OSError:
            return ()
        known = self._known.get(domain)
        if known is None or known[0] != changed:
            known = self._known[domain] = (changed, tuple(self._load(domain)))
        return known[1]

    def _load(self, domain: str) -> Iterator[SigningKey]:
        """A key that cannot be read is told to the log; mail goes out without its signature."""
        try:
            wanted = [one for one in self.of(domain) if one.state == SIGNING]
        except Refusal as refusal:
            log.error("DKIM keys not usable", domain=domain, reason=refusal.text, detail=refusal.detail)
            return
        for one in wanted:
            try:
                yield SigningKey(domain, one.selector, load(one.path))
            except Refusal as refusal:
                log.error("DKIM key not usable", domain=domain, reason=refusal.text, detail=refusal.detail)

    def domains(self) -> list[str]:
        return sorted(path.name for path in self._root.glob("*/")) if self._root.is_dir() else []

    def of(self, domain: str) -> list[DkimKey]:
        """All keys of *domain*; RSA first."""
        directory = self._directory(domain)
        states = self._states(directory)
        paths = sorted(directory.glob("*.pem"), reverse=True)
        return [DkimKey(directory.name, path.stem, *_state(states.get(path.stem), path)) for path in paths]

    def add(self, domain: str, month: str) -> list[DkimKey]:
        """A first pair, which signs at once. *month* (`202611`) becomes part of the selectors. Raises AlreadyExists."""
        if self.of(domain):
            raise AlreadyExists(f"{domain} has keys already; `postillon dkim rotate {domain}` makes new ones")
        make_pair(self._directory(domain), month)
        return self.of(domain)

    def rotate(self, domain: str, month: str, now: int = 0) -> list[DkimKey]:
        """The next step: a new pair that waits to be published, or, if one waits, it signs and the former is retired.

        *now*: epoch seconds, to be remembered.
        """
        keys = self.of(domain)
        if not keys:
            raise NotFound(f"{domain} has no keys; `postillon dkim add {domain}` makes them", status="5.1.2")
        directory = self._directory(domain)
        states = {one.selector: _entry(one.state, one.since, one.seen) for one in keys}
        if any(one.state == WAITING for one in keys):
            after = {WAITING: SIGNING, SIGNING: RETIRED}
            states |= {one.selector: _entry(after[one.state], now) for one in keys if one.state != RETIRED}
            self._remember(directory, states)
        else:
            mark = next(month + letter for letter in ("", *string.ascii_lowercase) if f"r{month}{letter}" not in states)
            # The state first: a key without one signs.
            self._remember(directory, states | {f"{kind}{mark}": _entry(WAITING, now) for kind in "re"})
            make_pair(directory, mark)
        return self.of(domain)

    def saw(self, domain: str, now: int) -> list[DkimKey]:
        """All waiting keys of *domain* are in DNS. Remembers the first time."""
        states = {one.selector: _entry(one.state, one.since, one.seen or now * (one.state == WAITING)) for one in self.of(domain)}
        self._remember(self._directory(domain), states)
        return self.of(domain)

    def retire(self, selector: str, domain: str = "", now: int = 0) -> DkimKey:
        """Remove a key that does not sign any more. *domain* is needed where several have that selector. Raises Refusal.

        With *now* (epoch seconds) a key that was retired less than RETIRED_FOR_S ago is refused.
        """
        found = [one for name in ([domain] if domain else self.domains()) for one in self.of(name) if one.selector == selector]
        if not found:
            raise NotFound(f"There is no key {selector}", status="5.1.2")
        if len(found) > 1:
            raise Refusal(f"Several domains have a key {selector}: {', '.join(one.domain for one in found)}", status="5.5.4")
        (key,) = found
        if key.state == SIGNING:
            raise Refusal(f"{selector} signs for {key.domain}; rotate first", status="5.5.4")
        if now and key.state == RETIRED and key.since + RETIRED_FOR_S > now:
            days = -(-(key.since + RETIRED_FOR_S - now) // 86_400)
            raise Refusal(
                f"Mail signed with {selector} may be on its way for {days} more days; --force removes it now", status="5.5.4"
            )
        key.path.unlink()
        directory = self._directory(key.domain)
        self._remember(directory, {one: entry for one, entry in self._states(directory).items() if one != selector})
        return key

    def _directory(self, domain: str) -> Path:
        try:
            name = parse_domain(domain)
        except AddressError as error:
            raise Refusal(f"{domain}: {error}", status="5.1.2") from error
        return self._root / name

    def _states(self, directory: Path) -> dict[str, Entry]:
        try:
            found = json.loads((directory / STATE).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Refusal(f"{directory / STATE} cannot be read", status="5.3.5", detail=str(error)) from error
        # Before there were times in it, an entry was the state alone.
        return {str(selector): one if isinstance(one, dict) else _entry(str(one), 0) for selector, one in found.items()}

    def _remember(self, directory: Path, states: dict[str, Entry]) -> None:
        _write(directory / STATE, json.dumps(states, indent=1).encode())


def _entry(state: str, since: int, seen: int = 0) -> Entry:
    return {"state": state, "since": since, **({"seen": seen} if seen else {})}


def _state(entry: Entry | None, path: Path) -> tuple[str, Path, int, int]:
    """(state, path, since, seen). Raises Refusal for an entry that is none."""
    if entry is None:
        return SIGNING, path, int(path.stat().st_mtime), 0
    state, since, seen = entry.get("state"), entry.get("since", 0), entry.get("seen", 0)
    if state not in (WAITING, SIGNING, RETIRED) or not isinstance(since, int) or not isinstance(seen, int):
        raise Refusal(f"{path.with_name(STATE)} cannot be read", status="5.3.5", detail=f"{path.stem}: {entry}")
    return str(state), path, since, seen
