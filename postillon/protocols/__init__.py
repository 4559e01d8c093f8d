"""Protocol engines without I/O: bytes in, events out; answers are bytes."""
