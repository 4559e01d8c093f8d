"""Why a server does not start."""


class StartError(Exception):
    """The server cannot start; the words are for the administrator."""
