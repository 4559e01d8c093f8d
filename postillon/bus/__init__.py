"""Wakes between sessions and workers."""
