"""Where a password comes from: a prompt without echo, standard input, or a generator. Never the command line."""

from __future__ import annotations

import secrets
import sys

import click

from .commands import fail

_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without letters that look alike
MIN_LENGTH = 8


def generated() -> str:
    """Four groups of five letters and digits: 115 bits, readable over the telephone."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def obtain(from_stdin: bool, generate: bool, whose: str) -> tuple[str, bool]:
    """(password, whether it was generated and must be shown). Ends the program when there is none."""
    if generate:
        return generated(), True
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = click.prompt(f"Password for {whose}", hide_input=True, confirmation_prompt="Again")
    else:
        fail("no terminal to ask for a password: use --password-stdin or --generate")
    if len(password) < MIN_LENGTH:
        fail(f"the password needs at least {MIN_LENGTH} characters")
    return password, False
