"""Tallies: what is counted by day and domain until it is reported or shown."""

STATEMENTS = (
    # kind: what is counted (storage/store/tallies.py); day: since 1970, UTC; key: a hash of facts.
    """CREATE TABLE tally (
        kind INT NOT NULL, day INT NOT NULL, domain BYTES NOT NULL, key BYTES NOT NULL, facts BYTES NOT NULL, count INT NOT NULL,
        PRIMARY KEY (kind, day, domain, key)) -- narrow""",
)
