"""Schema steps of the search database, in the words of `db.dialect`."""

FULL_TEXT = tuple(
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {table}_words USING fts5"
    " (text, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1')"
    for table in ("head", "body")
)
"""SQLite only: candidates come from here. PostgreSQL looks at the text itself."""
