"""Snapshots of large mailboxes, packed."""

STATEMENTS = (
    # What a worker would otherwise gather from a row for each message. Only a copy: it may be missing or old. body is wide.
    """CREATE TABLE mailbox_pack (
        mailbox_id INT NOT NULL PRIMARY KEY, account_id INT NOT NULL, uidvalidity INT NOT NULL, modseq INT NOT NULL,
        body BYTES NOT NULL)""",
)
