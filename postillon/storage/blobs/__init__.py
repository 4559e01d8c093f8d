"""Where bodies above the inline limit lie."""
