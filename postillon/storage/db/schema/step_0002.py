"""Annotations (RFC 5464), and what pruning tombstones needs."""

STATEMENTS = (
    # saved: when the placement that is gone had come into its mailbox; its FETCH may still be under way.
    "ALTER TABLE gone ADD COLUMN saved INT NOT NULL DEFAULT 0",
    "CREATE INDEX gone_at ON gone (at, account_id)",
    # mailbox_id 0: annotations of the server. viewer_id: whose private entry it is, 0 for shared ones.
    """CREATE TABLE metadata (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, viewer_id INT NOT NULL, entry BYTES NOT NULL, value BYTES NOT NULL,
        PRIMARY KEY (account_id, mailbox_id, viewer_id, entry)) -- narrow""",
)
