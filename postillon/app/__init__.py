"""The composition root: configuration → objects → one TaskGroup. Nothing else constructs."""
