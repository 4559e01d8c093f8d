"""SMTP, ESMTP and LMTP engines for both sides (RFC 5321, RFC 2033)."""
