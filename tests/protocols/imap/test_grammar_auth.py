"""Commands about the connection: RFC 3501 §6.1, §6.2; RFC 2971, 4959, 4978, 5161."""

import base64

import pytest

from postillon.protocols.imap import commands as c

from .driver import complaint, is_bad, request


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"CAPABILITY", c.Capability()),
        (b"noop", c.Noop()),
        (b"Logout", c.Logout()),
        (b"STARTTLS", c.StartTls()),
        (b"UNAUTHENTICATE", c.Unauthenticate()),
        (b"COMPRESS DEFLATE", c.Compress("DEFLATE")),
        (b"ENABLE CONDSTORE imap4rev2", c.Enable(("CONDSTORE", "IMAP4REV2"))),
        (b"ENABLE UTF8=ACCEPT", c.Enable(("UTF8=ACCEPT",))),
        (b"AUTHENTICATE SCRAM-SHA-256", c.Authenticate("SCRAM-SHA-256")),
        (b"AUTHENTICATE plain =", c.Authenticate("PLAIN", b"")),
        (b"AUTHENTICATE PLAIN " + base64.b64encode(b"\0alice\0secret"), c.Authenticate("PLAIN", b"\0alice\0secret")),
        (b"LOGIN alice secret", c.Login(b"alice", b"secret")),
        (b'LOGIN "alice@example.org" "pa\\"ss\\\\word"', c.Login(b"alice@example.org", b'pa"ss\\word')),
        (b"LOGIN a]b pass]word", c.Login(b"a]b", b"pass]word")),
        (b'LOGIN "" ""', c.Login(b"", b"")),
        ('LOGIN "jürgen" "schlüssel"'.encode(), c.Login("jürgen".encode(), "schlüssel".encode())),
        (b"ID NIL", c.Id()),
        (b"ID ()", c.Id()),
        (b'ID ("name" "sodr" "version" "19.34" "vendor" NIL)', c.Id((("name", "sodr"), ("version", "19.34"), ("vendor", None)))),
    ],
)
def test_they_are_understood(line, value):
    assert request(line) == value


def test_broken_ones_are_bad():
    is_bad(
        [
            b"NOOP now",
            b"NOOP ",
            b"LOGIN",
            b"LOGIN alice",
            b"LOGIN alice ",
            b"LOGIN  alice secret",
            b"LOGIN alice secret more",
            b"LOGIN alice sec(ret",
            b'LOGIN "alice secret',
            b'LOGIN "al\\ice" secret',
            b"LOGIN al\0ice secret",
            b"LOGIN alice\rsecret x",
            b"AUTHENTICATE",
            b"AUTHENTICATE PLAIN  ",
            b"AUTHENTICATE PLAIN AGFsaWNl=AA",
            b"AUTHENTICATE PLAIN !!!!",
            b"AUTHENTICATE PLAIN AGE",
            b"AUTHENTICATE SCRAM*",
            b"ENABLE",
            b"ENABLE ",
            b"COMPRESS",
            b"ID",
            b'ID "name"',
            b'ID ("name")',
            b'ID ("name" "x"',
            b'ID (NIL "x")',
        ]
    )


def test_what_is_wrong_is_said():
    assert complaint(b"LOGIN alice") == b"t BAD LOGIN: something is missing at the end of the command\r\n"
    assert complaint(b"NOOP now") == b"t BAD NOOP: unexpected text after the command\r\n"
    assert complaint(b"XYZZY") == b"t BAD there is no such command\r\n"
    assert complaint(b"LIST () x") == b"t BAD LIST: something is missing at the end of the command\r\n"


def test_secrets_are_not_in_what_is_printed():
    assert "secret" not in repr(request(b"LOGIN alice secret"))
    assert "alice" not in repr(request(b"AUTHENTICATE PLAIN " + base64.b64encode(b"\0alice\0secret")))
