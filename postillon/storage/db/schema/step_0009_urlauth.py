"""Keys that URLs to messages are signed with (RFC 4467 §2.4)."""

STATEMENTS = (
    """CREATE TABLE urlauth_key (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, key BYTES NOT NULL,
        PRIMARY KEY (account_id, mailbox_id)) -- narrow""",
)
