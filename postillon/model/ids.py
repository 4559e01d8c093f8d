"""Identifiers. All are 63-bit integers made by the application, never by a database sequence."""

from typing import NewType

AccountId = NewType("AccountId", int)
MailboxId = NewType("MailboxId", int)
EmailId = NewType("EmailId", int)
ThreadId = NewType("ThreadId", int)
BlobId = NewType("BlobId", int)
QueueId = NewType("QueueId", int)

Uid = NewType("Uid", int)
"""RFC 9051 §2.3.1.1: 1 to 2**32-1, strictly ascending in a mailbox."""

ModSeq = NewType("ModSeq", int)
"""RFC 7162 §3.1: 63 bits, 1 and up. Ours counts per account."""
