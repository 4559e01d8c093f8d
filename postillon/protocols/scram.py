"""SCRAM (RFC 5802, SHA-256: RFC 7677), server and client, with channel binding (-PLUS).

The server never sees the password: it holds `ScramKeys`, made by `make_keys` when the password was set. Nonces are arguments.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Callable

from postillon.model.account import ScramKeys

from .sasl import BINDING_KINDS, MAX_MESSAGE, MAX_NAME, SaslError, prepare, same_identity

DIGESTS = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
MIN_ITERATIONS = 4096  # RFC 5802 §5.1, RFC 7677 §4
MAX_ITERATIONS = 1_000_000
"""A client of ours works no harder than this for a server it does not trust yet."""

Binding = Callable[[str], bytes | None]
"""The connection's channel binding data of a kind, None where there is none."""

_NONCE = rb"[!-+\--~]{1,256}"  # printable, no comma
_EXTENSIONS = rb"(?:,[A-Za-z]=[^,]+)*"
_CLIENT_FIRST = re.compile(
    rb"(?P<header>(?:p=(?P<kind>[A-Za-z0-9.-]{1,64})|(?P<flag>[ny])),(?:a=(?P<authzid>[^,]+))?,)"
    rb"(?P<bare>n=(?P<name>[^,]+),r=(?P<nonce>" + _NONCE + rb")" + _EXTENSIONS + rb")"
)
_CLIENT_FINAL = re.compile(
    rb"(?P<bare>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]{1,512})" + _EXTENSIONS + rb"),p=(?P<proof>[A-Za-z0-9+/=]+)"
)
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>[!-+\--~]{1,512}),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<iterations>[1-9][0-9]{0,9})" + _EXTENSIONS
)


def base_mechanism(mechanism: str) -> str:
    """`SCRAM-SHA-1` for `SCRAM-SHA-1-PLUS`."""
    return mechanism.removesuffix("-PLUS")


def make_keys(mechanism: str, password: str, salt: bytes, iterations: int) -> ScramKeys:
    """What the server keeps (RFC 5802 §3). About 3 ms for 10,000 iterations; *password* is prepared already."""
    digest = DIGESTS[base_mechanism(mechanism)]
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return ScramKeys(salt, iterations, hashlib.new(digest, client_key).digest(), hmac.digest(salted, b"Server Key", digest))


def _base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise SaslError("attribute is not base64") from error


def _encode(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _name(text: bytes) -> str:
    """RFC 5802 §5.1 saslname: `=2C` and `=3D` stand for comma and equals sign, no other `=` may appear."""
    if len(text) > MAX_NAME or re.search(rb"=(?!2C|3D)|\0", text):
        raise SaslError("name is malformed")
    try:
        name = prepare(text.replace(b"=2C", b",").replace(b"=3D", b"=").decode())
    except UnicodeDecodeError as error:
        raise SaslError("name is not UTF-8") from error
    if not name:
        raise SaslError("name is empty")
    return name


class ScramServer:
    """One exchange: `first` tells the name whose keys are wanted, `challenge` takes them, `final` judges the proof."""

    def __init__(self, mechanism: str, nonce: bytes, *, binding: Binding, offers_plus: bool) -> None:
        """*nonce* is fresh and random, printable without comma. *offers_plus*: we advertised -PLUS on this connection."""
        self._digest = DIGESTS[base_mechanism(mechanism)]
        self._is_plus = mechanism.endswith("-PLUS")
        self._own_nonce = nonce
        self._binding = binding
        self._offers_plus = offers_plus
        self._bound = b""
        self._client_first = b""
        self._server_first = b""
        self._nonce = b""
        self._keys: ScramKeys | None = None

    def first(self, message: bytes) -> str:
        """The name in the client's first message. Raises SaslError."""
        found = _CLIENT_FIRST.fullmatch(message) if len(message) <= MAX_MESSAGE else None
        if found is None:
            raise SaslError("malformed first message")  # reserved-mext (`m=`) comes here too: RFC 5802 §5.1
        name = _name(found["name"])
        if found["authzid"] is not None:
            same_identity(_name(found["authzid"]), name)
        self._bound = found["header"] + self._binding_data(found["kind"], found["flag"])
        self._client_first = found["bare"]
        self._nonce = found["nonce"] + self._own_nonce
        return name

    def _binding_data(self, kind: bytes | None, flag: bytes | None) -> bytes:
        """RFC 5802 §6: what `c=` must hold after the header."""
        if kind is None:
            if self._is_plus:
                raise SaslError("the -PLUS mechanism needs channel binding")
            if flag == b"y" and self._offers_plus:
                # The client can bind and believes that we cannot: somebody removed -PLUS from our list.
                raise SaslError("server does support channel binding")
            return b""
        data = self._binding(kind.decode()) if self._is_plus and kind.decode() in BINDING_KINDS else None
        if data is None:
            raise SaslError("unsupported channel binding")
        return data

    def challenge(self, keys: ScramKeys) -> bytes:
        self._keys = keys
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, _encode(keys.salt), keys.iterations)
        return self._server_first

    def final(self, message: bytes) -> bytes | None:
        """The server's last message if the proof is right, None if it is wrong. Raises SaslError for a malformed one."""
        keys, self._keys = self._keys, None  # a nonce serves once
        found = _CLIENT_FINAL.fullmatch(message) if len(message) <= MAX_MESSAGE else None
        if found is None or keys is None:
            raise SaslError("malformed final message")
        if found["nonce"] != self._nonce:
            raise SaslError("nonce is not the one of this exchange")
        if not hmac.compare_digest(_base64(found["binding"]), self._bound):
            raise SaslError("channel bindings do not match")
        proof = _base64(found["proof"])
        if len(proof) != len(keys.stored_key):
            raise SaslError("proof has the wrong length")
        said = b",".join((self._client_first, self._server_first, found["bare"]))
        client_key = _xor(proof, hmac.digest(keys.stored_key, said, self._digest))
        if not hmac.compare_digest(hashlib.new(self._digest, client_key).digest(), keys.stored_key):
            return None
        return b"v=" + _encode(hmac.digest(keys.server_key, said, self._digest))


class ScramClient:
    """The client's side (a `ClientExchange`). *binding* is (kind, data) for -PLUS."""

    def __init__(
        self,
        mechanism: str,
        name: str,
        password: str,
        nonce: bytes,
        *,
        binding: tuple[str, bytes] | None = None,
        flag: bytes = b"n",
    ) -> None:
        self.mechanism = mechanism
        self._digest = DIGESTS[base_mechanism(mechanism)]
        self._password = prepare(password)
        header = b"p=%b,," % binding[0].encode() if binding else flag + b",,"
        self._bound = header + (binding[1] if binding else b"")
        self._nonce = nonce
        escaped = prepare(name).replace("=", "=3D").replace(",", "=2C").encode()
        self._bare = b"n=%b,r=%b" % (escaped, nonce)
        self._first = header + self._bare
        self._expected: bytes | None = None
        self._verified = False

    def initial(self) -> bytes:
        return self._first

    def respond(self, challenge: bytes) -> bytes:
        if self._verified:
            raise SaslError("exchange is over")
        return self._prove(challenge) if self._expected is None else self._verify(challenge)

    @property
    def is_complete(self) -> bool:
        return self._verified

    def _prove(self, challenge: bytes) -> bytes:
        found = _SERVER_FIRST.fullmatch(challenge) if len(challenge) <= MAX_MESSAGE else None
        if found is None or not found["nonce"].startswith(self._nonce) or found["nonce"] == self._nonce:
            raise SaslError("malformed server message")
        iterations = int(found["iterations"])
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise SaslError("iteration count is out of bounds")
        salted = hashlib.pbkdf2_hmac(self._digest, self._password.encode(), _base64(found["salt"]), iterations)
        client_key = hmac.digest(salted, b"Client Key", self._digest)
        stored_key = hashlib.new(self._digest, client_key).digest()
        bare = b"c=%b,r=%b" % (_encode(self._bound), found["nonce"])
        said = b",".join((self._bare, challenge, bare))
        self._expected = hmac.digest(hmac.digest(salted, b"Server Key", self._digest), said, self._digest)
        return bare + b",p=" + _encode(_xor(client_key, hmac.digest(stored_key, said, self._digest)))

    def _verify(self, challenge: bytes) -> bytes:
        signature = challenge.partition(b",")[0]
        if self._expected is None or not hmac.compare_digest(signature, b"v=" + _encode(self._expected)):
            raise SaslError("the server did not prove that it knows the password")
        self._verified = True
        return b""
