"""What became of TLS on our way to others, counted for the reports that they ask for (TLS-RPT, RFC 8460 §4).

A session counts once, when it is opened, under the policy that it was held to. Counts wait in memory and are written down from
time to time; those of the last minute may be lost with the process.
"""

from __future__ import annotations

import ssl
from collections import Counter

from ..message.tlsrpt import Failure, UsedPolicy, day_of
from ..seams import Clock

MAX_KEYS = 10_000
"""Different things that are counted between two writes; what comes beyond is not reported."""
Key = tuple[int, str, UsedPolicy, Failure | None]
"""Day, domain, policy, and why the sessions failed; None: they did not."""

# OpenSSL's X509_V_ERR_… of what Python raises.
_EXPIRED, _NOT_YET, _MISMATCH = 10, 9, (62, 63, 64)
_UNTRUSTED = (2, 18, 19, 20, 21, 24, 27)


class TlsOutcomes:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counted: Counter[Key] = Counter()

    def note(self, domain: str, policy: UsedPolicy, failure: Failure | None = None) -> None:
        """One session with a mail host of *domain*."""
        key = (day_of(self._clock.now()), domain, policy, failure)
        if key in self._counted or len(self._counted) < MAX_KEYS:
            self._counted[key] += 1

    def take(self) -> dict[Key, int]:
        """All that was counted since the last time."""
        counted, self._counted = self._counted, Counter()
        return dict(counted)

    def give_back(self, counted: dict[Key, int]) -> None:
        """They could not be written down."""
        for key, count in counted.items():
            if key in self._counted or len(self._counted) < MAX_KEYS:
                self._counted[key] += count


def result_of(error: BaseException) -> tuple[str, str]:
    """RFC 8460 §4.3.2.1: (result type, reason) of a handshake that ended with *error*."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _MISMATCH:
            return "certificate-host-mismatch", error.verify_message
        if code in (_EXPIRED, _NOT_YET):
            return "certificate-expired", error.verify_message
        if code in _UNTRUSTED:
            return "certificate-not-trusted", error.verify_message
        return "validation-failure", error.verify_message
    if isinstance(error, ssl.SSLError):
        return "validation-failure", error.reason or "TLS error"
    return "validation-failure", "the handshake was not completed"
