"""`postillon serve` with an OpenID provider and with client certificates: logins over IMAP, submission and POP3."""

from __future__ import annotations

import base64
import datetime
import imaplib
import json
import poplib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ..app.running import OFFSETS
from ..app.test_setup import Installed, install, own_tls, serving
from ..peers.provider import Provider, oauthbearer, xoauth2

pytestmark = pytest.mark.real

YOU = "you@example.org"
# Ports of no service that a test server has otherwise.
IMAPS_CERTIFICATE, SUBMISSIONS_CERTIFICATE = 996, 466


def certificate(place: Path, name: str, address: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None):
    """A PEM file with key and certificate for *address*; without an issuer an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0].subject if issuer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(30))
    builder = builder.add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
    if issuer:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
    made = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    file = place / f"{name}.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file, (made, key)


@dataclass(frozen=True)
class Home:
    installed: Installed
    provider: Provider
    mine: Path
    """A certificate for YOU."""
    forged: Path
    """One for YOU by an authority that nobody trusts."""

    def port(self, offset: int) -> int:
        return self.installed.base + offset

    def tls(self, chain: Path | None = None) -> ssl.SSLContext:
        context = own_tls(self.installed)
        context.check_hostname = False  # it names mail.example.org
        if chain is not None:
            context.load_cert_chain(chain)
        return context

    def imap(self, offset: int = OFFSETS["imaps"], chain: Path | None = None) -> imaplib.IMAP4_SSL:
        return imaplib.IMAP4_SSL("127.0.0.1", self.port(offset), ssl_context=self.tls(chain), timeout=20)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    place = tmp_path_factory.mktemp("logins")
    with Provider() as provider:
        installed = install(place, "--user", "")
        authority, issuer = certificate(place, "authority", "")
        mine, _ = certificate(place, "mine", YOU, issuer)
        forged, _ = certificate(place, "forged", YOU, certificate(place, "false", "")[1])
        text = installed.config.read_text()
        text += f"imaps_certificate = {installed.base + IMAPS_CERTIFICATE}\n"
        text += f"submissions_certificate = {installed.base + SUBMISSIONS_CERTIFICATE}\n"
        text += f'\n[tls]\nclient_authorities = "{authority}"\n'
        text += f'\n[oauth]\nissuer = "{provider.issuer}"\naudience = "postillon"\nscope = "openid"\n'
        installed.config.write_text(text)
        with serving(installed):
            yield Home(installed, provider, mine, forged)


def test_a_token_opens_imap_submission_and_pop3(home: Home):
    token = home.provider.token("ES256", email=YOU)
    with home.imap() as imap:
        assert {"AUTH=OAUTHBEARER", "AUTH=XOAUTH2"} <= set(imap.capabilities)
        assert imap.authenticate("OAUTHBEARER", lambda challenge: oauthbearer(YOU, token))[0] == "OK"
        assert imap.select()[0] == "OK"
    with smtplib.SMTP_SSL("127.0.0.1", home.port(OFFSETS["submissions"]), context=home.tls(), timeout=20) as smtp:
        smtp.ehlo()
        assert "XOAUTH2" in smtp.esmtp_features["auth"]
        assert smtp.auth("XOAUTH2", lambda challenge=None: xoauth2(YOU, token).decode())[0] == 235
        smtp.sendmail(YOU, [YOU], "Subject: by token\r\n\r\n")
    pop = poplib.POP3_SSL("127.0.0.1", home.port(OFFSETS["pop3s"]), context=home.tls(), timeout=20)
    assert "OAUTHBEARER" in pop.capa()["SASL"]
    assert pop._shortcmd("AUTH OAUTHBEARER " + base64.b64encode(oauthbearer(YOU, token)).decode()).startswith(b"+OK")
    pop.quit()


def test_a_bad_token_is_told_why_in_json(home: Home):
    told = []

    def answer(challenge: bytes) -> bytes:
        told.append(challenge)
        return b"\1" if challenge else oauthbearer(YOU, "expired")

    with home.imap() as imap:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.authenticate("OAUTHBEARER", answer)
        assert json.loads(told[-1])["status"] == "invalid_token"
        imap.authenticate("XOAUTH2", lambda challenge: xoauth2(YOU, home.provider.token(email=YOU)))


def test_a_certificate_opens_imap_and_submission_where_one_is_asked_for(home: Home):
    with home.imap(IMAPS_CERTIFICATE, home.mine) as imap:
        assert "AUTH=EXTERNAL" in imap.capabilities
        assert imap.authenticate("EXTERNAL", lambda challenge: b"")[0] == "OK"
    with smtplib.SMTP_SSL("127.0.0.1", home.port(SUBMISSIONS_CERTIFICATE), context=home.tls(home.mine), timeout=20) as smtp:
        smtp.ehlo()
        assert smtp.docmd("AUTH", "EXTERNAL =")[0] == 235
        smtp.sendmail(YOU, [YOU], "Subject: by certificate\r\n\r\n")


def test_elsewhere_nobody_is_asked_for_a_certificate_and_others_log_in_as_always(home: Home):
    with home.imap(chain=home.mine) as imap:
        assert "AUTH=EXTERNAL" not in imap.capabilities
        with pytest.raises(imaplib.IMAP4.error):
            imap.authenticate("EXTERNAL", lambda challenge: b"")
    with home.imap(IMAPS_CERTIFICATE) as imap:
        assert "AUTH=EXTERNAL" not in imap.capabilities and "AUTH=PLAIN" in imap.capabilities


def test_a_certificate_of_another_authority_ends_the_handshake(home: Home):
    with pytest.raises((OSError, imaplib.IMAP4.abort)):
        home.imap(IMAPS_CERTIFICATE, home.forged)


def test_a_certificate_opens_no_other_account(home: Home):
    with home.imap(IMAPS_CERTIFICATE, home.mine) as imap, pytest.raises(imaplib.IMAP4.error):
        imap.authenticate("EXTERNAL", lambda challenge: b"postmaster@example.org")
