"""Operations over the server, running or not: one table of functions, a Unix socket, and the commands' way to them."""
