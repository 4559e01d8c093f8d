"""SMTP TLS reports (RFC 8460): the DNS record that asks for them, the report as JSON, and reading others' reports. Pure."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ..model.address import Address
from . import build

MAX_RUA = 5
"""Destinations that are served."""
MAX_POLICIES = 1000
MAX_DETAILS = 2000
"""Of a report that is read."""
MAX_TEXT = 500
_DAY_S = 86400
_RECORD = re.compile(r"v=TLSRPTv1[ \t]*;")


@dataclass(frozen=True, slots=True)
class UsedPolicy:
    """The policy that sessions were held to (§4.2)."""

    kind: str
    """`tlsa`, `sts` or `no-policy-found`."""
    strings: tuple[str, ...] = ()
    """TLSA records, or the lines of the MTA-STS policy."""
    hosts: tuple[str, ...] = ()
    """The policy's mx patterns (STS only)."""


NO_POLICY = UsedPolicy("no-policy-found")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why sessions failed (§4.3, §4.4)."""

    result: str
    """`starttls-not-supported`, `certificate-expired`, …"""
    host: str = ""
    """The mail host's name."""
    address: str = ""
    """Its address."""
    source: str = ""
    """Ours."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PolicySessions:
    """Sessions under one policy of one domain."""

    domain: str
    policy: UsedPolicy
    successes: int
    failures: tuple[tuple[Failure, int], ...] = ()

    @property
    def failed(self) -> int:
        return sum(count for _, count in self.failures)


@dataclass(frozen=True, slots=True)
class TlsReport:
    organization: str
    contact: str
    report_id: str
    start: int
    """Epoch seconds."""
    stop: int
    policies: tuple[PolicySessions, ...]


class BadTlsReport(ValueError):
    """In words for the log."""


def wanted_at(records: Sequence[str]) -> tuple[str, ...]:
    """The `mailto:` and `https:` URIs of the `_smtp._tls` TXT *records* (§3); none unless exactly one record is valid."""
    mine = [record for record in records if _RECORD.match(record)]
    if len(mine) != 1:
        return ()
    for field in mine[0].split(";")[1:]:
        name, _, value = field.partition("=")
        if name.strip() == "rua":
            uris = [uri.strip() for uri in value.split(",")]
            return tuple(uri for uri in uris if uri.lower().startswith(("mailto:", "https://")))[:MAX_RUA]
    return ()


def mail_address(uri: str) -> str:
    """The address of a `mailto:` URI, percent signs decoded, without its query; empty for another URI."""
    return unquote(urlsplit(uri).path) if uri.lower().startswith("mailto:") else ""


def day_of(at: int) -> int:
    """The UTC day of *at*, days since 1970: reports are about whole days (§4.1)."""
    return at // _DAY_S


def report_of(
    day: int, sessions: Sequence[PolicySessions], *, organization: str, contact: str, report_id: str, until: int = 0
) -> TlsReport:
    """The report about UTC day *day*; *until*: if it is not over yet."""
    start = day * _DAY_S
    return TlsReport(
        organization, contact, report_id, start, min(until or start + _DAY_S - 1, start + _DAY_S - 1), tuple(sessions)
    )


def encode(report: TlsReport) -> bytes:
    """The JSON document (§4.4)."""
    value = {
        "organization-name": report.organization,
        "date-range": {"start-datetime": _datetime(report.start), "end-datetime": _datetime(report.stop)},
        "contact-info": report.contact,
        "report-id": report.report_id,
        "policies": [_policy(one) for one in report.policies],
    }
    return msgspec.json.encode(value)


def compressed(report: TlsReport) -> bytes:
    """`application/tlsrpt+gzip`; the same report makes the same octets."""
    return gzip.compress(encode(report), mtime=0)


def _datetime(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _policy(one: PolicySessions) -> dict[str, Any]:
    policy: dict[str, Any] = {"policy-type": one.policy.kind}
    if one.policy.strings:
        policy["policy-string"] = list(one.policy.strings)
    policy["policy-domain"] = one.domain
    if one.policy.hosts:
        policy["mx-host"] = list(one.policy.hosts)
    value: dict[str, Any] = {
        "policy": policy,
        "summary": {"total-successful-session-count": one.successes, "total-failure-session-count": one.failed},
    }
    if one.failures:
        value["failure-details"] = [_failure(failure, count) for failure, count in one.failures]
    return value


def _failure(failure: Failure, count: int) -> dict[str, Any]:
    value: dict[str, Any] = {"result-type": failure.result, "failed-session-count": count}
    named = {
        "sending-mta-ip": failure.source,
        "receiving-mx-hostname": failure.host,
        "receiving-ip": failure.address,
        "failure-reason-code": failure.reason,
    }
    value.update({name: text for name, text in named.items() if text})
    return value


def file_name(report: TlsReport, domain: str, submitter: str) -> str:
    """§5.1."""
    return f"{submitter}!{domain}!{report.start}!{report.stop}!{report.report_id.partition('@')[0]}.json.gz"


def mail(report: TlsReport, *, domain: str, submitter: str, sender: Address, to: Address, at: int, name: str) -> bytes:
    """The report about *domain* as a message from *sender* (§5.3). *name*: unique, for Message-ID and boundary."""
    subject = f"Report Domain: {domain} Submitter: {submitter} Report-ID: <{report.report_id}>"
    good = sum(one.successes for one in report.policies)
    bad = sum(one.failed for one in report.policies)
    words = (
        f"This is a report about TLS on the way of mail from {submitter} to {domain}\n"
        f"({_datetime(report.start)} to {_datetime(report.stop)}, RFC 8460):\n"
        f"{good} connections were as they should be, {bad} failed.\n"
        "The attachment has the details for programs.\n"
    )
    return b"".join(
        [
            build.addresses("From", [("", sender)]),
            build.addresses("To", [("", to)]),
            build.text("Subject", subject),
            build.date("Date", at),
            build.message_id("Message-ID", [f"{name}@{submitter}"]),
            build.raw("TLS-Report-Domain", domain.encode()),
            build.raw("TLS-Report-Submitter", submitter.encode()),
            # §3: a report about TLS that fails must not wait for TLS that works (RFC 8689 §5).
            build.raw("TLS-Required", b"No"),
            build.raw("Auto-Submitted", b"auto-generated"),
            build.raw("MIME-Version", b"1.0"),
            build.multipart(
                "report",
                f"={name}",
                [
                    build.text_part(words),
                    build.attachment(compressed(report), "application/tlsrpt+gzip", file_name(report, domain, submitter)),
                ],
                **{"report-type": "tlsrpt"},
            ),
        ]
    )


# --- others' reports ---------------------------------------------------------------------------------------------------


class _Range(msgspec.Struct, rename="kebab"):
    start_datetime: str
    end_datetime: str


class _Policy(msgspec.Struct, rename="kebab"):
    policy_type: str
    policy_domain: str
    policy_string: list[str] | str = []
    mx_host: list[str] | str = []


class _Summary(msgspec.Struct, rename="kebab"):
    total_successful_session_count: int = 0
    total_failure_session_count: int = 0


class _Detail(msgspec.Struct, rename="kebab"):
    result_type: str
    failed_session_count: int = 0
    sending_mta_ip: str = ""
    receiving_mx_hostname: str = ""
    receiving_ip: str = ""
    failure_reason_code: str = ""


class _Entry(msgspec.Struct, rename="kebab"):
    policy: _Policy
    summary: _Summary
    failure_details: list[_Detail] = []


class _Document(msgspec.Struct, rename="kebab"):
    organization_name: str
    date_range: _Range
    report_id: str
    policies: list[_Entry]
    contact_info: str = ""


_decode = msgspec.json.Decoder(_Document, strict=False).decode


def decode(octets: bytes) -> TlsReport:
    """A report from its JSON document, its texts cut and its counts positive. Raises BadTlsReport."""
    try:
        found = _decode(octets)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadTlsReport(f"no TLS report: {error}") from error
    if len(found.policies) > MAX_POLICIES:
        raise BadTlsReport(f"it names {len(found.policies)} policies")
    start, stop = _moment(found.date_range.start_datetime), _moment(found.date_range.end_datetime)
    return TlsReport(
        _text(found.organization_name),
        _text(found.contact_info),
        _text(found.report_id),
        start,
        stop,
        tuple(map(_sessions, found.policies)),
    )


def _sessions(entry: _Entry) -> PolicySessions:
    policy = entry.policy
    used = UsedPolicy(_text(policy.policy_type), _texts(policy.policy_string), _texts(policy.mx_host))
    failures = [
        (
            Failure(
                _text(one.result_type),
                _text(one.receiving_mx_hostname),
                _text(one.receiving_ip),
                _text(one.sending_mta_ip),
                _text(one.failure_reason_code),
            ),
            max(one.failed_session_count, 0),
        )
        for one in entry.failure_details[:MAX_DETAILS]
    ]
    told, summed = max(entry.summary.total_failure_session_count, 0), sum(count for _, count in failures)
    if told > summed:
        failures.append((Failure("not told"), told - summed))
    domain = _text(policy.policy_domain).lower().rstrip(".")
    return PolicySessions(domain, used, max(entry.summary.total_successful_session_count, 0), tuple(failures))


def _text(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_TEXT])


def _texts(found: list[str] | str) -> tuple[str, ...]:
    return tuple(_text(text) for text in ([found] if isinstance(found, str) else found[:20]))


def _moment(text: str) -> int:
    """RFC 3339 as epoch seconds. Raises BadTlsReport."""
    try:
        found = datetime.fromisoformat(text.strip()[:40])
    except ValueError as error:
        raise BadTlsReport("a moment that is none") from error
    at = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    if not 0 <= at < 1 << 40:
        raise BadTlsReport("a moment that is none")
    return at
