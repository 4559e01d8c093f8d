"""One file for each family of IMAP commands, twin of the grammar of the same name."""
