"""Mail that is kept from its recipients until somebody releases it."""

STATEMENTS = (
    # recipients: with where each leads, as they will stand in the queue. facts: why, and what an administrator is shown.
    """CREATE TABLE quarantine (
        hold_id INT NOT NULL PRIMARY KEY, account_id INT NOT NULL, blob_id INT NOT NULL, blob_size INT NOT NULL,
        size INT NOT NULL, made_at INT NOT NULL, until INT NOT NULL, envelope BYTES NOT NULL, recipients BYTES NOT NULL,
        recipe BYTES NOT NULL, facts BYTES NOT NULL)""",
    # One row: strangers decide what is held, so there is a bound for all of it.
    "CREATE TABLE quarantine_total (total_id INT NOT NULL PRIMARY KEY, size INT NOT NULL, entries INT NOT NULL)",
    "INSERT INTO quarantine_total (total_id, size, entries) VALUES (1, 0, 0)",
    "CREATE INDEX quarantine_until ON quarantine (until, hold_id)",
)
