"""The DNS records of a mail domain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..app.dkim import quoted, record_text


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.name + '.':<44} {self.type:<4} {self.value}"


def dkim_record(selector: str, domain: str, key_file: Path) -> Record:
    return Record(f"{selector}._domainkey.{domain}", "TXT", quoted(record_text(key_file)))


def needed(domain: str, host: str) -> list[Record]:
    """Without these no mail arrives, or what we send is not believed."""
    return [
        Record(domain, "MX", f"10 {host}."),
        Record(host, "A", "the IPv4 address of this machine"),
        Record(host, "AAAA", "its IPv6 address, if it has one"),
        Record(domain, "TXT", '"v=spf1 mx -all"'),
        Record(f"_dmarc.{domain}", "TXT", f'"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'),
    ]


def for_clients(domain: str, host: str) -> list[Record]:
    """So that mail programs find us by the address alone (RFC 6186, RFC 8314 §5.1)."""
    services = (("submissions", 465), ("submission", 587), ("imaps", 993), ("imap", 143), ("pop3s", 995), ("pop3", 110))
    return [Record(f"_{service}._tcp.{domain}", "SRV", f"0 1 {port} {host}.") for service, port in services]


def for_reports(domain: str) -> list[Record]:
    """So that others tell us how TLS on their way to us went (RFC 8460)."""
    return [Record(f"_smtp._tls.{domain}", "TXT", f'"v=TLSRPTv1; rua=mailto:postmaster@{domain}"')]


def for_mta_sts(domain: str, host: str) -> list[Record]:
    """So that others insist on TLS towards us (RFC 8461); `mta_sts_policy` must be served before they are set."""
    return [
        Record(f"mta-sts.{domain}", "A", "the address of a web server with a certificate for that name"),
        Record(f"_mta-sts.{domain}", "TXT", f'"v=STSv1; id={policy_id(host)}"'),
    ]


def mta_sts_policy(host: str) -> str:
    """The text of `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`: in testing mode, until the reports are good."""
    return f"version: STSv1\nmode: testing\nmx: {host}\nmax_age: 604800\n"


def policy_id(host: str) -> str:
    """Another one for another policy (RFC 8461 §3.1: letters and digits)."""
    return hashlib.sha256(mta_sts_policy(host).encode()).hexdigest()[:16]
