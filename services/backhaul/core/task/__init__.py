"""What a task is, and what may become of it: decided by pure functions."""
