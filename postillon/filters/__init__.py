"""What is thought of a message, by many small pieces of evidence: a file each. To write one, copy `skeleton.py`."""
