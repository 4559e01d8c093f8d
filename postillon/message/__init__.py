"""RFC 5322 and MIME, pure: one file a concern."""
