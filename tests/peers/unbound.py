"""A private unbound: a real validating resolver with zones that we sign, for tests of what DNSSEC proves."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Mapping
from pathlib import Path

import dns.dnssec
import dns.name
import dns.node
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from ..net.dns_server import HEAD
from .processes import free_port, installed, wait_until

CONFIGURATION = """\
server:
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  logfile: ""
  use-syslog: no
  interface: 127.0.0.1
  port: {port}
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "{directory}/anchors"
  local-zone: "test." nodefault
  unblock-lan-zones: yes
  val-log-level: 2
  num-threads: 1
  so-reuseport: no
remote-control:
  control-enable: no
"""
ZONE = """\
auth-zone:
  name: "{name}"
  zonefile: "{file}"
  for-upstream: yes
  for-downstream: no
"""


class Unbound:
    """*signed* and *unsigned*: origin -> text of a zone. *spoilt*: names in signed zones whose signatures are wrong."""

    def __init__(
        self,
        directory: Path,
        signed: Mapping[str, str],
        unsigned: Mapping[str, str] | None = None,
        spoilt: tuple[str, ...] = (),
    ) -> None:
        directory.mkdir(parents=True)
        self.port = free_port()
        anchors, zones = "", ""
        insecure = ""
        for name, text in signed.items():
            zone, anchor = sign(name, text, spoilt)
            zone.to_file(str(directory / f"{name}.zone"), relativize=False)
            anchors += anchor
            zones += ZONE.format(name=name, file=directory / f"{name}.zone")
        for name, text in (unsigned or {}).items():
            _zone(name, text).to_file(str(directory / f"{name}.zone"), relativize=False)
            insecure += f'  domain-insecure: "{name}"\n'
            zones += ZONE.format(name=name, file=directory / f"{name}.zone")
        (directory / "anchors").write_text(anchors)
        head, _, rest = CONFIGURATION.format(directory=directory, port=self.port).partition("remote-control:")
        (directory / "unbound.conf").write_text(f"{head}{insecure}remote-control:{rest}{zones}")
        self._directory = directory

    @property
    def option(self) -> str:
        """For `--dns`."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Unbound:
        self._log = (self._directory / "log").open("w")
        command = [installed("unbound"), "-d", "-c", str(self._directory / "unbound.conf")]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        wait_until(lambda: "start of service" in self.log or self._process.poll() is not None, 20, "unbound")
        assert self._process.poll() is None, self.log
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()


def _zone(name: str, text: str) -> dns.zone.Zone:
    return dns.zone.from_text(text if " SOA " in text else HEAD + text, origin=dns.name.from_text(name), relativize=False)


def sign(name: str, text: str, spoilt: tuple[str, ...] = ()) -> tuple[dns.zone.Zone, str]:
    """The zone, signed with ECDSA, and its DS record as a trust anchor."""
    origin, zone = dns.name.from_text(name), _zone(name, text)
    key = ec.generate_private_key(ec.SECP256R1())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
    now = datetime.datetime.now(datetime.UTC)
    with zone.writer() as writer:
        dns.dnssec.sign_zone(
            zone,
            txn=writer,
            keys=[(key, dnskey)],
            add_dnskey=True,
            dnskey_ttl=300,
            inception=now - datetime.timedelta(hours=1),
            expiration=now + datetime.timedelta(days=1),
        )
    for each in spoilt:
        owner = dns.name.from_text(each)
        if owner.is_subdomain(origin):
            _spoil(zone, owner)
    return zone, f"{origin} IN DS {dns.dnssec.make_ds(origin, dnskey, 'SHA256')}\n"


def _spoil(zone: dns.zone.Zone, owner: dns.name.Name) -> None:
    """Change every record at *owner* that is not a signature, and leave the signatures: somebody has forged the answer."""
    node = zone.nodes[owner]
    for rdataset in node.rdatasets:
        if rdataset.rdtype == dns.rdatatype.TLSA:
            forged = [record.replace(cert=bytes(32)) for record in rdataset]
            rdataset.clear()
            for record in forged:
                rdataset.add(record)
