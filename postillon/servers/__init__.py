"""Sessions: what reacts to clients."""
