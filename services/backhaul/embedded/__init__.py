"""The embedded default: the whole platform in one process, on SQLite and an in-process broker. Nothing to install."""

from backhaul.embedded.embedded import embedded
from backhaul.embedded.process import run_dev

Embedded = embedded

__all__ = ["Embedded", "embedded", "run_dev"]
