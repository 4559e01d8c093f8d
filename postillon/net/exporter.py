"""`tls-exporter` channel binding (RFC 9266): what Python's ssl leaves out, called in OpenSSL itself.

Python's SSL objects hold OpenSSL's pointer at a place that no interface promises. So nothing here runs before `check` has
seen it work in a child process, where a wrong guess may crash. This file imports nothing of ours: the child runs it alone.
"""

from __future__ import annotations

import _ssl
import ctypes
import functools
import resource
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Callable

LABEL = b"EXPORTER-Channel-Binding"
SIZE = 32
_POINTER_AT = 24
"""PySSLSocket: the object's head (16 octets), `PyObject *Socket`, then `SSL *ssl`; CPython 3.8 and up on 64 bits."""

_TYPE = getattr(_ssl, "_SSLSocket", None)

Export = Callable[[int, bytes], bytes | None]


def exported(tls: ssl.SSLObject) -> bytes | None:
    """The binding of a finished TLS 1.3 handshake; None on older versions, or if `check` has not succeeded.

    TLS 1.2 would need the extended master secret (RFC 7627), which we cannot see.
    """
    if not check.cache_info().currsize or not check() or tls.version() != "TLSv1.3":
        return None
    return _export(tls, LABEL)


@functools.cache
def check() -> bool:
    """Whether it works here: tried once, in a child process, for about a twentieth of a second."""
    if not _looks_right():
        return False
    try:
        done = subprocess.run([sys.executable, "-I", __file__], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and done.stdout.strip() == b"works"


def _looks_right() -> bool:
    return (
        sys.implementation.name == "cpython"
        and ctypes.sizeof(ctypes.c_void_p) == 8
        and not hasattr(sys, "gettotalrefcount")  # debug builds have a longer head
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and object.__basicsize__ == 16
        and getattr(_TYPE, "__basicsize__", 0) >= _POINTER_AT + 8
        and _function() is not None
    )


@functools.cache
def _function() -> Export | None:
    """OpenSSL's function, from the very library that Python's ssl uses; None if its names are not visible."""
    try:
        # The handle of the extension module finds the symbols of the libraries it was linked with. PyDLL keeps the GIL.
        function = ctypes.PyDLL(_ssl.__file__).SSL_export_keying_material
    except (AttributeError, OSError):
        return None
    text, size = ctypes.c_char_p, ctypes.c_size_t
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, size, text, size, text, size, ctypes.c_int]
    function.restype = ctypes.c_int

    def export(pointer: int, label: bytes) -> bytes | None:
        out = ctypes.create_string_buffer(SIZE)
        return out.raw if function(pointer, out, SIZE, label, len(label), None, 0, 0) == 1 else None

    return export


def _export(tls: ssl.SSLObject, label: bytes) -> bytes | None:
    inner = tls._sslobj  # type: ignore[attr-defined]
    export = _function()
    if export is None or type(inner) is not _TYPE:
        return None
    pointer = ctypes.c_void_p.from_address(id(inner) + _POINTER_AT).value
    return export(pointer, label) if pointer else None


def _self_test() -> bool:
    """Both ends of a connection export the same, another label gives another value, another connection too."""
    seen = set()
    for _ in range(2):
        client, server = _connected()
        for label in (LABEL, b"EXPORTER-Something-Else"):
            ours, theirs = _export(server, label), _export(client, label)
            if ours is None or ours != theirs or len(ours) != SIZE:
                return False
            seen.add(ours)
    return len(seen) == 4


def _connected() -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """(client, server) after a handshake in memory, with an anonymous cipher so that no certificate is needed."""
    ends = []
    for role in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER):
        context = ssl.SSLContext(role)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH:ADH:@SECLEVEL=0")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends.append((context.wrap_bio(incoming, outgoing, role == ssl.PROTOCOL_TLS_SERVER), incoming, outgoing))
    (client, client_in, client_out), (server, server_in, server_out) = ends
    for _ in range(4):
        for end, outgoing, peer in ((client, client_out, server_in), (server, server_out, client_in)):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            peer.write(outgoing.read())
    return client, server


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("works" if _self_test() else "does not work")
