"""SMTP sessions: the MX, submission, local submission."""
