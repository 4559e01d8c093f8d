"""What may not be said about where our connections begin."""

from __future__ import annotations

from collections.abc import Iterator

from .kinds import Found, is_ip
from .sending import Sending


def senseless_egress(sending: Sending) -> Iterator[Found]:
    users: list[tuple[tuple[str, ...], str, str]] = [(("sending",), sending.pool, sending.proxy)]
    users += [(("sending", "destinations", name), one.pool, one.proxy) for name, one in sending.destinations.items()]
    users += [(("sending", "routes", name), one.pool, one.proxy) for name, one in sending.routes.items()]
    users += [(("sending", "next_hops", name), one.pool, one.proxy) for name, one in sending.next_hops.items()]
    if sending.smarthost is not None:
        users.append((("sending", "smarthost"), sending.smarthost.pool, sending.smarthost.proxy))
    for where, pool, proxy in users:
        if pool not in ("", "direct", *sending.pools):
            yield (*where, "pool"), f"`{'.'.join(where)}.pool`: there is no `sending.pools.{pool}`"
        if proxy not in ("", "direct", *sending.proxies):
            yield (*where, "proxy"), f"`{'.'.join(where)}.proxy`: there is no `sending.proxies.{proxy}`"
    for name, origins in sending.pools.items():
        for number, origin in enumerate(origins):
            here = ("sending", "pools", name, str(number))
            if not is_ip(origin.address):
                yield (*here, "address"), f"`{'.'.join(here)}.address`: {origin.address!r} is no IP address"
            if origin.per_minute is not None and origin.per_minute < 1:
                yield (*here, "per_minute"), f"`{'.'.join(here)}.per_minute`: at least 1 message a minute"
            if origin.share < 0:
                yield (*here, "share"), f"`{'.'.join(here)}.share`: at least 0"
        if not any(origin.share > 0 for origin in origins):
            yield ("sending", "pools", name), f"`sending.pools.{name}`: no address has a share"
    for name, proxy_ in sending.proxies.items():
        if not is_ip(proxy_.host):
            yield ("sending", "proxies", name, "host"), f"`sending.proxies.{name}.host`: {proxy_.host!r} is no IP address"
