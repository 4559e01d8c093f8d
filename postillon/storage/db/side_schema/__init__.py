"""Schema steps of the side database: counters that may be rebuilt and need no sync of their own."""
