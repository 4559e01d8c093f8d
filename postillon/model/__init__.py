"""The words of the field as frozen values. Nothing here does I/O, and nothing here imports another package of ours."""
