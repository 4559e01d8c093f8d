"""An OpenID provider on loopback: a real HTTP server with discovery, keys and introspection. It signs tokens for tests."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def coded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value: int) -> str:
    return coded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Provider:
    """Use as a context. *opaque*: answers of introspection by token."""

    client_id, client_secret = "postillon", "s:e cret"

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.keys = [self.rsa_key("r1"), self.ec_key("e1")]
        self.opaque: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.is_down = False
        provider = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                self.answer(provider.page(self.path))

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.answer(provider.introspected(self.headers.get("Authorization", ""), body))

            def answer(self, page: dict[str, Any] | None) -> None:
                self.send_response(200 if page is not None and not provider.is_down else 503)
                data = json.dumps(page).encode()
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.issuer = f"{'http' if context is None else 'https'}://127.0.0.1:{self.server.server_address[1]}/realm"

    def __enter__(self) -> Provider:
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def rsa_key(self, name: str) -> dict[str, str]:
        numbers = self.rsa.public_key().public_numbers()
        return {"kty": "RSA", "kid": name, "use": "sig", "n": number(numbers.n), "e": number(numbers.e)}

    def ec_key(self, name: str) -> dict[str, str]:
        numbers = self.ec.public_key().public_numbers()
        x, y = (coded(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": name, "x": x, "y": y}

    def page(self, path: str) -> dict[str, Any] | None:
        if path == "/realm/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return {"keys": self.keys} if path == "/realm/keys" else None

    def introspected(self, authorization: str, body: str) -> dict[str, Any] | None:
        wanted = base64.b64encode(b"postillon:s%3Ae+cret").decode()
        if authorization != f"Basic {wanted}":
            return None
        return self.opaque.get(parse_qs(body)["token"][0], {"active": False})

    def token(self, algorithm: str = "RS256", kid: str = "", head: dict[str, Any] | None = None, **claims: Any) -> str:
        header = {"alg": algorithm, "kid": kid or ("e1" if algorithm == "ES256" else "r1"), **(head or {})}
        said = {"iss": self.issuer, "aud": "postillon", "exp": 1 << 33, "email": "alice@example.org", **claims}
        text = f"{coded(json.dumps(header).encode())}.{coded(json.dumps(said).encode())}"
        if algorithm == "ES256":
            r, s = decode_dss_signature(self.ec.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            return f"{text}.{coded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        return f"{text}.{coded(self.rsa.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def oauthbearer(name: str, token: str) -> bytes:
    return f"n,a={name},\1host=mail.example.org\1port=993\1auth=Bearer {token}\1\1".encode()


def xoauth2(name: str, token: str) -> bytes:
    return f"user={name}\1auth=Bearer {token}\1\1".encode()
