"""Read the configuration file into `Config`. Every mistake is told with its line; an unknown key with the nearest name."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..model.address import Address, AddressError, parse_domain
from ..servers.imap.capability import known_words
from .addresses import server_address
from .content import senseless_content
from .kinds import Found, is_domain, is_ip, is_network
from .lines import key_lines, line_of
from .oauth import senseless_logins
from .rules import senseless_hops, senseless_relay_domains, senseless_rules
from .sending import Destination, Sending
from .settings import CHECKS, CHOICES, SERVICES, Config
from .size import Size

_HIDDEN = {"development"}
_CODE = re.compile(r"127(\.(\d{1,3}(-\d{1,3})?|\*)){3}")
_CHECKS = ("address", "helo", "sender", "dkim", "links", "mails", "files")
_HASHES = ("sha1", "md5", "sha256")
_PATH_IN_ERROR = re.compile(r" - at `\$?([^`]*)`$")


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    line: int
    """0: the file as a whole."""
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


class ConfigError(Exception):
    """The file is wrong; *mistakes* has at least one, in the order of the lines."""

    def __init__(self, path: str, mistakes: list[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(f"{path}: {mistake}" for mistake in self.mistakes))


def load(path: str) -> Config:
    """Raises ConfigError, also when the file cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError(path, [Mistake(0, f"cannot be read: {reason}")]) from error
    return parse(text, path)


def parse(text: str, path: str = "config") -> Config:
    """The text of a configuration file. Raises ConfigError with every mistake that could be found at once."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+),", str(error))
        words = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError(path, [Mistake(int(at[1]) if at else text.count("\n") + 1, f"not TOML: {words}")]) from error
    lines = key_lines(text)
    found = [*_unknown(tree, Config, ()), *_wrong(tree), *_bad_choices(tree)]
    if not found:
        found = _senseless(tree)
    if found:
        raise ConfigError(path, [Mistake(line_of(lines, where) or 0, words) for where, words in found])
    config: Config = _convert(tree, Config)
    return config


def _unknown(tree: dict[str, Any], kind: Any, where: tuple[str, ...]) -> list[Found]:
    """Keys that no dataclass knows, at any depth."""
    found: list[Found] = []
    types_of = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if not (where == () and field.name in _HIDDEN)]
    for key, value in tree.items():
        here = (*where, key)
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(names)}"
            found.append((here, f"unknown setting `{'.'.join(here)}`{hint}"))
            continue
        for inner, path, value_of in _inside(types_of[key], here, value):
            if isinstance(value_of, dict):
                found += _unknown(value_of, inner, path)
    return found


def _inside(kind: Any, where: tuple[str, ...], value: Any) -> list[tuple[Any, tuple[str, ...], Any]]:
    """The dataclasses that *value* should hold: itself, the option of a union, or the values of a dict or list."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return [(kind, where, value)]
    if origin in (typing.Union, types.UnionType):
        return [entry for option in typing.get_args(kind) for entry in _inside(option, where, value)]
    if origin is tuple and isinstance(value, list):
        inner = typing.get_args(kind)[0]
        return [entry for at, item in enumerate(value) for entry in _inside(inner, (*where, str(at)), item)]
    if origin is dict and isinstance(value, dict):
        inner = typing.get_args(kind)[1]
        return [entry for key, item in value.items() for entry in _inside(inner, (*where, key), item)]
    return []


def _wrong(tree: dict[str, Any]) -> list[Found]:
    """Values of a wrong type, one for each top-level key, and required keys that are missing."""
    found: list[Found] = []
    types_of = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        if field.name not in tree or field.name in _HIDDEN:
            has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            if not has_default and field.name not in tree:
                found.append(((), f"`{field.name}` is missing"))
            continue
        try:
            _convert(tree[field.name], types_of[field.name])
        except msgspec.ValidationError as error:
            found.append(_told(error, field.name))
    return found


def _told(error: msgspec.ValidationError, name: str) -> Found:
    text = str(error)
    at = _PATH_IN_ERROR.search(text)
    inner = re.findall(r"[^.\[\]]+", at[1]) if at else []
    where = (name, *inner)
    words = _PATH_IN_ERROR.sub("", text)
    words = words.replace("`", "").replace("Expected", "expected").replace("array", "list").replace("object", "table")
    return where, f"`{'.'.join(where)}`: {words}"


def _convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=True, dec_hook=_decode)


def _decode(kind: type, value: Any) -> Any:
    if kind is Size:
        return Size.parse(value)
    raise NotImplementedError(kind)


def _bad_choices(tree: dict[str, Any]) -> list[Found]:
    found: list[Found] = []
    for pattern, allowed in CHOICES.items():
        for where, value in _matching(tree, pattern, ()):
            if isinstance(value, str) and value not in allowed:
                found.append((where, f"`{'.'.join(where)}`: {value!r} is none of {', '.join(allowed)}"))
    return found


def _matching(tree: Any, pattern: tuple[str, ...], where: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    if not pattern:
        return [(where, tree)]
    if isinstance(tree, list):
        tree = {str(number): item for number, item in enumerate(tree)}
    if not isinstance(tree, dict):
        return []
    keys = list(tree) if pattern[0] == "*" else [pattern[0]] if pattern[0] in tree else []
    return [entry for key in keys for entry in _matching(tree[key], pattern[1:], (*where, key))]


def _senseless(tree: dict[str, Any]) -> list[Found]:
    """What has the right type and still cannot be meant."""
    config: Config = _convert(tree, Config)
    parts = (_senseless_places, _senseless_network, _senseless_times, _senseless_filters, senseless_content, _senseless_sending)
    return [found for part in (*parts, _senseless_imap, senseless_logins) for found in part(config)]


def _senseless_sending(config: Config) -> Iterator[Found]:
    yield from senseless_hops(config.sending)
    yield from senseless_rules(config.rules, config.sending)
    yield from senseless_relay_domains(config.relay_domains)
    for name in config.relay_domains:
        if not is_domain(name):
            yield ("relay_domains", name), f"`{name}` is not a domain"


def _senseless_places(config: Config) -> Iterator[Found]:
    try:
        if parse_domain(config.hostname) != config.hostname or "." not in config.hostname:
            yield ("hostname",), f"`hostname`: {config.hostname!r} is not a full host name in lower case"
    except AddressError as error:
        yield ("hostname",), f"`hostname`: {error}"
    if not Path(config.data).is_absolute():
        yield ("data",), "`data`: the path must be absolute"
    if bool(config.tls.certificate) != bool(config.tls.key):
        yield ("tls",), "`tls`: certificate and key belong together; one is missing"
    for name in ("connections", "connections_per_address", "connections_per_minute"):
        if getattr(config.limits, name) < 1:
            yield ("limits", name), f"`limits.{name}`: at least 1"
    if config.workers < 0:
        yield ("workers",), "`workers`: cannot be negative"


def _senseless_imap(config: Config) -> Iterator[Found]:
    if config.imap.message_limit and config.imap.message_limit < 1000:
        # RFC 9738 §3: clients need not cope with less.
        yield ("imap", "message_limit"), "`imap.message_limit`: must be 0 or at least 1000"
    if not 1000 <= config.imap.save_limit <= 100_000:
        yield ("imap", "save_limit"), "`imap.save_limit`: must be from 1000 to 100000"
    for name in config.imap.hidden:
        if name.upper() not in known_words():
            yield ("imap", "hidden"), f"`imap.hidden`: {name!r} is no capability that can be hidden"


def _senseless_network(config: Config) -> Iterator[Found]:
    for service in SERVICES:
        port = getattr(config.listen, service)
        if not 0 <= port <= 65535:
            yield ("listen", service), f"`listen.{service}`: {port} is not a port"
    yield from _senseless_trust(config)
    for address in config.listen.addresses:
        if address not in ("*", "localhost") and not is_ip(address):
            yield ("listen", "addresses"), f"`listen.addresses`: {address!r} is not an IP address or `*`"
    for server in config.dns.servers:
        try:
            server_address(server)
        except ValueError:
            yield ("dns", "servers"), f"`dns.servers`: {server!r} is not an IP address, with or without a port"
    for table in ("routes", "destinations"):
        for name in getattr(config.sending, table):
            if not is_domain(name):
                yield ("sending", table, name), f"`{name}` is not a domain"
    for name in config.protection.trusted:
        if not is_network(name):
            yield ("protection", "trusted"), f"`protection.trusted`: {name!r} is no IP address and no network like 192.0.2.0/24"
    yield from _senseless_blocklists(config)
    if config.reports.sender:
        try:
            Address.parse(config.reports.sender)
        except AddressError as error:
            yield ("reports", "sender"), f"`reports.sender`: {error}"
    for name in config.authentication.trusted_sealers:
        if not is_domain(name):
            yield ("authentication", "trusted_sealers"), f"`authentication.trusted_sealers`: {name!r} is not a domain"


def _senseless_trust(config: Config) -> Iterator[Found]:
    trusted = config.trusted
    tables = {("proxies", service): names for service, names in trusted.proxies.items()}
    for where, names in (tables | {(name,): getattr(trusted, name) for name in ("xclient", "etrn", "lmtp")}).items():
        setting = ".".join(("trusted", *where))
        if len(where) == 2 and where[1] not in SERVICES:
            yield ("trusted", *where), f"`{setting}`: there is no service {where[1]!r}; there are {', '.join(SERVICES)}"
        for name in names:
            if not is_network(name):
                yield ("trusted", *where), f"`{setting}`: {name!r} is not a network like 192.0.2.0/24, nor an address"
    if config.listen.proxy and not trusted.proxies.get("proxy"):
        yield ("listen", "proxy"), "`listen.proxy`: nobody could connect; name the proxies in `trusted.proxies.proxy`"


def _senseless_blocklists(config: Config) -> Iterator[Found]:
    for at, blocklist in enumerate(config.blocklists):
        where = ("blocklists", str(at))
        if not is_domain(blocklist.zone):
            yield (*where, "zone"), f"`blocklists.zone`: {blocklist.zone!r} is not a domain"
        for pattern in blocklist.codes:
            if not _CODE.fullmatch(pattern):
                yield (*where, "codes"), f"`blocklists.codes`: {pattern!r} is no answer like 127.0.0.2 or 127.0.*.4-7"
        if blocklist.hash not in _HASHES:
            yield (*where, "hash"), f"`blocklists.hash`: {blocklist.hash!r} is none of {', '.join(_HASHES)}"
        for check in blocklist.checks:
            if check not in _CHECKS:
                yield (*where, "checks"), f"`blocklists.checks`: {check!r} is none of {', '.join(_CHECKS)}"


def _senseless_times(config: Config) -> Iterator[Found]:
    sending = config.sending
    tables: list[tuple[tuple[str, ...], Sending | Destination]] = [(("sending",), sending)]
    tables += [(("sending", "destinations", name), table) for name, table in sending.destinations.items()]
    for where, table in tables:
        for name, least in (("first_wait", 1), ("longest_wait", 1), ("delay_report", 0), ("lifetime", 1), ("longest_hold", 0)):
            value = getattr(table, name, None)
            if value is not None and not least <= value <= 366 * 86400:
                yield (*where, name), f"`{'.'.join((*where, name))}`: {value} is no sensible number of seconds"


def _senseless_filters(config: Config) -> Iterator[Found]:
    filters = config.filters
    if not filters.tag <= filters.junk <= filters.refuse:
        yield ("filters",), "`filters`: `tag`, `junk` and `refuse` must not become smaller in this order"
    for name in filters.off:
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(CHECKS)}"
            yield ("filters", "off"), f"`filters.off`: there is no check {name!r}{hint}"
    if filters.own and not Path(filters.own).is_absolute():
        yield ("filters", "own"), "`filters.own`: the path must be absolute"
    for code, score in filters.scores.items():
        if not math.isfinite(score):
            yield ("filters", "scores", code), f"`filters.scores`: {score} is no score for {code!r}"
    for name in ("time", "total_time"):
        if not 1 <= getattr(filters, name) <= 300:
            yield ("filters", name), f"`filters.{name}`: {getattr(filters, name)} is not between 1 and 300 seconds"
