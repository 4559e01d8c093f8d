"""`python -m postillon`."""

from .cli import main

main()
