"""What extensions answer: RFC 4314, 9208, 5464, 5256, 4467, 5524, 7377, 9585, 9738."""

from postillon.protocols.imap import extension_responses as responses
from postillon.protocols.imap import response_codes
from postillon.protocols.imap.extension_responses import ThreadNode as Node


def test_access():
    assert responses.acl("INBOX", [("Fred", "rwipslda"), ("a b", "")]) == b'* ACL INBOX Fred "rwipslda" "a b" ""\r\n'
    assert responses.list_rights("x", "anyone", "", ["l", "kxc"]) == b'* LISTRIGHTS x anyone "" "l" "kxc"\r\n'
    assert responses.my_rights("Entwürfe", "lrs") == b"* MYRIGHTS Entw&APw-rfe lrs\r\n"
    assert responses.my_rights("x", "") == b'* MYRIGHTS x ""\r\n'


def test_quota():
    assert responses.quota("", [("STORAGE", 10, 512), ("MESSAGE", 1, 2)]) == b'* QUOTA "" (STORAGE 10 512 MESSAGE 1 2)\r\n'
    assert responses.quota("#u", []) == b"* QUOTA #u ()\r\n"
    assert responses.quota_root("INBOX", ["", "b"]) == b'* QUOTAROOT INBOX "" b\r\n'
    assert responses.quota_root("INBOX", []) == b"* QUOTAROOT INBOX\r\n"


def test_metadata():
    assert (
        responses.metadata("", [("/shared/comment", b"x y"), ("/private/a", None), ("/private/b", b"\0"), ("/private/c", b"\n")])
        == b'* METADATA "" (/shared/comment "x y" /private/a NIL /private/b ~{1}\r\n\0 /private/c {1}\r\n\n)\r\n'
    )
    assert responses.metadata_changed("INBOX", ["/shared/a", "/shared/b"]) == b"* METADATA INBOX /shared/a /shared/b\r\n"


def test_threads():
    """The examples of RFC 5256 §4."""
    assert (
        responses.thread([Node(2), Node(3, (Node(6, (Node(4, (Node(23),)), Node(44, (Node(7, (Node(96),)),)))),))])
        == b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n"
    )
    assert responses.thread([Node(0, (Node(3), Node(5)))]) == b"* THREAD ((3)(5))\r\n"
    assert responses.thread([]) == b"* THREAD\r\n"


def test_a_very_deep_thread_is_written():
    node = Node(50000)
    for number in range(49999, 0, -1):
        node = Node(number, (node,))
    assert responses.thread([node]) == b"* THREAD (" + b" ".join(b"%d" % number for number in range(1, 50001)) + b")\r\n"
    while node.children:  # else freeing it would go as deep as it is
        node = node.children[0]


def test_others():
    assert responses.generated_urls([b"imap://x;a=b"]) == b'* GENURLAUTH "imap://x;a=b"\r\n'
    assert responses.fetched_url(b"imap://x", 4) == b"* URLFETCH imap://x {4}\r\n"
    assert responses.no_url(b"u") == b"* URLFETCH u NIL\r\n"
    assert responses.fetched_url_parts(b"u") == b"* URLFETCH u"
    assert (
        responses.esearch_in(b"tag1", "a b", 1, [(b"COUNT", 3), (b"ALL", b"4001,4003")])
        == b'* ESEARCH (TAG "tag1" MAILBOX "a b" UIDVALIDITY 1) UID COUNT 3 ALL 4001,4003\r\n'
    )
    assert responses.uid_batches(b"A143", [(215295, 99695), (99694, 1)]) == b'* UIDBATCHES (TAG "A143") 215295:99695,99694:1\r\n'
    assert responses.uid_batches(b"A1", []) == b'* UIDBATCHES (TAG "A1")\r\n'
    assert responses.language(["de", "i-default"]) == b'* LANGUAGE ("de" "i-default")\r\n'


def test_codes():
    assert response_codes.in_progress(b"A1", 175, 1000) == b'INPROGRESS ("A1" 175 1000)'
    assert response_codes.in_progress(b"A1") == b'INPROGRESS ("A1" NIL NIL)'
    assert response_codes.message_limit(1000, 23221) == b"MESSAGELIMIT 1000 23221"
    assert response_codes.message_limit(1000) == b"MESSAGELIMIT 1000"
    assert response_codes.no_update(b"B01") == b'NOUPDATE "B01"'
    assert response_codes.metadata_long_entries(2199) == b"METADATA LONGENTRIES 2199"
    assert response_codes.metadata_max_size(1024) == b"METADATA MAXSIZE 1024"
    assert response_codes.bad_url(b"/a;b]\r\nx") == b"BADURL /a;bx"
