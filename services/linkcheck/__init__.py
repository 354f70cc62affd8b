"""A service that checks many links at once, and tells what it finds about each as soon as it is known.

Serve it with `backhaul worker linkcheck.service:service`.
"""
