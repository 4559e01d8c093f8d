"""The process that binds the sockets, starts the workers and replaces those that die. It never opens the database."""
