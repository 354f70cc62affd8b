"""A child process of a worker: runs the attempts of handlers with `run_in="process"`, one at a time."""
