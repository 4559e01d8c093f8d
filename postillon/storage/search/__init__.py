"""The text of stored mail, decoded and folded, and an index over it: all of it can be made again from the mail."""
