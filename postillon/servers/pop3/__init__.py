"""POP3 on 110 (STLS) and 995 (RFC 1939 and its extensions)."""

from .session import Pop3Server, Pop3Settings

__all__ = ["Pop3Server", "Pop3Settings"]
