"""Reports about TLS, put together from the configuration: counted, sent and read."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ..config import Config
from ..flow.deliver import FlowSettings
from ..flow.own_mail import OwnMail
from ..flow.sign import Signer
from ..flow.tls_reports import TlsReports, TlsReportSettings
from ..net.http_client import HttpError, post
from ..net.tls import client_context
from ..relay.hop import is_public
from ..relay.tls_outcomes import TlsOutcomes
from ..seams import Resolver
from .data import Opened


def make_tls_reports(
    config: Config, data: Opened, resolver: Resolver, outcomes: TlsOutcomes, flow: FlowSettings, signer: Signer
) -> TlsReports:
    wanted = config.reports

    async def domains() -> Sequence[str]:
        return [view.name for view in await data.directory.domains()]

    return TlsReports(
        store=data.store,
        directory=data.directory,
        domains=domains,
        resolver=resolver,
        mail=OwnMail(store=data.store, directory=data.directory, clock=data.clock, ids=data.ids, settings=flow, signer=signer),
        clock=data.clock,
        ids=data.ids,
        settings=TlsReportSettings(config.hostname, wanted.tls, wanted.organization, wanted.sender),
        outcomes=outcomes,
        post=_Poster(config, resolver),
    )


class _Poster:
    """Hands reports over by HTTPS, at public addresses only."""

    def __init__(self, config: Config, resolver: Resolver) -> None:
        self._development = config.development
        self._resolver = resolver

    async def __call__(self, uri: str, octets: bytes, media_type: str) -> None:
        found = urlsplit(uri)
        host = found.hostname or ""
        try:
            port = found.port or 443
        except ValueError as error:
            raise HttpError("the port is none") from error
        path = found.path or "/"
        if found.query:
            path += f"?{found.query}"
        if not host or not path.isascii() or not path.isprintable() or " " in path:
            raise HttpError("the URI is none that we can use")
        answer = await self._resolver.addresses(host)
        addresses = [str(one) for one in answer.records if self._development is not None or is_public(str(one))]
        if not addresses:
            raise HttpError(f"{host}: {'its address is not public' if answer.records else answer.status.value}")
        trust = self._development.trust if self._development is not None else ""
        context = client_context(verify=True, ca_file=trust or None)
        await post(host, path, octets, media_type, port=port, addresses=addresses, context=context)
