"""The command line: thin commands over the running server."""
