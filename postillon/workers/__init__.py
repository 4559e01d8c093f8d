"""What reacts to time: the queue, the janitor."""
