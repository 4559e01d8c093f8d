"""Database drivers behind the `Database` seam, the schema and its migrations."""
