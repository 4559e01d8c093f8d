"""Refusals: the errors that a client or a peer may hear about.

Each carries an enhanced status (RFC 3463), words that may leave the house, and a detail that may not. Servers translate
them into their protocol's words in one place each; anything that is not a `Refusal` is a bug and is answered 4.3.0.
"""

from __future__ import annotations


class Refusal(Exception):
    """We say no. *status* is `5.7.1` or the like; 4.x.y means that trying later may help."""

    status = "5.0.0"
    imap_code = "CANNOT"
    """RFC 5530 response code; also what POP3's and JMAP's words are chosen from."""

    def __init__(self, text: str, *, status: str | None = None, detail: str = "", code: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.detail = detail
        if status is not None:
            self.status = status
        self._code = code

    @property
    def is_temporary(self) -> bool:
        return self.status.startswith("4")

    @property
    def code(self) -> int:
        """The SMTP reply code (RFC 5321 §4.2): given, or 451 / 550 by the status."""
        if self._code is not None:
            return self._code
        return 451 if self.is_temporary else 550


class Unavailable(Refusal):
    """We cannot now: the store is busy, the disk is full, a service is down."""

    status = "4.3.0"
    imap_code = "UNAVAILABLE"


class Corrupted(Unavailable):
    """What was stored is not there, or not what it was. Only we can do something."""

    imap_code = "CORRUPTION"


class DiskFull(Unavailable):
    status = "4.3.1"

    @property
    def code(self) -> int:
        return 452


class OverQuota(Refusal):
    status = "4.2.2"
    imap_code = "OVERQUOTA"

    @property
    def code(self) -> int:
        return 452


class TooLarge(Refusal):
    """RFC 1870 §6.1."""

    status = "5.3.4"
    imap_code = "TOOBIG"

    @property
    def code(self) -> int:
        return 552


class LimitReached(Refusal):
    status = "4.7.0"
    imap_code = "LIMIT"


class SendingLimitReached(LimitReached):
    """An account has sent as much as it may. *detail* is the limit's name."""

    status = "4.7.1"

    @property
    def code(self) -> int:
        return self._code if self._code is not None else 450


class NotFound(Refusal):
    status = "5.1.1"
    imap_code = "NONEXISTENT"


class AlreadyExists(Refusal):
    imap_code = "ALREADYEXISTS"


class NotPermitted(Refusal):
    status = "5.7.1"
    imap_code = "NOPERM"


class InUse(Refusal):
    status = "4.2.1"
    imap_code = "INUSE"


class HasChildren(Refusal):
    imap_code = "HASCHILDREN"


class Greylisted(Refusal):
    """Not known yet: whoever means it comes back (RFC 6647)."""

    status = "4.7.1"

    @property
    def code(self) -> int:
        return 450


class AuthenticationFailed(Refusal):
    """RFC 4954 §6: 535 5.7.8. The words never tell which half was wrong."""

    status = "5.7.8"
    imap_code = "AUTHENTICATIONFAILED"

    @property
    def code(self) -> int:
        return 535


class AccountClosed(AuthenticationFailed):
    """Who that is has been proved, and the administrator lets the account in no more (RFC 5248: user account disabled)."""

    status = "5.7.13"
    imap_code = "CONTACTADMIN"


class NotAuthorized(Refusal):
    """Somebody proved to be one user, and wants to act for another."""

    status = "5.7.0"
    imap_code = "AUTHORIZATIONFAILED"

    @property
    def code(self) -> int:
        return 535


class AuthenticationDelayed(Refusal):
    """Too many failures from there: 454 4.7.0; the password was not even looked at."""

    status = "4.7.0"
    imap_code = "UNAVAILABLE"

    @property
    def code(self) -> int:
        return 454
