"""One file for each family of IMAP commands: how their arguments are read."""
