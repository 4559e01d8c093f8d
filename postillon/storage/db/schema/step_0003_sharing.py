"""Mailboxes that others may use (RFC 4314): who has which rights, and each viewer's own \\Seen.

A new kind in the janitor's list: 4, what a removed account had seen.
"""

STATEMENTS = (
    # grantee_id: an account, or -1 for anyone. granted, denied: bits of `model.access.Rights`.
    """CREATE TABLE acl (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, grantee_id INT NOT NULL, granted INT NOT NULL, denied INT NOT NULL,
        PRIMARY KEY (account_id, mailbox_id, grantee_id)) -- narrow""",
    "CREATE INDEX acl_grantee ON acl (grantee_id, account_id, mailbox_id)",
    # Those besides the owner who ever kept a \Seen of their own. seen: how many messages; modseq: of their last change.
    """CREATE TABLE viewer (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, viewer_id INT NOT NULL, seen INT NOT NULL, modseq INT NOT NULL,
        PRIMARY KEY (account_id, mailbox_id, viewer_id)) -- narrow""",
    "CREATE INDEX viewer_of ON viewer (viewer_id, account_id, mailbox_id)",
    # is_seen 0: it was, and no longer is; the row keeps the modseq.
    """CREATE TABLE seen (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, uid INT NOT NULL, viewer_id INT NOT NULL, is_seen INT NOT NULL,
        modseq INT NOT NULL, PRIMARY KEY (account_id, mailbox_id, uid, viewer_id)) -- narrow""",
    "CREATE INDEX seen_modseq ON seen (account_id, mailbox_id, viewer_id, modseq)",
    # How many rows of viewer there are, so that a mailbox of one account never looks for them.
    "ALTER TABLE mailbox ADD COLUMN viewers INT NOT NULL DEFAULT 0",
)
