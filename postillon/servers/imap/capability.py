"""What we advertise: only what is true on this connection in this state (RFC 9051 §6.1.1, §7.2.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

ALWAYS = (b"IMAP4rev1", b"IMAP4rev2", b"SASL-IR", b"ID", b"ENABLE")

AUTHENTICATED = (
    b"LITERAL+",  # RFC 7888
    b"IDLE",  # RFC 2177
    b"NAMESPACE",  # RFC 2342
    b"UNSELECT",  # RFC 3691
    b"CHILDREN",  # RFC 3348
    b"UIDPLUS",  # RFC 4315
    b"MOVE",  # RFC 6851
    b"MULTIAPPEND",  # RFC 3502
    b"CATENATE",  # RFC 4469
    b"URLAUTH",  # RFC 4467
    b"URLAUTH=BINARY",  # RFC 5524
    b"BINARY",  # RFC 3516
    b"ESEARCH",  # RFC 4731
    b"PARTIAL",  # RFC 9394
    b"SEARCHRES",  # RFC 5182
    b"MULTISEARCH",  # RFC 7377
    b"WITHIN",  # RFC 5032
    b"SEARCH=FUZZY",  # RFC 6203
    b"SORT",  # RFC 5256
    b"SORT=DISPLAY",  # RFC 5957
    b"ESORT",  # RFC 5267
    b"CONTEXT=SEARCH",  # RFC 5267
    b"CONTEXT=SORT",
    b"THREAD=ORDEREDSUBJECT",  # RFC 5256
    b"THREAD=REFERENCES",
    b"I18NLEVEL=1",  # RFC 5255
    b"LIST-EXTENDED",  # RFC 5258
    b"LIST-STATUS",  # RFC 5819
    b"SPECIAL-USE",  # RFC 6154
    b"CREATE-SPECIAL-USE",  # RFC 6154
    b"CONDSTORE",  # RFC 7162
    b"QRESYNC",  # RFC 7162
    b"STATUS=SIZE",  # RFC 8438
    b"STATUS=DELETED",  # RFC 9208
    b"OBJECTID",  # RFC 8474
    b"SAVEDATE",  # RFC 8514
    b"PREVIEW",  # RFC 8970
    b"REPLACE",  # RFC 8508
    b"UTF8=ACCEPT",  # RFC 9755
    b"LANGUAGE",  # RFC 5255
    b"UNAUTHENTICATE",  # RFC 8437
    b"UIDBATCHES",
    b"QUOTA",  # RFC 9208
    b"QUOTA=RES-STORAGE",
    b"QUOTA=RES-MAILBOX",
    b"METADATA",  # RFC 5464
    b"METADATA-SERVER",
    b"LIST-METADATA",  # RFC 9590
    b"UIDONLY",  # RFC 9586
    b"INPROGRESS",  # RFC 9585
    b"NOTIFY",  # RFC 5465
    b"ACL",  # RFC 4314
    b"RIGHTS=texk",
    b"LIST-MYRIGHTS",  # RFC 8440
)

SETTING = "imap.capabilities"
"""The account's setting of what is hidden from it and what is offered to it: see `hidden_from`."""

ENABLEABLE = ("CONDSTORE", "QRESYNC", "IMAP4REV2", "UTF8=ACCEPT", "UIDONLY")
"""What ENABLE turns on, in the capitals of the engine."""

SPELLED = {"IMAP4REV2": b"IMAP4rev2"}


def before_login(*, mechanisms: tuple[str, ...], starttls: bool) -> tuple[bytes, ...]:
    """*mechanisms*: those that may be used now; without any, LOGIN is forbidden too (RFC 9051 §6.2.3)."""
    words: tuple[bytes, ...] = (*ALWAYS, b"LITERAL-")
    if starttls:
        words += (b"STARTTLS",)
    if not mechanisms:
        return (*words, b"LOGINDISABLED")
    return (*words, *(b"AUTH=" + name.encode() for name in mechanisms))


def after_login(
    *, append_limit: int, save_limit: int, message_limit: int = 0, compressed: bool = False, hidden: Collection[str] = ()
) -> tuple[bytes, ...]:
    """*compressed*: COMPRESS is in force (RFC 4978 §3: then it is not offered). *hidden*: see `hidden_from`."""
    words: tuple[bytes, ...] = (*ALWAYS, *AUTHENTICATED, b"APPENDLIMIT=%d" % append_limit)  # RFC 7889
    # RFC 9738 §3: one or the other.
    words += (b"MESSAGELIMIT=%d" % message_limit if message_limit else b"SAVELIMIT=%d" % save_limit,)
    if not compressed:
        words = (*words, b"COMPRESS=DEFLATE")
    return tuple(word for word in words if word.decode().upper() not in hidden) if hidden else words


FIXED = frozenset({"IMAP4REV1", "LITERAL+"})
"""What cannot be hidden: a client could not work, or would be misunderstood."""


def known_words() -> frozenset[str]:
    """The capabilities that can be hidden, in capitals."""
    words = (*ALWAYS, *AUTHENTICATED, b"COMPRESS=DEFLATE", *SPELLED.values())
    return frozenset(word.decode().upper() for word in words) - FIXED


def hidden_from(everybody: Iterable[str], own: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """In capitals: what is hidden from an account. *own*: its setting, `hide` and `offer` with words of `known_words`."""
    hidden = {word.upper() for word in everybody} | set(own.get("hide", ()))
    return frozenset(hidden - set(own.get("offer", ())) - FIXED)
