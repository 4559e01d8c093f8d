"""The only place that writes SQL or blob files."""
