"""A child process of a worker: runs the attempts of handlers with `run_in="process"`, one at a time.

`python -m backhaul.worker.child FD` is started by the worker alone, which speaks to it over the socket `FD`.
"""
