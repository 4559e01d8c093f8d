"""What accounts may send and have sent, what is suppressed, and settings of an account."""

STATEMENTS = (
    # Whatever is set for one account: its limits, its language, why its queue is held.
    """CREATE TABLE account_setting (
        account_id INT NOT NULL, name BYTES NOT NULL, value BYTES NOT NULL, PRIMARY KEY (account_id, name)) -- narrow""",
    # hour: epoch seconds divided by 3600. A few weeks are kept: they are what is usual for the account.
    """CREATE TABLE sent_hour (
        account_id INT NOT NULL, hour INT NOT NULL, messages INT NOT NULL, recipients INT NOT NULL, first_time INT NOT NULL,
        PRIMARY KEY (account_id, hour)) -- narrow""",
    "CREATE INDEX sent_hour_hour ON sent_hour (hour)",
    # To whom an account has written: hash is 63 bits of a hash of the address.
    """CREATE TABLE correspondent (
        account_id INT NOT NULL, hash INT NOT NULL, at INT NOT NULL, PRIMARY KEY (account_id, hash)) -- narrow""",
    "CREATE INDEX correspondent_at ON correspondent (at)",
    # From which networks it has submitted.
    """CREATE TABLE origin (
        account_id INT NOT NULL, network BYTES NOT NULL, first_at INT NOT NULL, at INT NOT NULL,
        PRIMARY KEY (account_id, network)) -- narrow""",
    "CREATE INDEX origin_at ON origin (at)",
    # Addresses that an account does not write to any more. cause: 1 a hard bounce, 2 a complaint, 3 by hand.
    """CREATE TABLE suppression (
        account_id INT NOT NULL, address BYTES NOT NULL, at INT NOT NULL, cause INT NOT NULL, words BYTES NOT NULL,
        PRIMARY KEY (account_id, address)) -- narrow""",
    "CREATE INDEX suppression_bounce ON suppression (at) WHERE cause = 1",
    # For holding, releasing and recalling what one account sent; mail from outside has no account and is not in it.
    "CREATE INDEX queue_message_account ON queue_message (account_id, queue_id) WHERE account_id > 0",
)
