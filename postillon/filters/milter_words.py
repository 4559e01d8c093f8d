"""The words between us and milters: what they are told of a client and an envelope, and what their answers mean to us."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.envelope import Client, Envelope, Recipient
from ..model.errors import Refusal
from ..model.verdict import Edits, FieldEdit
from ..protocols.milter_answers import (
    AddHeader,
    AddRecipient,
    Answer,
    Change,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    Quarantine,
    RemoveRecipient,
    ReplaceBody,
    ReplyCode,
    Verdict,
)


def refusal_of(answer: Answer, name: str) -> Refusal | None:
    """What the client is told, if the milter refuses."""
    if isinstance(answer, ReplyCode):
        status = answer.status or ("4.7.1" if answer.code < 500 else "5.7.1")
        text = "".join(c if c.isprintable() else "?" for c in answer.text)[:400]
        return Refusal(text or "The message is refused", status=status, code=answer.code, detail=f"milter {name}")
    if answer is Verdict.REJECT:
        return Refusal("The message is refused", status="5.7.1", detail=f"milter {name}")
    if answer in (Verdict.TEMPFAIL, Verdict.CONNECTION_FAILED):
        return Refusal("Service unavailable; try again later", status="4.7.1", detail=f"milter {name}")
    if answer is Verdict.SHUTDOWN:
        return Refusal("Service unavailable; closing", status="4.7.0", code=421, detail=f"milter {name}")
    return None


def edits_of(changes: Sequence[Change]) -> Edits | None:
    """A milter's changes in our words. None: it changes nothing."""
    header: list[FieldEdit] = []
    sender: str | None = None
    recipients: dict[str, bool] = {}
    for change in changes:
        if isinstance(change, AddHeader):
            header.append(FieldEdit(change.name, change.value))
        elif isinstance(change, InsertHeader):
            # Its place 0 is above the Received field that the milter does not see; ours stays on top.
            header.append(FieldEdit(change.name, change.value, at=max(change.index - 1, 0)))
        elif isinstance(change, ChangeHeader):
            header.append(FieldEdit(change.name, change.value or None, nth=max(change.index, 1)))
        elif isinstance(change, ChangeSender):
            sender = _bare(change.address)
        elif isinstance(change, AddRecipient | RemoveRecipient):
            recipients[_bare(change.address)] = isinstance(change, AddRecipient)
    body = [change.octets for change in changes if isinstance(change, ReplaceBody)]
    edits = Edits(
        tuple(header),
        b"".join(body) if body else None,
        sender,
        tuple(address for address, is_added in recipients.items() if is_added),
        tuple(address for address, is_added in recipients.items() if not is_added),
    )
    return edits if edits != Edits() else None


def quarantine_of(changes: Sequence[Change]) -> str | None:
    return next((change.reason for change in changes if isinstance(change, Quarantine)), None)


def _bare(address: str) -> str:
    """Without angle brackets."""
    address = address.strip()
    return address[1:-1] if address.startswith("<") and address.endswith(">") else address


# What milters are told of the client and the envelope, in Sendmail's words.


def name_of(client: Client) -> str:
    return client.reverse_name or f"[{address_of(client)}]"


def address_of(client: Client) -> str:
    return "127.0.0.1" if client.address == "unix" else client.address


def connect_macros(client: Client) -> dict[str, str]:
    name, address = name_of(client), address_of(client)
    local = client.local_address or "127.0.0.1"
    return {
        "{daemon_addr}": local,
        "{daemon_port}": str(client.local_port),
        "{if_addr}": local,
        "_": f"{name} [{address}]",
        "{client_addr}": address,
        "{client_name}": client.reverse_name or "unknown",
        "{client_ptr}": client.reverse_name or "unknown",
        "{client_resolve}": "OK" if client.reverse_name else "FAIL",
        "{client_port}": str(client.port),
    }


def helo_macros(client: Client) -> dict[str, str]:
    if client.tls is None:
        return {}
    bits = {"{cipher_bits}": str(client.tls.bits)} if client.tls.bits else {}
    return {"{tls_version}": client.tls.version, "{cipher}": client.tls.cipher, **bits}


def mail_arguments(envelope: Envelope) -> list[str]:
    """The reverse-path and the parameters, as a client gives them."""
    found = [f"<{envelope.sender or ''}>"]
    if envelope.size is not None:
        found.append(f"SIZE={envelope.size}")
    if envelope.body != "7BIT":
        found.append(f"BODY={envelope.body}")
    if envelope.smtputf8:
        found.append("SMTPUTF8")
    if envelope.ret:
        found.append(f"RET={envelope.ret}")
    if envelope.require_tls:
        found.append("REQUIRETLS")
    return found


def mail_macros(client: Client, envelope: Envelope) -> dict[str, str]:
    sender = envelope.sender
    macros = {
        "{mail_addr}": str(sender or ""),
        "{mail_host}": sender.domain if sender else "",
        "{mail_mailer}": "smtp",
    }
    if client.login:
        macros |= {"{auth_type}": client.mechanism or "PLAIN", "{auth_authen}": client.login}
    return macros


def rcpt_arguments(recipient: Recipient) -> list[str]:
    found = [f"<{recipient.address}>"]
    if recipient.notify:
        found.append("NOTIFY=" + ",".join(sorted(one.value for one in recipient.notify)))
    if recipient.original:
        found.append(f"ORCPT={recipient.original}")
    return found


def rcpt_macros(recipient: Recipient, refusal: Refusal | None) -> dict[str, str]:
    if refusal is not None:
        return {"{rcpt_mailer}": "error", "{rcpt_host}": refusal.status, "{rcpt_addr}": refusal.text}
    return {
        "{rcpt_mailer}": "smtp",
        "{rcpt_host}": recipient.address.domain,
        "{rcpt_addr}": str(recipient.address),
    }
