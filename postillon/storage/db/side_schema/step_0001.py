"""The side database's first schema: what may be lost without losing mail. Times are epoch seconds, UTC."""

STATEMENTS = (
    # Counters of the login limiter. started: when the window began, 0 for a mark that has none; expires: may go from then on.
    """CREATE TABLE limit_count (
        key BYTES NOT NULL, started INT NOT NULL, count INT NOT NULL, expires INT NOT NULL,
        PRIMARY KEY (key, started)) -- narrow""",
    "CREATE INDEX limit_count_expires ON limit_count (expires)",
)
