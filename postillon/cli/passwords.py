"""Where a password comes from: a prompt without echo, standard input, or a generator. Never the command line."""

from __future__ import annotations

import sys

import click

from .commands import fail
from .generate import generated

MIN_LENGTH = 8


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
