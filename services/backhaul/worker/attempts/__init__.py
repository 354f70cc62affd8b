"""Attempts at tasks: how their handlers run, wait, stop, and what becomes of them."""
