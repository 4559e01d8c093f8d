"""The search database's first schema. Document ids begin with a number of the account, so that one account's are a range."""

STATEMENTS = (
    "CREATE TABLE owner (account_id INT NOT NULL PRIMARY KEY, number INT NOT NULL UNIQUE, next INT NOT NULL) -- narrow",
    # All messages of the mailbox with a uid up to this one are documents.
    """CREATE TABLE mark (
        account_id INT NOT NULL, mailbox_id INT NOT NULL, uid INT NOT NULL, PRIMARY KEY (account_id, mailbox_id)) -- narrow""",
    # whole: 0 where the message has more text than is kept, and is therefore always read itself.
    """CREATE TABLE document (
        document_id INT NOT NULL PRIMARY KEY, email_id INT NOT NULL, whole INT NOT NULL, UNIQUE (email_id)) -- narrow""",
    "CREATE TABLE head (document_id INT NOT NULL PRIMARY KEY, text BYTES NOT NULL)",
    "CREATE TABLE body (document_id INT NOT NULL PRIMARY KEY, text BYTES NOT NULL)",
)
