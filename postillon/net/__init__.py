"""Sockets, TLS, DNS and connection limits: the only place that opens sockets."""
