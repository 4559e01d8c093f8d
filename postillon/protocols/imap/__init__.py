"""The IMAP server engine and its grammar (RFC 3501, RFC 9051)."""
