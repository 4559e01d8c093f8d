"""LIST and LSUB: RFC 3501 §6.3.8, RFC 5258 §5, RFC 5819, RFC 6154, RFC 8440."""

import pytest

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.commands import StatusAttribute as S

from .driver import complaint, is_bad, request


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'LIST "" ""', c.List("", ("",))),
        (b'LIST "" *', c.List("", ("*",))),
        (b'LIST "" "%"', c.List("", ("%",))),
        (b"LIST ~/Mail/ %", c.List("~/Mail/", ("%",))),
        (b'LIST "" inbox', c.List("", ("INBOX",))),
        (b'LIST "" Entw&APw-rfe/*', c.List("", ("Entwürfe/*",))),
        (b'LIST (SUBSCRIBED) "" "*"', c.List("", ("*",), True, select_subscribed=True)),
        (b'LIST () "" "%" RETURN (CHILDREN)', c.List("", ("%",), True, return_children=True)),
        (b'LIST (REMOTE) "" "%" RETURN (CHILDREN)', c.List("", ("%",), True, select_remote=True, return_children=True)),
        (b'LIST "" (INBOX Drafts Sent/%)', c.List("", ("INBOX", "Drafts", "Sent/%"), True)),
        (b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"', c.List("", ("%",), True, select_subscribed=True, recursive_match=True)),
        (
            b'LIST (SPECIAL-USE) "" "*" RETURN (SPECIAL-USE SUBSCRIBED)',
            c.List("", ("*",), True, select_special_use=True, return_special_use=True, return_subscribed=True),
        ),
        (b'LIST "" % RETURN (STATUS (MESSAGES UNSEEN))', c.List("", ("%",), True, return_status=(S.MESSAGES, S.UNSEEN))),
        (
            b'LIST "" "%" RETURN (MYRIGHTS SUBSCRIBED STATUS (SIZE))',
            c.List("", ("%",), True, return_myrights=True, return_subscribed=True, return_status=(S.SIZE,)),
        ),
        (b'LIST "" "%" RETURN ()', c.List("", ("%",), True)),
        (
            b'LIST "" % RETURN (METADATA ("/shared/comment" /Private/X))',
            c.List("", ("%",), True, return_metadata=("/shared/comment", "/private/x")),
        ),
        (b'LSUB "#news." "comp.mail.*"', c.Lsub("#news.", "comp.mail.*")),
    ],
)
def test_they_are_understood(line, value):
    assert request(line) == value


def test_broken_ones_are_bad():
    is_bad(
        [
            b"LIST",
            b'LIST ""',
            b'LIST "" ()',
            b'LIST "" (a',
            b'LIST "" (a  b)',
            b'LIST "" a RETURN',
            b'LIST "" a RETURN CHILDREN',
            b'LIST "" a RETURN (FOO)',
            b'LIST "" a RETURN (STATUS)',
            b'LIST "" a RETURN (STATUS ())',
            b'LIST "" a RETURN (CHILDREN',
            b'LIST "" a GIVE (CHILDREN)',
            b'LIST (FOO) "" a',
            b'LIST (RECURSIVEMATCH) "" a',
            b'LIST (RECURSIVEMATCH REMOTE) "" a',
            b'LIST "" a RETURN (METADATA (comment))',
            b'LSUB "" (a b)',
            b"LSUB a",
        ]
    )


def test_a_pattern_that_is_no_name_is_no():
    assert complaint(b'LIST "" "*&"').startswith(b"t NO [CANNOT] ")


def test_patterns_are_utf8_once_that_is_enabled():
    assert request('LIST "" "Entwürfe/%"'.encode(), utf8=True) == c.List("", ("Entwürfe/%",))
