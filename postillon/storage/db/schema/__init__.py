"""Numbered schema steps, forward only."""
