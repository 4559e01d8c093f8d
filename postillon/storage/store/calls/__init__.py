"""The methods of `Store`, a module for each kind of question."""
