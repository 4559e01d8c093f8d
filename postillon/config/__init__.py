"""The one TOML file, read into frozen values. No module below imports this one: each object gets its own small value."""

from .addresses import server_address
from .judging import Protection
from .reading import ConfigError, Mistake, load, parse
from .sending import Destination, RelayDomain, Route, Rule, Sending
from .settings import LOOPBACK, SERVICES, Config, Development, Dns, Limits, Listen, Logging, SubmissionLimits, TlsFiles, Trusted
from .size import Size

__all__ = [
    "LOOPBACK",
    "SERVICES",
    "Config",
    "ConfigError",
    "Destination",
    "Development",
    "Dns",
    "Limits",
    "Listen",
    "Logging",
    "Mistake",
    "Protection",
    "RelayDomain",
    "Route",
    "Rule",
    "Sending",
    "Size",
    "SubmissionLimits",
    "TlsFiles",
    "Trusted",
    "load",
    "parse",
    "server_address",
]
