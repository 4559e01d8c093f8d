"""The one TOML file, read into frozen values. No module below imports this one: each object gets its own small value."""

from .addresses import server_address
from .reading import ConfigError, Mistake, load, parse
from .settings import (
    LOOPBACK,
    SERVICES,
    Config,
    Destination,
    Development,
    Dns,
    Limits,
    Listen,
    Logging,
    Protection,
    Route,
    Sending,
    Size,
    SubmissionLimits,
    TlsFiles,
    Trusted,
)

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
    "Route",
    "Sending",
    "Size",
    "SubmissionLimits",
    "TlsFiles",
    "Trusted",
    "load",
    "parse",
    "server_address",
]
